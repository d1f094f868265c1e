// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// clusterWithReplicas runs three masters, which come first, and a replica of each.
func clusterWithReplicas(t testing.TB) []*testserver.RedisServer {
	t.Helper()
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		testserver.Missing(t, "redis-cli", err)
	}
	var nodes []*testserver.RedisServer
	args := []string{"--cluster", "create"}
	for range 6 {
		_, bus, _ := strings.Cut(process.Free(t, "127.0.0.1"), ":")
		s := testserver.StartRedis(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000",
			"--cluster-port", bus, "--repl-diskless-sync-delay", "0")
		nodes = append(nodes, s)
		args = append(args, s.Addr)
	}
	if out, err := exec.Command(cli, append(args, "--cluster-replicas", "1", "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	for i, s := range nodes {
		want := []string{"cluster info", "cluster_state:ok"}
		if i >= 3 {
			want = []string{"info replication", "master_link_status:up"}
		}
		until(t, "the cluster to stand", func() bool {
			_, port, _ := strings.Cut(s.Addr, ":")
			out, _ := exec.Command(cli, append([]string{"-p", port}, strings.Fields(want[0])...)...).Output()
			return strings.Contains(string(out), want[1])
		})
	}
	return nodes
}

// addresses is a REDIS_URL of all nodes.
func addresses(nodes []*testserver.RedisServer) string {
	list := make([]string, 0, len(nodes))
	for _, s := range nodes {
		list = append(list, s.Addr)
	}
	return "redis://" + strings.Join(list, ",")
}
