// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	engine "github.com/dify-sso/dify-sso/pkg/limits"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/settings"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/limits"
)

// Program is the service's name as its messages say it, and DatabaseFile what its
// embedded database is called in DATA_DIR.
const (
	Program      = "sso-bridge"
	DatabaseFile = "bridge.db"
)

// Settings are a Config that has been judged, with what derives from it.
type Settings struct {
	Config
	// Public is the origin under which browsers reach the bridge, Core that to which a
	// login returns, CoreInner the base of core's second listener.
	Public, Core, CoreInner *url.URL
	// Warnings tell of settings that are unusual.
	Warnings []string

	level     slog.Level
	overrides map[engine.Name]engine.Override
	coreRoots *x509.CertPool // nil takes the system's
	egress    egress.Options
	keys      *keyset.Set // as the file was when the settings were read
	declared  []connection.Declaration
}

// Logger is the service's structured log as the settings ask for it.
func (s *Settings) Logger(w io.Writer) *slog.Logger {
	return telemetry.NewLogger(w, s.level, s.LogFormat)
}

// Embedded reports whether everything is kept in DATA_DIR, for this process alone.
func (s *Settings) Embedded() bool { return s.DatabaseURL.IsZero() }

// ControlSocket is where commands reach the process that serves; empty where each process
// opens the stores for itself.
func (s *Settings) ControlSocket() string {
	if !s.Embedded() {
		return ""
	}
	return filepath.Join(s.DataDir, datadir.ControlFile)
}

// Database is the file of the embedded database.
func (s *Settings) Database() string { return filepath.Join(s.DataDir, DatabaseFile) }

// Sources are where settings come from; the last named wins.
type Sources struct {
	// File is the path of a YAML file; empty takes sso-bridge.yaml of the working
	// directory where there is one.
	File    string
	Environ []string
	Flags   map[string]string
	// DatabaseAlone is set by commands that touch nothing else: they need no keys and no
	// addresses.
	DatabaseAlone bool
}

