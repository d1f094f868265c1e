// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/lifecycle"
	"github.com/dify-sso/dify-sso/pkg/serve"
)

// Listeners are the bound ports of a serving App.
type Listeners = serve.Listeners

// LockData keeps others out of the data directory until release is called. It says to
// them what the holder does, such as datadir.Serving or the words of a command; a
// command that is there already is waited for as long as patience has it. It returns
// datadir.InUseError. A fleet has no such directory and needs no lock.
func LockData(ctx context.Context, s *Settings, does string, patience time.Duration) (release func() error, err error) {
	dir, err := openData(s)
	if err != nil {
		return nil, err
	}
	if dir == nil {
		return func() error { return nil }, nil
	}
	return dir.Wait(ctx, does, patience)
}

// Listen binds both ports and, on an embedded installation, the control socket. The
// caller holds the lock of the data directory.
func (a *App) Listen() (*Listeners, error) {
	return serve.Listen(a.Settings.Listen, a.Settings.InnerListen, a.Settings.ControlSocket(), a.opts.Log)
}

// ListenControl binds the control socket alone; nil where there is none.
func (a *App) ListenControl() *control.Listener {
	return serve.ListenControl(a.Settings.ControlSocket(), a.opts.Log)
}

// Serve answers until ctx ends, then drains: readiness says no for SHUTDOWN_DELAY, the
// listeners close, running requests get SHUTDOWN_GRACE, streams that go on then are told the end, and what
// was recorded is written.
func (a *App) Serve(ctx context.Context, l *Listeners) error {
	since := a.opts.Now().UTC()
	a.serving.Store(&since)
	return serve.Service{
		Public: a.public, Inner: a.inner, Control: a.control, Certificate: a.opts.Certificate, WithTLS: a.Settings.TLS(),
		Workers: a.workers(), Draining: &a.draining, MaxConnections: a.Settings.MaxConnections,
		Delay: a.Settings.ShutdownDelay, Grace: a.Settings.ShutdownGrace, Log: a.opts.Log,
		Ready: func(ctx context.Context) bool { return a.Readiness(ctx).Ready() },
		End:   a.streams.End, Finish: a.runs.Wait,
	}.Until(ctx, l)
}

// workers are what runs beside the listeners.
func (a *App) workers() []lifecycle.Worker {
	list := []lifecycle.Worker{
		a.surviving("audit", a.recorder.Run),
		a.surviving("token usage", a.tokens.RunUsage),
		a.surviving("tombstones", a.tokens.RunBurials),
		a.surviving("grant clean-up", a.devices.RunCleanup),
		a.surviving("sweep", jobs.Sweep(a.opts.Now, a.sweep)),
		a.surviving("clocks", a.clocks),
	}
	if a.traces != nil {
		list = append(list, a.surviving("traces", a.traces.Run))
	}
	if cert := a.opts.Certificate; cert != nil {
		list = append(list, a.surviving("TLS certificate", cert.Watch))
	}
	for _, job := range a.Jobs() {
		list = append(list, a.surviving(job.Name, a.runner.Worker(job)))
	}
	return list
}

// Jobs gives what Serve does in the background for all processes that share the
// stores, each under its lease. Fences go even where tokens are kept: nobody asks for
// them any more.
func (a *App) Jobs() []jobs.Job {
	keep := days(a.Settings.TokenRetention)
	if !a.Settings.CleanTokens {
		keep = 0
	}
	return []jobs.Job{
		prune.Tokens(a.Stores.Prune, a.opts.Now, keep), prune.Sessions(a.Stores.Prune, a.opts.Now),
		prune.Runs(a.Stores.Prune, a.opts.Now, days(a.Settings.RunRetentionDays)),
		run.Lost(a.Stores.Runs, a.opts.Now, a.Settings.RunMaxDuration), a.liveJob(),
	}
}

func (a *App) surviving(name string, run func(ctx context.Context) error) lifecycle.Worker {
	return serve.Surviving(a.opts.Log, name, run)
}

// sweep frees what is over. Stores that a test has put in the place of ours sweep
// for themselves.
func (a *App) sweep(now time.Time) {
	if a.Stores.sweep != nil {
		a.Stores.sweep(now)
	}
	a.limits.Sweep(now)
}
