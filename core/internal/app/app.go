// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/bridgeclient"
	"github.com/dify-sso/dify-sso/core/internal/console"
	commands "github.com/dify-sso/dify-sso/core/internal/control"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/serviceapi"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/pkg/trace"
	"github.com/dify-sso/dify-sso/pkg/trip"
)

// Options are what does not come from settings.
type Options struct {
	Log     *slog.Logger
	Version string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Wrap changes the stores before anything is built on them; tests inject faults.
	Wrap func(*Stores)
	// Certificate is what Settings.Certificate gives, for an App that is to serve.
	Certificate *server.Certificate
	// Pace is how often streams look after themselves; tests are in a hurry.
	Pace run.Pace

	ownClock bool          // Now was not given
	trips    trip.Observer // of the stores
}

// App is core, built and not yet listening.
type App struct {
	Settings     *Settings
	Installation *installation.Service
	Access       *access.Service
	Operator     *operator.Service
	Members      *workspace.Members
	Registry     *apps.Registry
	Stores       *Stores

	opts     Options
	devices  *devicegrant.Service
	tokens   *token.Service
	limits   *limits.Table
	recorder *audit.Recorder
	runner   *jobs.Runner
	public   *fiber.App
	inner    *fiber.App
	control  *control.Server
	schema   *schema.Migrator
	runs     *run.Service
	traces   *telemetry.Tracing // nil when none are recorded
	streams  *server.Streams
	draining atomic.Bool
	dir      *datadir.Dir // nil in a fleet
	keys     *keys
	dify     *serviceapi.Client
	shared   *keyset.Ring              // what core and sso-bridge sign with; nil without the Enterprise Edition
	serving  atomic.Pointer[time.Time] // since when
	rotating sync.Mutex                // over the files of the keys

	keysetRefused func() // counts
	figures       *figures
	bridge        *bridgeclient.Client            // nil without company sign-in
	clocks        func(ctx context.Context) error // compares them

	lastSchema atomic.Pointer[schemaResult]
}

// New opens the stores and builds every service. It starts no goroutine and binds no
// port; Close ends what it has opened. It returns config.Problems for keys that do not
// fit and installation.ErrKeyChanged.
func New(ctx context.Context, s *Settings, o Options) (*App, error) {
	if s == nil || o.Log == nil {
		return nil, errors.New("app: settings and log are required")
	}
	if o.Now == nil {
		o.Now, o.ownClock = time.Now, true
	}
	f := newFigures(telemetry.NewMetrics(Program, o.Version), s, o.Now)
	o.Log = f.CountLines(o.Log)
	o.trips = trip.Each(f.Trip, trace.Trip)
	dir, err := openData(s)
	if err != nil {
		return nil, err
	}
	k, err := loadKeys(s, dir)
	if err != nil {
		return nil, err
	}
	stores, err := openStores(ctx, s, o)
	if err != nil {
		return nil, err
	}
	schema, err := sqlstore.NewMigrator(stores.DB)
	if err != nil {
		return nil, errors.Join(err, stores.Close())
	}
	if o.Wrap != nil {
		o.Wrap(stores)
	}
	a := &App{Settings: s, Stores: stores, opts: o, schema: schema, dir: dir, keys: k, figures: f}
	if s.sso != nil {
		a.shared = keyset.NewRing(s.sso.keys)
	}
	if err := a.build(ctx, k); err != nil {
		return nil, errors.Join(err, stores.Close())
	}
	if err := a.settleKeys(ctx); err != nil {
		return nil, errors.Join(err, stores.Close())
	}
	return a, nil
}

