// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net/netip"
	"time"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Config is every setting of the bridge (docs/reference/sso-bridge-config.md). The tags
// are what "sso-bridge config print" and the reference show.
type Config struct {
	PublicURL     string `env:"SSO_BRIDGE_PUBLIC_URL" doc:"base address under which browsers reach the bridge, without a path; every address that it publishes is built from it; https unless loopback; required"`
	ConsoleAPIURL string `env:"CONSOLE_API_URL" doc:"core's origin, the only one that a login returns to; required"`
	ConsoleWebURL string `env:"CONSOLE_WEB_URL" doc:"address of core's pages; the same origin as CONSOLE_API_URL; empty takes that one"`

	KeysetFile   string `env:"KEYSET_FILE" doc:"file of the secrets that core and the bridge share, the same content as core's, with mode 0640 or tighter; core keyset new makes one; read again on SIGHUP; required"`
	CoreInnerURL string `env:"CORE_INNER_URL" doc:"base address of core's second listener, such as https://core.internal:5002; https, or http with a warning off loopback; required"`
	CoreCAFile   string `env:"CORE_CA_FILE" doc:"PEM file of roots to trust beside the system's, for CORE_INNER_URL"`

	Listen      string `env:"LISTEN" doc:"address of the public listener: /sso/ alone"`
	InnerListen string `env:"INNER_LISTEN" doc:"address of the second listener: what core asks, health, readiness, metrics; never public"`

	TLSCertFile string `env:"TLS_CERT_FILE" doc:"PEM file with the certificate and those up to the root; both listeners then serve https; read again when it changes and on SIGHUP"`
	TLSKeyFile  string `env:"TLS_KEY_FILE" doc:"PEM file with the certificate's private key"`

	ConnectionsFile  string `env:"CONNECTIONS_FILE" doc:"YAML file that declares connections and wins over commands for those; reconciled at start and on SIGHUP"`
	AttemptRetention int    `env:"SSO_ATTEMPT_RETENTION_DAYS" doc:"days for which the trace of a login, a message that core has acknowledged, and metadata that served before are kept; 1 to 365"`
	Contact          string `env:"SSO_CONTACT" doc:"text or address shown on error pages as your administrator; at most 200 characters"`

	EgressAllow    []string `env:"EGRESS_ALLOW" doc:"hosts and CIDRs of identity providers that may be called although they are not public, as a comma list"`
	EgressProxyURL string   `env:"EGRESS_PROXY_URL" doc:"http or https proxy for calls to identity providers; HTTP_PROXY and its kin are ignored"`
	EgressCAFile   string   `env:"EGRESS_CA_FILE" doc:"PEM file of roots to trust beside the system's, for identity providers"`

	DataDir           string      `env:"DATA_DIR" doc:"directory of the embedded database, generated keys, the lock and the control socket; never core's; unused with DATABASE_URL"`
	SecretKey         secret.Text `env:"SECRET_KEY" doc:"at least 32 bytes, not core's; what seals logins under way and hashes people in traces derives from it; created in DATA_DIR when empty, required with DATABASE_URL"`
	SecretKeyPrevious secret.Text `env:"SECRET_KEY_PREVIOUS" doc:"the former SECRET_KEY, accepted for logins under way and the canary until this is removed"`
	SealingKeyFile    string      `env:"SEALING_KEY_FILE" doc:"file with one id:base64(32 bytes) per line, the first seals, all open; created in DATA_DIR when empty, required with DATABASE_URL"`

	DatabaseURL        secret.Text `env:"DATABASE_URL" doc:"Postgres of a fleet, postgres://user:password@host/database, with credentials of its own; it may be core's database; empty keeps everything in DATA_DIR"`
	DatabaseMaxConns   int         `env:"DATABASE_MAX_CONNS" doc:"connections to Postgres of each process; 1 to 1000"`
	MigrateDatabaseURL secret.Text `env:"MIGRATE_DATABASE_URL" doc:"address for sso-bridge migrate and sso-bridge audit prune alone, under the role that owns the tables; empty takes DATABASE_URL"`

	RedisURL              secret.Text `env:"REDIS_URL" doc:"short-lived store of a fleet, redis:// or rediss://, with credentials of its own; several addresses as a comma list; needs DATABASE_URL"`
	RedisMode             string      `env:"REDIS_MODE" doc:"single, sentinel or cluster"`
	RedisMasterName       string      `env:"REDIS_MASTER_NAME" doc:"name of the master in sentinel mode"`
	RedisSentinelPassword secret.Text `env:"REDIS_SENTINEL_PASSWORD" doc:"password of the sentinels"`
	RedisCAFile           string      `env:"REDIS_CA_FILE" doc:"PEM file of roots to trust beside the system's, for rediss://"`
	RedisKeyPrefix        string      `env:"REDIS_KEY_PREFIX" doc:"before every key; at most 32 of letters, digits, :, _ and -"`

	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES" doc:"networks whose X-Forwarded-For counts, as a comma list of CIDRs"`
	RateLimits     string         `env:"RATE_LIMITS" doc:"overrides of any limit by name, such as bridge.start.addr=600/5m,bridge.error.addr=0"`

	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY" doc:"from not ready to closed listeners"`
	ShutdownGrace time.Duration `env:"SHUTDOWN_GRACE" doc:"what running requests then get"`

	ReadTimeout    time.Duration `env:"READ_TIMEOUT" doc:"time to read a request"`
	IdleTimeout    time.Duration `env:"IDLE_TIMEOUT" doc:"life of an idle connection"`
	MaxConnections int           `env:"MAX_CONNECTIONS" doc:"connections at once on the public listener; 16 to 1000000"`

	LogLevel  string `env:"LOG_LEVEL" doc:"debug, info, warn or error"`
	LogFormat string `env:"LOG_FORMAT" doc:"json or text"`

	OTLPEndpoint string      `env:"OTEL_EXPORTER_OTLP_ENDPOINT" doc:"base address of an OpenTelemetry collector that takes OTLP over HTTP, such as http://127.0.0.1:4318; traces go to /v1/traces below it; empty records none"`
	OTLPHeaders  secret.Text `env:"OTEL_EXPORTER_OTLP_HEADERS" doc:"headers for the collector, such as authorization=Bearer%20secret, as a comma list; values in percent encoding"`
	TracesRatio  string      `env:"OTEL_TRACES_SAMPLER_ARG" doc:"part of the traces that begin here which is recorded; 0 to 1"`

	PprofEnabled bool `env:"PPROF_ENABLED" doc:"whether the second listener serves Go's profiles under /debug/pprof; they show addresses and the memory of requests"`

	AuditRetentionDays int `env:"AUDIT_RETENTION_DAYS" doc:"days of audit events that sso-bridge audit prune keeps; 0 to 36500, 0 keeps all"`
}

// Defaults are the settings of a fresh embedded installation. What has no default that
// fits anybody is empty and required.
func Defaults() Config {
	return Config{
		Listen: "127.0.0.1:5003", InnerListen: "127.0.0.1:5004",
		DataDir: "./bridge-data", DatabaseMaxConns: 16, RedisMode: string(redisdb.Single),
		AttemptRetention: 30,
		ShutdownGrace:    20 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxConnections: 10_000,
		LogLevel: "info", LogFormat: "json", TracesRatio: "1",
	}
}
