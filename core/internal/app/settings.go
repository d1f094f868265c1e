// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/settings"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// Settings are a Config that has been judged, with what derives from it.
type Settings struct {
	Config
	// Public is the origin under which people and clients reach this service.
	Public *url.URL
	// Warnings tell of settings that were changed or are unusual.
	Warnings  []string
	level     slog.Level
	overrides map[limits.Name]limits.Override
	clients   *authz.Clients
	sso       *ssoSettings // nil without the Enterprise Edition
}

// Logger is the service's structured log as the settings ask for it.
func (s *Settings) Logger(w io.Writer) *slog.Logger {
	return telemetry.NewLogger(w, s.level, s.LogFormat)
}

// Embedded reports whether everything is kept in DATA_DIR, for this process alone.
func (s *Settings) Embedded() bool { return s.DatabaseURL.IsZero() }

// ControlSocket is where commands reach the process that serves; empty where each
// process opens the stores for itself.
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
	// File is the path of a YAML file; empty takes core.yaml of the working directory
	// where there is one.
	File    string
	Environ []string
	Flags   map[string]string
	// DatabaseAlone is set by commands that touch nothing else: they need no keys.
	DatabaseAlone bool
}

// defaultFile is read when no other is named.
const defaultFile = "core.yaml"

// Load reads and judges the settings. It reports all problems at once, as
// config.Problems. Secrets are taken out of the environment of this process.
func Load(s Sources) (*Settings, error) {
	cfg := Defaults()
	o := config.Options{Environ: s.Environ, Flags: s.Flags, ReadFile: os.ReadFile, Unsetenv: os.Unsetenv, YAMLName: s.File}
	if o.YAMLName == "" {
		o.YAMLName = defaultFile
	}
	content, err := os.ReadFile(o.YAMLName)
	if err != nil && (s.File != "" || !os.IsNotExist(err)) {
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
	out := judge(cfg, &problems)
	if !s.DatabaseAlone {
		out.judgeEdition(&problems)
	}
	out.judgeDatabase(s.DatabaseAlone, &problems)
	out.judgeRedis(s.DatabaseAlone, &problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

// judge checks ranges and what must fit together.
func judge(cfg Config, problems *config.Problems) *Settings {
	s := &Settings{Config: cfg}
	s.judgeAddresses(problems)
	within := func(key string, value, least, most int) { settings.Within(problems, key, value, least, most) }
	within("OPENAPI_RATE_LIMIT_PER_TOKEN", cfg.RateLimitPerToken, 0, 100_000)
	within("DEVICE_FLOW_APPROVE_RATE_LIMIT_PER_HOUR", cfg.ApproveRateLimit, 1, 1000)
	within("DATABASE_MAX_CONNS", cfg.DatabaseMaxConns, 1, 1000)
	within("DEVICE_MAX_GRANTS", cfg.DeviceMaxGrants, 1, 10_000_000)
	within("OAUTH_ACCESS_TOKEN_RETENTION_DAYS", cfg.TokenRetention, 1, 3650)
	within("AUDIT_RETENTION_DAYS", cfg.AuditRetentionDays, 0, MaxAuditDays)
	within("SESSION_IDLE_HOURS", cfg.SessionIdleHours, 1, 168)
	within("SESSION_MAX_DAYS", cfg.SessionMaxDays, 1, 90)
	within("WORKSPACE_MEMBER_LIMIT", cfg.MemberLimit, 0, 1_000_000)
	within("PASSWORD_MIN_LENGTH", cfg.PasswordMinLength, 8, 64)
	within("MAX_HEADER_BYTES", cfg.MaxHeaderBytes, 4096, 65536)
	within("MAX_CONNECTIONS", cfg.MaxConnections, 16, 1_000_000)

	settings.Times(problems, cfg.ShutdownDelay, cfg.ShutdownGrace, cfg.ReadTimeout, cfg.IdleTimeout)
	settings.SecretKeys(problems, cfg.SecretKey, cfg.SecretKeyPrevious, cfg.DatabaseURL.IsZero(), Program)
	if !cfg.SetupToken.IsZero() && len(cfg.SetupToken.Reveal()) < minSetupToken {
		problems.Add("SETUP_TOKEN", "must have at least %d characters", minSetupToken)
	}
	judgeInnerKeys(cfg.innerKeys(), problems)
	if cfg.DataDir == "" && cfg.DatabaseURL.IsZero() {
		problems.Add("DATA_DIR", "must name a directory")
	}
	s.level = settings.Log(problems, cfg.LogLevel, cfg.LogFormat)
	settings.Traces(problems, cfg.OTLPEndpoint, cfg.OTLPHeaders, cfg.TracesRatio)
	if len(cfg.KnownClientIDs) == 0 || slices.ContainsFunc(cfg.KnownClientIDs, func(id string) bool { return !devicegrant.ValidClientID(id) }) {
		problems.Add("OPENAPI_KNOWN_CLIENT_IDS", "must be a comma list of client ids, at least one")
	}
	if clamped, changed := token.ClampTTLDays(cfg.OAuthTTLDays); changed {
		s.Warnings = append(s.Warnings, fmt.Sprintf("OAUTH_TTL_DAYS=%d was brought to %d", cfg.OAuthTTLDays, clamped))
		s.OAuthTTLDays = clamped
	}
	if !cfg.CleanTokens {
		s.Warnings = append(s.Warnings, "ENABLE_CLEAN_OAUTH_ACCESS_TOKENS_TASK=false: tokens that are over are never deleted")
	}
	if cfg.PprofEnabled {
		s.Warnings = append(s.Warnings, "PPROF_ENABLED=true: whoever reaches the second listener can read this process's memory")
	}
	s.judgeLimits(problems)
	s.judgeSwitches(problems)
	s.judgeCallers(problems)
	s.judgeApps(problems)
	s.judgeImports(problems)
	s.tls().Judge(problems)
	return s
}

// MaxAuditDays is the longest time for which audit events can be asked to be kept.
const MaxAuditDays = 36_500

// minSetupToken keeps a set-up code beyond guessing within its rate limit.
const minSetupToken = 16

func (s *Settings) judgeAddresses(problems *config.Problems) {
	settings.Listeners(problems, s.Listen, s.InnerListen)
	public, reason := settings.Origin(s.ConsoleAPIURL)
	if reason != "" {
		problems.Add("CONSOLE_API_URL", "%s", reason)
	}
	s.Public = public
	if s.ConsoleWebURL == "" {
		s.ConsoleWebURL = s.ConsoleAPIURL
		return
	}
	web, reason := settings.Origin(s.ConsoleWebURL)
	switch {
	case reason != "":
		problems.Add("CONSOLE_WEB_URL", "%s", reason)
	case public != nil && *web != *public:
		problems.Add("CONSOLE_WEB_URL", "must have the same origin as CONSOLE_API_URL")
	}
}

// judgeLimits reads RATE_LIMITS, which wins over the two settings of one limit each.
func (s *Settings) judgeLimits(problems *config.Problems) {
	s.overrides = map[limits.Name]limits.Override{
		limits.BearerToken:         {Limit: s.RateLimitPerToken},
		limits.DeviceDecideAccount: {Limit: s.ApproveRateLimit},
	}
	wrong := func(format string, args ...any) { problems.Add("RATE_LIMITS", format, args...) }
	maps.Copy(s.overrides, limits.Policies().Parse(s.RateLimits, wrong))
	for _, name := range slices.Sorted(maps.Keys(s.overrides)) {
		if s.overrides[name].Limit == 0 {
			s.Warnings = append(s.Warnings, fmt.Sprintf("the rate limit %s is off", name))
		}
	}
}
