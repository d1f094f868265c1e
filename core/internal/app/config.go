// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net/netip"
	"time"

	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Config is every setting of core (docs/config.md). The tags are what
// "core config print" and the reference show.
type Config struct {
	Listen      string `env:"LISTEN" doc:"address of the public listener"`
	InnerListen string `env:"INNER_LISTEN" doc:"address of the second listener: health, readiness, metrics; never public"`

	TLSCertFile string `env:"TLS_CERT_FILE" doc:"PEM file with the certificate and those up to the root; both listeners then serve https; read again when it changes and on SIGHUP"`
	TLSKeyFile  string `env:"TLS_KEY_FILE" doc:"PEM file with the certificate's private key"`

	ConsoleAPIURL string `env:"CONSOLE_API_URL" doc:"public base address, without a path; https unless loopback"`
	ConsoleWebURL string `env:"CONSOLE_WEB_URL" doc:"address of the pages; the same origin as CONSOLE_API_URL; empty takes that one"`

	DataDir           string      `env:"DATA_DIR" doc:"directory of the embedded database, generated keys and the lock; unused with DATABASE_URL"`
	SecretKey         secret.Text `env:"SECRET_KEY" doc:"at least 32 bytes; CSRF tokens and user-code digests derive from it; created in DATA_DIR when empty, required with DATABASE_URL"`
	SecretKeyPrevious secret.Text `env:"SECRET_KEY_PREVIOUS" doc:"the former SECRET_KEY, accepted for what was made under it until this is removed (docs/operating/keys.md)"`
	SealingKeyFile    string      `env:"SEALING_KEY_FILE" doc:"file with one id:base64(32 bytes) per line, the first seals, all open; created in DATA_DIR when empty, required with DATABASE_URL"`

	DatabaseURL        secret.Text `env:"DATABASE_URL" doc:"Postgres of a fleet, postgres://user:password@host/database; several hosts as a comma list with target_session_attrs=read-write; empty keeps everything in DATA_DIR"`
	DatabaseMaxConns   int         `env:"DATABASE_MAX_CONNS" doc:"connections to Postgres of each process; 1 to 1000"`
	MigrateDatabaseURL secret.Text `env:"MIGRATE_DATABASE_URL" doc:"address for core migrate and core audit prune alone, under the role that owns the tables; empty takes DATABASE_URL"`

	RedisURL              secret.Text `env:"REDIS_URL" doc:"short-lived store of a fleet, redis:// or rediss://, several addresses as a comma list; empty keeps it in this process; needs DATABASE_URL"`
	RedisMode             string      `env:"REDIS_MODE" doc:"single, sentinel or cluster"`
	RedisMasterName       string      `env:"REDIS_MASTER_NAME" doc:"name of the master in sentinel mode"`
	RedisSentinelPassword secret.Text `env:"REDIS_SENTINEL_PASSWORD" doc:"password of the sentinels"`
	RedisCAFile           string      `env:"REDIS_CA_FILE" doc:"PEM file of roots to trust beside the system's, for rediss://"`
	RedisKeyPrefix        string      `env:"REDIS_KEY_PREFIX" doc:"before every key; at most 32 of letters, digits, :, _ and -"`

	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES" doc:"networks whose X-Forwarded-For counts, as a comma list of CIDRs"`

	OpenAPIEnabled   bool     `env:"OPENAPI_ENABLED" doc:"false removes the API and the pages of its device flow: /openapi/v1, /device and their metadata are 404"`
	EnableBearer     bool     `env:"ENABLE_OAUTH_BEARER" doc:"false takes no access token and signs no device in: 503 bearer_auth_disabled; introspection and revocation go on"`
	CORSAllowOrigins []string `env:"OPENAPI_CORS_ALLOW_ORIGINS" doc:"origins whose pages may use the API from a browser, such as https://console.example.com, as a comma list; never *"`

	KnownClientIDs []string `env:"OPENAPI_KNOWN_CLIENT_IDS" doc:"client ids that may ask for a device code"`

	ForwardAuthKey secret.Text `env:"FORWARD_AUTH_KEY" doc:"at least 32 bytes; opens the routes of the second listener by which proxies ask about a bearer, which do not exist without it"`
	// ForwardAuthKeyPrevious lets callers change one after the other.
	ForwardAuthKeyPrevious secret.Text `env:"FORWARD_AUTH_KEY_PREVIOUS" doc:"the former FORWARD_AUTH_KEY, taken too until this is removed (docs/operating/keys.md)"`

	IntrospectionClients []string `env:"INTROSPECTION_CLIENTS" doc:"services that may introspect tokens, as a comma list of id:hex, the SHA-256 of a secret of at least 32 bytes"`

	LinkedCodes bool `env:"DEVICE_VERIFICATION_URI_COMPLETE_ENABLED" doc:"whether devices get a link that fills in their code; who allows such a code ticks that it matches. Off, every code is typed"`

	RateLimitPerToken int    `env:"OPENAPI_RATE_LIMIT_PER_TOKEN" doc:"requests per minute and token; 0 to 100000, 0 is off"`
	ApproveRateLimit  int    `env:"DEVICE_FLOW_APPROVE_RATE_LIMIT_PER_HOUR" doc:"decisions per hour and account; 1 to 1000"`
	RateLimits        string `env:"RATE_LIMITS" doc:"overrides of any limit by name, such as device.code.addr=120/1h,bearer.token=0"`
	DeviceMaxGrants   int    `env:"DEVICE_MAX_GRANTS" doc:"live device authorizations kept in process; beyond it 503"`
	OAuthTTLDays      int    `env:"OAUTH_TTL_DAYS" doc:"life of a token in days; brought into 1 to 365"`
	TokenRetention    int    `env:"OAUTH_ACCESS_TOKEN_RETENTION_DAYS" doc:"days for which a token stays on record after its end; 1 to 3650"`
	CleanTokens       bool   `env:"ENABLE_CLEAN_OAUTH_ACCESS_TOKENS_TASK" doc:"whether tokens are deleted after that time; false keeps them all"`
	SessionIdleHours  int    `env:"SESSION_IDLE_HOURS" doc:"hours after which an unseen browser is signed out unless remembered; 1 to 168"`
	SessionMaxDays    int    `env:"SESSION_MAX_DAYS" doc:"days after which every browser is signed out; 1 to 90"`
	PasswordMinLength int    `env:"PASSWORD_MIN_LENGTH" doc:"least length of a new password in characters; 8 to 64"`

	MemberLimit int `env:"WORKSPACE_MEMBER_LIMIT" doc:"members that a workspace may have, those included that have not accepted yet; 0 to 1000000, 0 is no limit"`

	Enterprise      bool          `env:"ENTERPRISE_ENABLED" doc:"true is the Enterprise Edition: sign-in through a company's identity provider, by sso-bridge; it needs SSO_BRIDGE_URL, SSO_BRIDGE_PUBLIC_URL and KEYSET_FILE, and without it the settings of this group are ignored"`
	BridgeURL       string        `env:"SSO_BRIDGE_URL" doc:"base address of the second listener of sso-bridge, such as https://sso-bridge.internal:5004; https, or http with a warning off loopback"`
	BridgePublicURL string        `env:"SSO_BRIDGE_PUBLIC_URL" doc:"base address under which browsers reach sso-bridge, without a path; https unless loopback"`
	BridgeCAFile    string        `env:"SSO_BRIDGE_CA_FILE" doc:"PEM file of roots to trust beside the system's, for SSO_BRIDGE_URL"`
	BridgeTimeout   time.Duration `env:"SSO_BRIDGE_TIMEOUT" doc:"time for one call of sso-bridge, its answer read; 1s to 30s"`
	KeysetFile      string        `env:"KEYSET_FILE" doc:"file of the secrets that core and sso-bridge share, with mode 0640 or tighter; core keyset new makes one; read again on SIGHUP"`
	CompanyDevices  bool          `env:"SSO_DEVICE_ENABLED" doc:"whether people of an identity provider can sign devices in; false: the routes of that sign-in answer as without the Enterprise Edition, and tokens that exist go on"`
	CompanyAccounts bool          `env:"SSO_ACCOUNT_ENABLED" doc:"whether accounts can sign in to the console through an identity provider; false answers as without the Enterprise Edition"`

	RuntimeAllowedHosts   []string      `env:"RUNTIME_ALLOWED_HOSTS" doc:"hosts, addresses and CIDRs that runtimes of apps may have, as a comma list, such as 127.0.0.1 for a runtime on this machine; nothing else is called then; empty lets public and private networks be called, loopback and link-local never; where core itself listens takes an entry with the port"`
	DSLImportRuntime      string        `env:"DSL_IMPORT_RUNTIME" doc:"base address of the runtime that makes apps from descriptions which people import; empty refuses them; needs DSL_IMPORT_KEY"`
	DSLImportKey          secret.Text   `env:"DSL_IMPORT_KEY" doc:"what that runtime takes imports of new apps by; needed with DSL_IMPORT_RUNTIME"`
	RuntimeConnectTimeout time.Duration `env:"RUNTIME_CONNECT_TIMEOUT" doc:"time to reach an app's runtime"`
	RuntimeHeaderTimeout  time.Duration `env:"RUNTIME_HEADER_TIMEOUT" doc:"time until a runtime begins to answer"`
	RuntimeIdleTimeout    time.Duration `env:"RUNTIME_IDLE_TIMEOUT" doc:"longest silence of a runtime between two events of a stream"`
	RunMaxDuration        time.Duration `env:"RUN_MAX_DURATION" doc:"longest streaming run"`
	RunBlockingTimeout    time.Duration `env:"RUN_BLOCKING_TIMEOUT" doc:"time for a run whose answer comes in one piece"`
	RunStopOnDisconnect   bool          `env:"RUN_STOP_ON_DISCONNECT" doc:"whether the runtime's work is stopped when the client has left"`
	RunRetentionDays      int           `env:"RUN_RETENTION_DAYS" doc:"days for which a run stays on record; 1 to 3650"`
	DefaultActiveRequests int           `env:"APP_DEFAULT_ACTIVE_REQUESTS" doc:"runs of an app that go on at once unless the app says otherwise; 0 to 1000000, 0 is no limit"`
	MaxActiveRequests     int           `env:"APP_MAX_ACTIVE_REQUESTS" doc:"runs of an app that go on at once whatever the app says; 0 to 1000000, 0 is no limit"`

	UploadFileLimit  int      `env:"UPLOAD_FILE_SIZE_LIMIT" doc:"largest file in MiB; 1 to 1024"`
	UploadImageLimit int      `env:"UPLOAD_IMAGE_FILE_SIZE_LIMIT" doc:"largest image in MiB; 1 to 1024"`
	UploadAudioLimit int      `env:"UPLOAD_AUDIO_FILE_SIZE_LIMIT" doc:"largest audio file in MiB; 1 to 1024"`
	UploadVideoLimit int      `env:"UPLOAD_VIDEO_FILE_SIZE_LIMIT" doc:"largest video file in MiB; 1 to 1024"`
	UploadBlocked    []string `env:"UPLOAD_FILE_EXTENSION_BLACKLIST" doc:"file name extensions that are refused, as a comma list"`

	OperatorKey secret.Text `env:"OPERATOR_API_KEY" doc:"at least 32 bytes; opens the operator's routes of the second listener, which do not exist without it"`
	// OperatorKeyPrevious lets callers change one after the other.
	OperatorKeyPrevious secret.Text `env:"OPERATOR_API_KEY_PREVIOUS" doc:"the former OPERATOR_API_KEY, taken too until this is removed (docs/operating/keys.md)"`

	SetupToken secret.Text `env:"SETUP_TOKEN" doc:"set-up code to use in place of one that is drawn"`

	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY" doc:"from not ready to closed listeners"`
	ShutdownGrace time.Duration `env:"SHUTDOWN_GRACE" doc:"what running requests then get"`

	ReadTimeout    time.Duration `env:"READ_TIMEOUT" doc:"time to read a request"`
	IdleTimeout    time.Duration `env:"IDLE_TIMEOUT" doc:"life of an idle connection"`
	MaxHeaderBytes int           `env:"MAX_HEADER_BYTES" doc:"largest header block in bytes; 4096 to 65536"`
	MaxConnections int           `env:"MAX_CONNECTIONS" doc:"connections at once on the public listener; 16 to 1000000"`

	LogLevel  string `env:"LOG_LEVEL" doc:"debug, info, warn or error"`
	LogFormat string `env:"LOG_FORMAT" doc:"json or text"`

	OTLPEndpoint string      `env:"OTEL_EXPORTER_OTLP_ENDPOINT" doc:"base address of an OpenTelemetry collector that takes OTLP over HTTP, such as http://127.0.0.1:4318; traces go to /v1/traces below it; empty records none"`
	OTLPHeaders  secret.Text `env:"OTEL_EXPORTER_OTLP_HEADERS" doc:"headers for the collector, such as authorization=Bearer%20secret, as a comma list; values in percent encoding"`
	TracesRatio  string      `env:"OTEL_TRACES_SAMPLER_ARG" doc:"part of the traces that begin here which is recorded; 0 to 1"`

	PprofEnabled bool `env:"PPROF_ENABLED" doc:"whether the second listener serves Go's profiles under /debug/pprof; they show addresses and the memory of requests"`

	AuditRetentionDays int `env:"AUDIT_RETENTION_DAYS" doc:"days of audit events that core audit prune keeps; 0 to 36500, 0 keeps all"`
}