// build wires the services, then the routes.
func (a *App) build(ctx context.Context, k *keys) error {
	s, st, now := a.Settings, a.Stores, a.opts.Now
	metrics := a.figures.Metrics
	a.countReloads(metrics)
	if err := a.openTraces(metrics); err != nil {
		return err
	}
	recorder, err := audit.NewRecorder(st.Audit, a.opts.Log)
	if err != nil {
		return err
	}
	a.recorder = recorder
	passwords := account.NewPasswords(s.PasswordMinLength)
	a.Installation, err = installation.New(installation.Deps{
		Store: st.Installation, Passwords: passwords, Recorder: recorder, Now: now, Sealing: k.sealing,
		CanaryKey: k.canary, CanaryKeyPrevious: k.former.canary,
	})
	if err != nil {
		return err
	}
	if err := a.Installation.Open(ctx); err != nil {
		return err
	}
	kinds, err := token.NewKindRegistry(s.kinds()...)
	if err != nil {
		return err
	}
	a.tokens, err = token.New(token.Deps{Store: talliedTokens{st.Tokens, a.figures}, Cache: st.Bearers, Kinds: kinds, Recorder: recorder, Now: now, TTL: days(s.OAuthTTLDays), Buried: a.figures.buried})
	if err != nil {
		return err
	}
	workspaces, err := workspace.New(st.Workspaces)
	if err != nil {
		return err
	}
	a.devices, err = devicegrant.New(devicegrant.Deps{
		Store: st.Grants, Minter: a.tokens, Workspaces: workspaces, Recorder: recorder, Now: now, UserCodeKey: k.userCode,
		UserCodeKeyPrevious: k.former.userCode, Clients: s.KnownClientIDs, Turned: a.figures.turned,
	})
	if err != nil {
		return err
	}
	sessions, err := console.New(console.Deps{
		Store: st.Console, Accounts: st.Accounts, Passwords: passwords, Recorder: recorder, Now: now, CSRFKey: k.csrf, CSRFKeyPrevious: k.former.csrf,
		Idle: time.Duration(s.SessionIdleHours) * time.Hour, Max: days(s.SessionMaxDays),
	})
	if err != nil {
		return err
	}
	a.Access, err = access.New(access.Deps{
		Store: talliedAccess{st.Access, a.figures}, Accounts: st.Accounts, Passwords: passwords, Console: sessions, Tombs: a.tokens, Recorder: recorder, Now: now,
	})
	if err != nil {
		return err
	}
	a.Members, err = workspace.NewMembers(workspace.MembersDeps{
		Store: talliedMembers{st.Members, a.figures}, Access: a.Access, Console: sessions, Passwords: passwords, Recorder: recorder, Now: now, MemberLimit: s.MemberLimit,
	})
	if err != nil {
		return err
	}
	a.limits, err = limits.New(limits.Deps{Store: st.Counters, Recorder: recorder, Now: now, Overrides: s.overrides, Refused: metrics.Refused})
	if err != nil {
		return err
	}
	registered, err := a.openApps()
	if err != nil {
		return err
	}
	if a.runs, err = a.openRuns(); err != nil {
		return err
	}
	if err := a.command(a.runs); err != nil {
		return err
	}
	bearer, err := authz.New(authz.Deps{Kinds: kinds, Tokens: lookups{a.tokens, a.figures}, Gate: st.Gate, Places: workspaces, Apps: registered, Limits: a.limits, Recorder: recorder, Now: now, Disabled: !s.EnableBearer})
	if err != nil {
		return err
	}
	a.runner = &jobs.Runner{
		Leases: st.Leases, Owner: jobs.NewOwner(), Now: now, Log: a.opts.Log,
		Report: func(job string, o jobs.Outcome, rows int64) { metrics.Job(job, string(o), rows) },
	}
	a.streams = server.NewStreams()
	metrics.Gauge("dify_sso_streams_open", "Streams of events that go on in this process.", func() float64 { return float64(a.streams.Open()) })
	if st.live != nil { // what other processes share is not ours to count
		metrics.Gauge("dify_sso_device_grants", "Device authorizations held in this process.", func() float64 { return float64(st.live()) })
	}
	if cert := a.opts.Certificate; cert != nil {
		metrics.Gauge("dify_sso_tls_certificate_not_after_seconds", "End of the TLS certificate in use, in seconds since 1970.",
			func() float64 { return float64(cert.Leaf().NotAfter.Unix()) })
	}
	deps := httpapi.Deps{
		Installation: a.Installation, Access: a.Access, Console: sessions, Devices: a.devices, Entries: k.entries(),
		Tokens: a.tokens, Workspaces: workspaces, Members: a.Members, Apps: registered, Registry: a.Registry, Run: a.runs, Bearer: bearer, Clients: s.clients, Limits: a.limits, UI: webui.New(s.Public),
		Recorder: recorder, Log: a.opts.Log, Now: now, Public: s.Public, Version: a.opts.Version, Kinds: kinds,
		SessionMax: days(s.SessionMaxDays), LinkedCodes: s.LinkedCodes, Ready: func() bool { return a.answering(context.Background()).Ready() },
		Origins: s.CORSAllowOrigins, WithoutAPI: !s.OpenAPIEnabled,
	}
	deps.Stepped = a.figures.stepped
	if err := a.enterprise(&deps); err != nil {
		return err
	}
	a.observe(a.figures)
	return a.mount(metrics, deps)
}

