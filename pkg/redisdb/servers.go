// SPDX-License-Identifier: Apache-2.0

package redisdb

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is what a Redis that takes writes says of itself; what it does not tell is empty.
type Server struct {
	Version, Mode, Role, Policy string
	ClusterState                string // of a cluster: ok, or fail
	MaxMemory, UsedMemory       int64
	AppendOnly                  bool
	WriteFailed                 bool // the last write to disk
	Replicas                    int
	Now                         time.Time
	Before, Answered            time.Time // by our clock, around Now
}

// Servers asks every server that takes writes what it is.
func (db *DB) Servers(ctx context.Context) ([]Server, error) {
	var mu sync.Mutex
	var list []Server
	err := db.eachMaster(ctx, func(ctx context.Context, s send) error {
		one, err := serverOf(ctx, s)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			list = append(list, one)
		}
		return err
	})
	return list, err
}

func serverOf(ctx context.Context, s send) (Server, error) {
	one := Server{Before: time.Now()}
	asked := newOnce(ctx, "time")
	_ = s(ctx, asked)
	parts, err := asked.StringSlice() // seconds and microseconds
	one.Answered = time.Now()
	if err != nil && !answered(err) {
		return Server{}, err
	}
	if len(parts) == 2 {
		seconds, _ := strconv.ParseInt(parts[0], 10, 64)
		micros, _ := strconv.ParseInt(parts[1], 10, 64)
		one.Now = time.Unix(seconds, micros*1000)
	}
	info, err := s.text(ctx, "info")
	if err != nil && !answered(err) {
		return Server{}, err
	}
	one.read(info)
	if one.Policy == "" {
		one.Policy, _ = policyOf(ctx, s)
	}
	if one.Mode == "cluster" {
		state, err := s.text(ctx, "cluster", "info")
		if err == nil {
			one.ClusterState = "ok"
			if strings.Contains(state, "cluster_state:fail") {
				one.ClusterState = "fail"
			}
		}
	}
	return one, nil
}

// read takes what INFO says.
func (one *Server) read(info string) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		number, _ := strconv.ParseInt(value, 10, 64)
		switch name {
		case "redis_version":
			one.Version = value
		case "redis_mode":
			one.Mode = value
		case "role":
			one.Role = value
		case "maxmemory_policy":
			one.Policy = value
		case "maxmemory":
			one.MaxMemory = number
		case "used_memory":
			one.UsedMemory = number
		case "aof_enabled":
			one.AppendOnly = number == 1
		case "aof_last_write_status", "rdb_last_bgsave_status":
			one.WriteFailed = one.WriteFailed || value != "ok"
		case "connected_slaves":
			one.Replicas = int(number)
		}
	}
}

// Hosts gives the hosts of the addresses, and whether they are reached by TLS.
func (o Options) Hosts() (hosts []string, encrypted bool) {
	t, encrypted, _ := parseURL(o.URL.Reveal(), o.mode())
	for _, a := range t.addrs {
		if host, _, err := net.SplitHostPort(a); err == nil && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, encrypted
}

// Refused reports whether a server answered that this user may not do what was asked, or
// is none.
func Refused(err error) bool {
	for _, prefix := range []string{"NOPERM", "NOAUTH", "WRONGPASS", "ERR AUTH", "ERR invalid password"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}