// Load reads and judges the settings. It reports all problems at once, as
// config.Problems. Secrets are taken out of the environment of this process.
func Load(src Sources) (*Settings, error) {
	cfg := Defaults()
	o := config.Options{Environ: src.Environ, Flags: src.Flags, ReadFile: os.ReadFile, Unsetenv: os.Unsetenv, YAMLName: src.File}
	if o.YAMLName == "" {
		o.YAMLName = Program + ".yaml"
	}
	content, err := os.ReadFile(o.YAMLName)
	if err != nil && (src.File != "" || !os.IsNotExist(err)) {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	o.YAML = content
	var problems config.Problems
	if err := config.Load(&cfg, o); err != nil {
		found, ok := err.(config.Problems) //nolint:errorlint // Load returns it as it is
		if !ok {
			return nil, err
		}
		problems = found
	}
	s := &Settings{Config: cfg}
	s.judge(src.DatabaseAlone, &problems)
	if !src.DatabaseAlone {
		s.judgeAddresses(&problems)
		s.judgeEgress(&problems)
		s.judgeFiles(&problems)
		s.tls().Judge(&problems)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// judge checks ranges and what must fit together.
func (s *Settings) judge(alone bool, problems *config.Problems) {
	settings.Listeners(problems, s.Listen, s.InnerListen)
	settings.Within(problems, "DATABASE_MAX_CONNS", s.DatabaseMaxConns, 1, 1000)
	settings.Within(problems, "MAX_CONNECTIONS", s.MaxConnections, 16, 1_000_000)
	settings.Within(problems, "SSO_ATTEMPT_RETENTION_DAYS", s.AttemptRetention, 1, 365)
	settings.Within(problems, "AUDIT_RETENTION_DAYS", s.AuditRetentionDays, 0, MaxAuditDays)
	settings.Times(problems, s.ShutdownDelay, s.ShutdownGrace, s.ReadTimeout, s.IdleTimeout)
	s.level = settings.Log(problems, s.LogLevel, s.LogFormat)
	settings.Traces(problems, s.OTLPEndpoint, s.OTLPHeaders, s.TracesRatio)
	settings.SecretKeys(problems, s.SecretKey, s.SecretKeyPrevious, s.Embedded(), Program)
	settings.Postgres(problems, s.DatabaseURL, s.MigrateDatabaseURL)
	settings.Fleet(problems, s.DatabaseURL, s.RedisURL, alone)
	if !s.Embedded() && !alone {
		if s.SecretKey.IsZero() {
			problems.Add("SECRET_KEY", "is required with DATABASE_URL: every process needs the same one")
		}
		if s.SealingKeyFile == "" {
			problems.Add("SEALING_KEY_FILE", "is required with DATABASE_URL: every process needs the same one")
		}
	}
	if !s.RedisURL.IsZero() {
		for _, p := range s.redis().Validate() {
			problems.Add("REDIS_"+p.Setting, "%s", p.Text)
		}
	}
	if utf8.RuneCountInString(s.Contact) > maxContact {
		problems.Add("SSO_CONTACT", "must have at most %d characters", maxContact)
	}
	if s.PprofEnabled {
		s.Warnings = append(s.Warnings, "PPROF_ENABLED=true: whoever reaches the second listener can read this process's memory")
	}
	s.judgeDataDir(problems)
	wrong := func(format string, args ...any) { problems.Add("RATE_LIMITS", format, args...) }
	s.overrides = limits.Policies().Parse(s.RateLimits, wrong)
	for _, name := range slices.Sorted(maps.Keys(s.overrides)) {
		if s.overrides[name].Limit == 0 {
			s.Warnings = append(s.Warnings, fmt.Sprintf("the rate limit %s is off", name))
		}
	}
}

// MaxAuditDays is the longest time for which audit events can be asked to be kept.
const MaxAuditDays = 36_500

const maxContact = 200 // characters

// judgeDataDir keeps the bridge out of core's directory: each would take the other's keys
// for its own.
func (s *Settings) judgeDataDir(problems *config.Problems) {
	if !s.Embedded() {
		return
	}
	if s.DataDir == "" {
		problems.Add("DATA_DIR", "must name a directory")
		return
	}
	if _, err := os.Stat(filepath.Join(s.DataDir, "core.db")); err == nil {
		problems.Add("DATA_DIR", "is core's: the bridge needs a directory of its own")
	}
}

func (s *Settings) judgeAddresses(problems *config.Problems) {
	origin := func(key, value string) *url.URL {
		if value == "" {
			problems.Add(key, "is required")
			return nil
		}
		u, wrong := settings.Origin(value)
		if wrong != "" {
			problems.Add(key, "%s", wrong)
		}
		return u
	}
	s.Public = origin("SSO_BRIDGE_PUBLIC_URL", s.PublicURL)
	s.Core = origin("CONSOLE_API_URL", s.ConsoleAPIURL)
	if s.ConsoleWebURL != "" {
		if web := origin("CONSOLE_WEB_URL", s.ConsoleWebURL); web != nil && s.Core != nil && *web != *s.Core {
			problems.Add("CONSOLE_WEB_URL", "must have the same origin as CONSOLE_API_URL")
		}
	}
	if s.Public != nil && s.Core != nil && s.Public.Hostname() == s.Core.Hostname() && !settings.Loopback(s.Public.Hostname()) {
		s.Warnings = append(s.Warnings, "SSO_BRIDGE_PUBLIC_URL is on the host of CONSOLE_API_URL: browsers send console sessions to the bridge too; a host of its own keeps them from it")
	}
	if s.CoreInnerURL == "" {
		problems.Add("CORE_INNER_URL", "is required")
	} else {
		inner, clear, wrong := settings.Inner(s.CoreInnerURL, "https://core.internal:5002")
		if wrong != "" {
			problems.Add("CORE_INNER_URL", "%s", wrong)
		}
		if clear {
			s.Warnings = append(s.Warnings, "CORE_INNER_URL is plain http: whoever sits between the bridge and core reads which connections end")
		}
		s.CoreInner = inner
	}
	s.coreRoots = roots("CORE_CA_FILE", s.CoreCAFile, problems)
}

func roots(key, path string, problems *config.Problems) *x509.CertPool {
	if path == "" {
		return nil
	}
	pool, err := settings.Roots(path)
	if err != nil {
		problems.Add(key, "%s", err)
	}
	return pool
}

func (s *Settings) judgeEgress(problems *config.Problems) {
	s.egress = egress.Options{Proxy: s.EgressProxyURL, Roots: roots("EGRESS_CA_FILE", s.EgressCAFile, problems), Now: time.Now}
	if _, err := egress.New(s.egress); err != nil {
		problems.Add("EGRESS_PROXY_URL", "must be an http or https address")
		s.egress.Proxy = ""
	}
	s.egress.Allow = s.EgressAllow
	if _, err := egress.New(s.egress); err != nil {
		problems.Add("EGRESS_ALLOW", "must be a comma list of hosts and CIDRs")
	}
}

// judgeFiles reads the key set and the connections file, so that their problems are
// listed with all others. Keys that the bridge may have made itself are compared when
// they are known.
func (s *Settings) judgeFiles(problems *config.Problems) {
	if s.KeysetFile == "" {
		problems.Add("KEYSET_FILE", "is required: core keyset new makes it")
	} else if set, err := keyset.Load(s.KeysetFile, time.Now()); err != nil {
		for _, p := range keyset.Problems(err) {
			problems.Add("KEYSET_FILE", "%s", p)
		}
	} else {
		s.keys = set
	}
	var sealing []byte
	if s.SealingKeyFile != "" {
		sealing, _ = os.ReadFile(s.SealingKeyFile) // an unreadable one is reported where it is needed
	}
	ownkeys.Apart(s.keys, s.SecretKey, s.SecretKeyPrevious, sealing, problems)
	declared, err := s.readConnections()
	for _, p := range connectionProblems(err) {
		problems.Add("CONNECTIONS_FILE", "%s", p)
	}
	s.declared = declared
}

// readConnections gives what the connections file declares; nil without one.
func (s *Settings) readConnections() ([]connection.Declaration, error) {
	if s.ConnectionsFile == "" {
		return nil, nil
	}
	content, err := os.ReadFile(s.ConnectionsFile)
	if err != nil {
		return nil, err
	}
	return connection.ParseFile(content, os.ReadFile)
}

func connectionProblems(err error) (texts []string) {
	if err == nil {
		return nil
	}
	if found, ok := errors.AsType[connection.FileError](err); ok {
		for _, p := range found {
			texts = append(texts, p.String())
		}
		return texts
	}
	return []string{err.Error()}
}

func (s *Settings) redis() redisdb.Options {
	return redisdb.Options{
		URL: s.RedisURL, Mode: redisdb.Mode(s.RedisMode), MasterName: s.RedisMasterName, SentinelPassword: s.RedisSentinelPassword,
		CAFile: s.RedisCAFile, KeyPrefix: s.RedisKeyPrefix,
	}
}

func (s *Settings) tls() settings.TLS {
	return settings.TLS{CertFile: s.TLSCertFile, KeyFile: s.TLSKeyFile, PublicKey: "SSO_BRIDGE_PUBLIC_URL", Public: s.Public}
}

// Certificate reads the pair that the settings name; nil where they name none. It returns
// config.Problems, and adds a warning of a pair that serves nobody well.
func (s *Settings) Certificate(now func() time.Time, log *slog.Logger) (*server.Certificate, error) {
	cert, warnings, err := s.tls().Load(now, log, len(s.TrustedProxies) > 0)
	s.Warnings = append(s.Warnings, warnings...)
	return cert, err
}
