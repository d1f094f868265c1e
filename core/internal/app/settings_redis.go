// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/settings"
)

// judgeRedis checks where the short-lived store is. Half of a fleet is refused:
// processes that share a database and not this store would not finish each other's
// logins, and a revoke on one would not reach the other. A command that touches the
// database alone may leave it out.
func (s *Settings) judgeRedis(alone bool, problems *config.Problems) {
	settings.Fleet(problems, s.DatabaseURL, s.RedisURL, alone)
	if s.RedisURL.IsZero() {
		return
	}
	for _, p := range s.redis().Validate() {
		problems.Add("REDIS_"+p.Setting, "%s", p.Text)
	}
}

// redis gives the settings of the short-lived store.
func (s *Settings) redis() redisdb.Options {
	return redisdb.Options{
		URL: s.RedisURL, Mode: redisdb.Mode(s.RedisMode), MasterName: s.RedisMasterName, SentinelPassword: s.RedisSentinelPassword,
		CAFile: s.RedisCAFile, KeyPrefix: s.RedisKeyPrefix,
	}
}