// command builds what commands are answered by.
func (a *App) command(runs *run.Service) (err error) {
	a.Operator, err = operator.New(operator.Deps{
		Installation: a.Installation, Access: a.Access, Accounts: a.Stores.Accounts, Keys: keeper{a}, Apps: a.Registry, Runtimes: runs, Unreached: unreached, Public: a.Settings.Public,
	})
	if err != nil {
		return err
	}
	a.control, err = commands.NewServer(a.Operator.As, control.Deps{Log: a.opts.Log, Now: a.opts.Now, Version: a.opts.Version})
	return err
}

// mount builds the two listeners' route tables.
func (a *App) mount(metrics *telemetry.Metrics, deps httpapi.Deps) error {
	page, isPage := httpapi.Pages(deps)
	cfg := server.Config{
		Log: a.opts.Log, Now: a.opts.Now, Addresses: clientip.New(a.Settings.TrustedProxies), HSTS: a.Settings.Public.Scheme == "https",
		Page: page, IsPage: isPage, Observe: metrics.Observe, Streams: a.streams,
		ReadTimeout: a.Settings.ReadTimeout, IdleTimeout: a.Settings.IdleTimeout,
		MaxHeaderBytes: a.Settings.MaxHeaderBytes, MaxConnections: a.Settings.MaxConnections, Tracer: a.traces.Tracer(),
	}
	var err error
	if a.public, err = server.New(cfg); err != nil {
		return err
	}
	if err := httpapi.Mount(a.public, deps); err != nil {
		return err
	}
	cfg.Page, cfg.IsPage, cfg.Observe, cfg.Streams, cfg.HSTS = nil, nil, nil, nil, false
	if a.inner, err = server.New(cfg); err != nil {
		return err
	}
	inner, err := a.innerRequests()
	if err != nil {
		return err
	}
	httpapi.MountInner(a.inner, httpapi.Inner{
		Bridge: inner, Replay: a.Stores.Replay,
		Readiness: a.Readiness, Metrics: metrics.Registry, Profiles: a.Settings.PprofEnabled, OperatorKey: a.Settings.OperatorKey, OperatorKeyPrevious: a.Settings.OperatorKeyPrevious, Access: a.Access,
		ForwardAuthKey: a.Settings.ForwardAuthKey, ForwardAuthKeyPrevious: a.Settings.ForwardAuthKeyPrevious, Bearer: deps.Bearer, Recorder: deps.Recorder, Now: deps.Now,
	})
	return nil
}

// Close ends what New has opened, writing first what still waits.
func (a *App) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a.dify.CloseIdle()
	a.traces.Flush(ctx)
	return errors.Join(a.recorder.Flush(ctx), a.Stores.Close())
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
