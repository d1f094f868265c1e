// SPDX-License-Identifier: Apache-2.0

//go:build unix

package testserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// sharedCluster is started once for all tests of a process; building one takes
// seconds.
var sharedCluster = sync.OnceValues(func() ([]string, error) {
	servers, err := launchCluster()
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr)
	}
	return addrs, nil
})

// RedisCluster gives the addresses of three masters, which all tests of a process share,
// and a key prefix that no other test uses. The keys under it are removed with the test.
func RedisCluster(t testing.TB) (addrs []string, prefix string) {
	t.Helper()
	quietRedis()
	addrs, err := sharedCluster()
	if errors.Is(err, exec.ErrNotFound) {
		Missing(t, "Redis Cluster", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	prefix = RedisPrefix()
	removeKeys(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs}), prefix)
	return addrs, prefix
}

// StartRedisCluster runs a cluster of a test's own, for tests that kill one of its
// three masters.
func StartRedisCluster(t testing.TB) []*RedisServer {
	t.Helper()
	quietRedis()
	servers, err := launchCluster()
	if errors.Is(err, exec.ErrNotFound) {
		Missing(t, "Redis Cluster", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		t.Cleanup(s.remove)
	}
	return servers
}

func launchCluster() ([]*RedisServer, error) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		return nil, err
	}
	var servers []*RedisServer
	args := []string{"--cluster", "create"}
	for range 3 {
		// The bus has by default the port plus 10000, which may not exist.
		bus, err := FreePort("127.0.0.1")
		if err != nil {
			return nil, err
		}
		s, err := launchRedis("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000", "--cluster-port", bus)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
		args = append(args, s.Addr)
	}
	out, err := exec.Command(cli, append(args, "--cluster-yes")...).CombinedOutput() //nolint:gosec // found on the path, for tests
	if err != nil {
		return nil, fmt.Errorf("testserver: redis-cli --cluster create: %w\n%s", err, out)
	}
	for _, s := range servers {
		client := redis.NewClient(&redis.Options{Addr: s.Addr, Protocol: 2})
		err := until("the cluster to agree", func(ctx context.Context) error {
			info, err := client.ClusterInfo(ctx).Result()
			if err == nil && !strings.Contains(info, "cluster_state:ok") {
				return errNotYet
			}
			return err
		})
		_ = client.Close()
		if err != nil {
			return nil, err
		}
	}
	return servers, nil
}

// RedisSentinelGroup is a master with a replica, watched by a sentinel.
type RedisSentinelGroup struct {
	Master, Replica, Sentinel *RedisServer
	// MasterName is the name under which the sentinel knows the master.
	MasterName string
}

// RedisSentinel runs a group of a test's own. Half a second after the master went the
// sentinel makes the replica the new one.
func RedisSentinel(t testing.TB) *RedisSentinelGroup {
	t.Helper()
	g := &RedisSentinelGroup{MasterName: "core", Master: StartRedis(t)}
	host, port, _ := net.SplitHostPort(g.Master.Addr)
	g.Replica = StartRedis(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	replica := redis.NewClient(&redis.Options{Addr: g.Replica.Addr, Protocol: 2})
	defer func() { _ = replica.Close() }()
	err := until("the replica to follow", func(ctx context.Context) error {
		info, err := replica.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			return errNotYet
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// A sentinel looks for replicas at its start and then every ten seconds.
	g.Sentinel = startSentinel(t, g.MasterName, host, port)
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: g.Sentinel.Addr, Protocol: 2})
	defer func() { _ = sentinel.Close() }()
	err = until("the sentinel to know the replica", func(ctx context.Context) error {
		list, err := sentinel.Replicas(ctx, g.MasterName).Result()
		if err == nil && (len(list) != 1 || list[0]["flags"] != "slave" || list[0]["master-link-status"] != "ok") {
			return errNotYet
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// errNotYet keeps a wait going.
var errNotYet = errors.New("not yet")

func startSentinel(t testing.TB, name, host, port string) *RedisServer {
	t.Helper()
	own, err := FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	s := &RedisServer{Addr: net.JoinHostPort("127.0.0.1", own), dir: t.TempDir()}
	file := filepath.Join(s.dir, "sentinel.conf") // a sentinel insists on a file to write to
	text := strings.Join([]string{
		"port " + own, "bind 127.0.0.1", "dir " + s.dir,
		fmt.Sprintf("sentinel monitor %s %s %s 1", name, host, port),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", name, (500 * time.Millisecond).Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s %d", name, (3 * time.Second).Milliseconds()), "",
	}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{file, "--sentinel"}
	if err := s.start(s.args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}
