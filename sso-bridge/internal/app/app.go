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
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	engine "github.com/dify-sso/dify-sso/pkg/limits"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/pkg/trace"
	"github.com/dify-sso/dify-sso/pkg/trip"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	commands "github.com/dify-sso/dify-sso/sso-bridge/internal/control"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/coreclient"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/httpapi"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/innerapi"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/installation"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/limits"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/oauth2rp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/oidcrp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/webui"
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

	ownClock bool          // Now was not given
	trips    trip.Observer // of the stores
}

// App is the bridge, built and not yet listening.
type App struct {
	Settings    *Settings
	Connections *connection.Service
	Logins      *login.Service
	Sources     *idpsource.Service
	Signers     *spkeys.Service
	Operator    *operator.Service
	Stores      *Stores

	opts          Options
	installation  *installation.Service
	shared        *keyset.Ring
	keys          *ownkeys.Keys
	dir           *datadir.Dir // nil in a fleet
	limits        *engine.Table
	recorder      *audit.Recorder
	runner        *jobs.Runner
	schema        *schema.Migrator
	public, inner *fiber.App
	control       *control.Server
	providers     *egress.Client
	saml          *samlsp.Provider
	oidc          *oidcrp.Provider
	ends          *lifetimes
	core          *coreclient.Client
	traces        *telemetry.Tracing // nil when none are recorded
	draining      atomic.Bool
	serving       atomic.Pointer[time.Time] // since when
	rotating      sync.Mutex                // over the files of the keys
	reloading     sync.Mutex
	keysetRefused func() // counts
	figures       *figures
	clocks        func(ctx context.Context) error // compares them
}

