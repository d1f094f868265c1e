// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/lifecycle"
	"github.com/dify-sso/dify-sso/pkg/serve"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

// Begin is what a server does before it answers: it makes the connections what the
// connections file declares. A declaration that is refused keeps it from starting; a
// store or core that is down does not, and the file is taken at the next SIGHUP.
func (a *App) Begin(ctx context.Context) error {
	err := a.reconcile(ctx, a.Settings.declared)
	if errors.Is(err, fault.ErrUnavailable) {
		a.opts.Log.Error("CONNECTIONS_FILE is not taken yet: send SIGHUP when what it needs answers", slog.String("error", err.Error()))
		return nil
	}
	return err
}

func (a *App) reconcile(ctx context.Context, declared []connection.Declaration) error {
	if a.Settings.ConnectionsFile == "" {
		return nil
	}
	done, err := a.Connections.Reconcile(ctx, declared)
	if err != nil {
		return err
	}
	a.opts.Log.Info("the connections file is taken", slog.Any("created", done.Created), slog.Any("updated", done.Updated),
		slog.Any("enabled", done.Enabled), slog.Any("disabled", done.Disabled), slog.Any("untested", done.Untested))
	return nil
}

// Listen binds both ports and, on an embedded installation, the control socket. The caller
// holds the lock of the data directory.
func (a *App) Listen() (*serve.Listeners, error) {
	return serve.Listen(a.Settings.Listen, a.Settings.InnerListen, a.Settings.ControlSocket(), a.opts.Log)
}

// Serve answers until ctx ends, then drains.
func (a *App) Serve(ctx context.Context, l *serve.Listeners) error {
	since := a.opts.Now().UTC()
	a.serving.Store(&since)
	return serve.Service{
		Public: a.public, Inner: a.inner, Control: a.control, Certificate: a.opts.Certificate, WithTLS: a.Settings.TLSCertFile != "",
		Workers: a.workers(), Draining: &a.draining, MaxConnections: a.Settings.MaxConnections,
		Delay: a.Settings.ShutdownDelay, Grace: a.Settings.ShutdownGrace, Log: a.opts.Log,
		Ready: func(ctx context.Context) bool { return a.Readiness(ctx).Ready() },
	}.Until(ctx, l)
}

// workers are what runs beside the listeners.
func (a *App) workers() []lifecycle.Worker {
	surviving := func(name string, run func(ctx context.Context) error) lifecycle.Worker {
		return serve.Surviving(a.opts.Log, name, run)
	}
	list := []lifecycle.Worker{
		surviving("audit", a.recorder.Run),
		surviving("outbox", a.Connections.Run),
		surviving("certificates", a.ends.watch(a.registry(), a.opts.Log)),
		surviving("clocks", a.clocks),
		surviving("sweep", jobs.Sweep(a.opts.Now, a.sweep)),
	}
	if a.traces != nil {
		list = append(list, surviving("traces", a.traces.Run))
	}
	if cert := a.opts.Certificate; cert != nil {
		list = append(list, surviving("TLS certificate", cert.Watch))
	}
	for _, job := range a.Jobs() {
		list = append(list, surviving(job.Name, a.runner.Worker(job)))
	}
	return list
}

// Jobs gives what Serve does in the background for all processes that share the stores,
// each under its lease.
func (a *App) Jobs() []jobs.Job {
	keep := days(a.Settings.AttemptRetention)
	daily := func(name string, old prune) jobs.Job {
		return jobs.Job{Name: name, Every: 24 * time.Hour, Do: func(ctx context.Context) (int64, error) {
			return jobs.InBatches(ctx, a.opts.Now().Add(-keep), old)
		}}
	}
	return append(a.samlJobs(), daily("prune.attempts", a.Stores.pruneAttempts), daily("prune.outbox", a.Stores.pruneOutbox), daily("prune.metadata", a.Stores.pruneMetadata))
}

// sweep frees what is over in this process.
func (a *App) sweep(now time.Time) {
	if a.Stores.sweep != nil {
		a.Stores.sweep(now)
	}
	a.limits.Sweep(now)
}