// Defaults are the settings of a fresh embedded installation on one machine.
func Defaults() Config {
	return Config{
		Listen: "127.0.0.1:5001", InnerListen: "127.0.0.1:5002",
		ConsoleAPIURL: "http://127.0.0.1:5001",
		DataDir:       "./data", DatabaseMaxConns: 16,
		RedisMode: string(redisdb.Single),

		OpenAPIEnabled: true, EnableBearer: true,
		KnownClientIDs:    []string{"difyctl", "difyauth"},
		RateLimitPerToken: 60, ApproveRateLimit: 10,
		DeviceMaxGrants: 100_000, OAuthTTLDays: 14, TokenRetention: 30, CleanTokens: true,
		SessionIdleHours: 12, SessionMaxDays: 30, PasswordMinLength: 8,

		BridgeTimeout: 5 * time.Second, CompanyDevices: true, CompanyAccounts: true,

		RuntimeConnectTimeout: 5 * time.Second, RuntimeHeaderTimeout: 30 * time.Second, RuntimeIdleTimeout: time.Minute,
		RunMaxDuration: 20 * time.Minute, RunBlockingTimeout: 100 * time.Second, RunStopOnDisconnect: true, RunRetentionDays: 30,
		UploadFileLimit: 15, UploadImageLimit: 10, UploadAudioLimit: 50, UploadVideoLimit: 100,

		ShutdownGrace: 20 * time.Second,
		ReadTimeout:   10 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, MaxConnections: 10_000,
		LogLevel: "info", LogFormat: "json", TracesRatio: "1",
	}
}
