// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
)

// redisLeast is the oldest Redis that is tested, as major*100+minor.
const redisLeast = 602

// Redis looks at the servers that take writes, one after the other.
func Redis(ctx context.Context, o redisdb.Options) []Finding {
	o.PoolSize = 1
	db, err := redisdb.New(o)
	if err != nil {
		return RedisDown(err)
	}
	defer func() { _ = db.Close() }()
	servers, err := db.Servers(ctx)
	if err != nil {
		return RedisDown(err)
	}
	hosts, encrypted := o.Hosts()
	found := JudgeRedis(servers, o.Mode, encrypted, hosts)
	for _, s := range servers {
		found = append(found, JudgeClock("Redis", s.Now, s.Before, s.Answered, 0)...)
	}
	return found
}

// JudgeRedis says what the servers that take writes say of themselves.
func JudgeRedis(servers []redisdb.Server, mode redisdb.Mode, encrypted bool, hosts []string) []Finding {
	var f finds
	if len(servers) == 0 {
		f.fail(RedisReachable, "See REDIS_URL and REDIS_MODE.", "No Redis that takes writes was found.")
		return f
	}
	f.ok(RedisReachable, "Redis answers (%d that take writes).", len(servers))
	judgeRedisServers(&f, servers)
	judgeTopology(&f, servers, mode)
	away := false
	for _, h := range hosts {
		away = away || !local(h)
	}
	if away && !encrypted {
		f.warn(RedisTLS, "Use rediss:// in REDIS_URL, with REDIS_CA_FILE where the authority is your own.", "The connection to Redis leaves this machine and is not encrypted.")
	} else {
		f.ok(RedisTLS, "What goes between is encrypted, or stays on this machine.")
	}
	return f
}

// judgeRedisServers gives one finding of each kind: of several servers that of the worst.
func judgeRedisServers(f *finds, servers []redisdb.Server) {
	first := servers[0]
	oldest, replica, evicts, fullest, forgets, unsaved := first, false, "", 0, false, false
	for _, s := range servers {
		if redisVersion(s.Version) < redisVersion(oldest.Version) {
			oldest = s
		}
		replica = replica || s.Role != "" && s.Role != "master"
		if s.Policy != "" && s.Policy != redisdb.PolicyKeep {
			evicts = s.Policy
		}
		if s.MaxMemory > 0 {
			fullest = max(fullest, int(s.UsedMemory*100/s.MaxMemory))
		}
		forgets = forgets || !s.AppendOnly && s.Replicas == 0
		unsaved = unsaved || s.WriteFailed
	}
	if v := redisVersion(oldest.Version); v == 0 {
		f.warn(RedisVersion, "Let the user call INFO, so that doctor can tell.", "The server does not say its version.")
	} else if v < redisLeast {
		f.fail(RedisVersion, "Move to a version that is maintained.", "Redis %s is older than 6.2, the oldest that is tested.", oldest.Version)
	} else {
		f.ok(RedisVersion, "It is Redis %s.", oldest.Version)
	}
	if replica {
		f.fail(RedisPrimary, "Name the primary in REDIS_URL, or REDIS_MODE=sentinel with the sentinels.", "The server is a replica: it takes no writes.")
	} else {
		f.ok(RedisPrimary, "It is a primary and takes writes.")
	}
	if evicts != "" {
		f.fail(RedisEviction, "Set maxmemory-policy to noeviction.", "maxmemory-policy is %s: a full Redis drops logins under way and the marks of used messages.", evicts)
	} else {
		f.ok(RedisEviction, "A full Redis refuses, and drops nothing.")
	}
	switch {
	case fullest >= 95:
		f.fail(RedisMemory, "Raise maxmemory, or see what else is kept there.", "%d %% of maxmemory are in use: sign-ins are about to be refused.", fullest)
	case fullest >= 80:
		f.warn(RedisMemory, "Raise maxmemory, or see what else is kept there.", "%d %% of maxmemory are in use.", fullest)
	default:
		f.ok(RedisMemory, "There is memory left.")
	}
	switch {
	case unsaved:
		f.warn(RedisPersistence, "See the disk and the log of Redis.", "The last attempt of Redis to write its data to disk has failed.")
	case forgets:
		f.warn(RedisPersistence, "Set appendonly yes, or run a replica with Sentinel or Cluster.", "A restart of Redis forgets logins under way and which messages were used: it has no append-only file and no replica.")
	default:
		f.ok(RedisPersistence, "A restart of Redis forgets nothing: it has an append-only file, or replicas.")
	}
}

func judgeTopology(f *finds, servers []redisdb.Server, mode redisdb.Mode) {
	if mode == "" {
		mode = redisdb.Single
	}
	cluster, broken := servers[0].Mode == "cluster", false
	for _, s := range servers {
		broken = broken || s.ClusterState != "" && s.ClusterState != "ok"
	}
	switch {
	case broken:
		f.fail(RedisTopology, "Look at CLUSTER INFO and CLUSTER SHARDS: slots have no primary.", "The cluster is down.")
	case cluster && mode != redisdb.Cluster:
		f.fail(RedisTopology, "Set REDIS_MODE=cluster.", "The server is one of a cluster, and REDIS_MODE is %s.", mode)
	case !cluster && mode == redisdb.Cluster:
		f.fail(RedisTopology, "Set REDIS_MODE=single or sentinel.", "REDIS_MODE is cluster, and the server is not one of a cluster.")
	case mode == redisdb.Sentinel && servers[0].Replicas == 0:
		f.warn(RedisTopology, "Start a replica of the primary.", "Sentinel has nobody to promote: the primary has no replica.")
	default:
		f.ok(RedisTopology, "It is what REDIS_MODE=%s says.", mode)
	}
}

// redisVersion gives major*100+minor, 0 for none.
func redisVersion(v string) int {
	parts := strings.Split(v, ".")
	if len(parts) < 2 {
		return 0
	}
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(parts[1])
	return major*100 + minor
}

// RedisDown says why Redis did not answer, without its address.
func RedisDown(err error) []Finding {
	var f finds
	switch {
	case redisdb.Refused(err):
		f.fail(RedisReachable, "See user and password of REDIS_URL, and the rights of the user (ACL).", "Redis answers and refuses the user of REDIS_URL, or what it asks.")
	default:
		f.fail(RedisReachable, "See that REDIS_URL and REDIS_MODE are right, and that every address is reachable from this machine.", "Redis does not answer%s.", because(err))
	}
	return f
}