// New opens the stores and builds every service. It starts no goroutine, binds no port and
// calls nobody: core and every provider may be down. Close ends what it has opened. It
// returns config.Problems for keys that do not fit and installation.ErrKeyChanged.
func New(ctx context.Context, s *Settings, o Options) (*App, error) {
	if s == nil || s.Public == nil || s.keys == nil || o.Log == nil {
		return nil, errors.New("app: settings for more than the database and log are required")
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
	if o.Wrap != nil {
		o.Wrap(stores)
	}
	a := &App{Settings: s, Stores: stores, opts: o, dir: dir, keys: k, shared: keyset.NewRing(s.keys), figures: f}
	if a.schema, err = sqlstore.NewMigrator(stores.DB); err == nil {
		err = a.build(ctx)
	}
	if err == nil {
		err = a.settleKeys(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, stores.Close())
	}
	return a, nil
}

// canaryPurpose names the key that shows whether SECRET_KEY is that of the database.
const canaryPurpose = "sso.installation.canary"

// coreTimeout bounds a call of core with both of its tries.
const coreTimeout = 3 * time.Second

// build wires the services, then the routes.
func (a *App) build(ctx context.Context) (err error) {
	s, st, now := a.Settings, a.Stores, a.opts.Now
	figures := a.figures
	metrics := figures.Metrics
	if err := a.openTraces(metrics); err != nil {
		return err
	}
	a.keysetRefused, a.ends = figures.keysetRefused, figures.ends
	if a.recorder, err = audit.NewRecorder(st.Audit, a.opts.Log); err != nil {
		return err
	}
	canary, former, err := a.keys.Derive(canaryPurpose)
	if err != nil {
		return err
	}
	a.installation, err = installation.New(installation.Deps{
		Store: st.Installation, Recorder: a.recorder, Now: now, Sealing: a.keys.Sealing, CanaryKey: canary, CanaryKeyPrevious: former,
	})
	if err != nil {
		return err
	}
	fingerprint, err := a.installation.Open(ctx)
	if err != nil {
		return err
	}
	if a.core, err = coreclient.New(coreclient.Deps{
		Core: s.CoreInner, Public: s.Public.String(), Roots: s.coreRoots, Timeout: coreTimeout, Keys: a.shared, Now: now,
	}); err != nil {
		return err
	}
	a.Connections, err = connection.New(connection.Deps{
		Store: st.Connections, Recorder: a.recorder, Now: now, Seal: a.keys.Sealing, FingerprintKey: fingerprint, Core: a.core, Log: a.opts.Log,
	})
	if err != nil {
		return err
	}
	if err := a.buildLogins(figures); err != nil {
		return err
	}
	a.Operator, err = operator.New(operator.Deps{Connections: a.Connections, Logins: a.Logins, Keys: keeper{a}, Signers: a.Signers, Sources: published{a.Sources, a.oidc}, Public: s.Public.String(), Now: now})
	if err != nil {
		return err
	}
	if a.control, err = commands.NewServer(a.Operator.As, control.Deps{Log: a.opts.Log, Now: now, Version: a.opts.Version}); err != nil {
		return err
	}
	a.limits, err = limits.New(engine.Deps{Store: st.Counters, Recorder: a.recorder, Now: now, Overrides: s.overrides, Refused: metrics.Refused})
	if err != nil {
		return err
	}
	a.runner = &jobs.Runner{
		Leases: st.Leases, Owner: jobs.NewOwner(), Now: now, Log: a.opts.Log,
		Report: func(job string, o jobs.Outcome, rows int64) { metrics.Job(job, string(o), rows) },
	}
	a.observe(figures)
	return a.mount(metrics)
}

// buildLogins builds the attempts and the protocols that they speak.
func (a *App) buildLogins(f *figures) (err error) {
	s, now := a.Settings, a.opts.Now
	options := s.egress
	options.Now = now
	if a.providers, err = egress.New(options); err != nil {
		return err
	}
	circuits := egress.NewCircuits(a.providers, now)
	if a.saml, err = a.buildSAML(circuits); err != nil {
		return err
	}
	a.oidc, err = oidcrp.New(oidcrp.Deps{Circuits: circuits, Pins: a.Sources, Now: now, Log: a.opts.Log})
	if err != nil {
		return err
	}
	oauth2, err := oauth2rp.New(oauth2rp.Deps{Client: func(id string) oauth2rp.Doer { return circuits.For(id) }})
	if err != nil {
		return err
	}
	a.Logins, err = login.New(login.Deps{
		Records: a.Stores.Records, Attempts: counted{a.Stores.Attempts, f}, Connections: a.Connections,
		Providers: map[connection.Protocol]login.Provider{
			connection.OIDC: timed{a.oidc, f}, connection.OAuth2: timed{oauth2, f}, connection.SAML: timed{a.saml, f},
		},
		Judge: func(ctx context.Context, c identity.Claims, serving connection.Serving) identity.Report {
			return identity.Explain(ctx, c, serving.ID, serving.Config, a.Connections)
		},
		Marker: a.Connections, KeyMarker: a.Signers, Keys: a.shared, SecretKey: a.keys.Master, FormerKey: a.keys.Previous,
		Public: s.Public.String(), Core: s.Core.String(), Recorder: a.recorder, Log: a.opts.Log, Now: now,
	})
	return err
}

// maxHeader leaves room for a callback's query of 16 KiB.
const maxHeader = 32 << 10

// mount builds the two listeners' route tables.
func (a *App) mount(metrics *telemetry.Metrics) error {
	s := a.Settings
	ui, err := webui.New(webui.Deps{Core: s.Core, Contact: s.Contact})
	if err != nil {
		return err
	}
	public := httpapi.Deps{Logins: a.Logins, Metadata: publisher{a.Connections, a.saml}, Readers: httpapi.NewReaders(0, 0), Limits: a.limits, UI: ui, Public: s.Public, Now: a.opts.Now}
	page, isPage := httpapi.Pages(public)
	cfg := server.Config{
		Log: a.opts.Log, Now: a.opts.Now, Addresses: clientip.New(s.TrustedProxies), HSTS: s.Public.Scheme == "https", Page: page, IsPage: isPage, Observe: metrics.Observe,
		ReadTimeout: s.ReadTimeout, IdleTimeout: s.IdleTimeout, MaxHeaderBytes: maxHeader, MaxConnections: s.MaxConnections, Tracer: a.traces.Tracer(),
	}
	if a.public, err = server.New(cfg); err != nil {
		return err
	}
	if err := httpapi.Mount(a.public, public); err != nil {
		return err
	}
	cfg.Page, cfg.IsPage, cfg.Observe, cfg.HSTS = nil, nil, nil, false
	if a.inner, err = server.New(cfg); err != nil {
		return err
	}
	server.MountHealth(a.inner, a.Readiness, promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))
	if s.PprofEnabled {
		server.MountProfiles(a.inner)
	}
	inner, err := envelope.NewInner(envelope.Deps{Keys: a.shared, Audience: envelope.CoreToBridge, Issuer: s.Core.String(), Now: a.opts.Now})
	if err != nil {
		return err
	}
	return innerapi.Mount(a.inner, innerapi.Deps{
		Logins: a.Logins, Connections: a.Connections, Inner: inner, Replay: a.Stores.Replay, Recorder: a.recorder, Now: a.opts.Now,
	})
}

// Close ends what New has opened, writing first what still waits.
func (a *App) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := a.recorder.Flush(ctx)
	a.traces.Flush(ctx)
	a.providers.Close()
	a.core.CloseIdle()
	return errors.Join(err, a.Stores.Close())
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
