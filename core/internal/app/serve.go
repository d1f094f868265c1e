// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/prune"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/jobs"
	"github.com/dify-sso/dify-sso/pkg/lifecycle"
)

// Listeners are the bound ports of a serving App. Control is the socket for commands;
// nil where there is none.
type Listeners struct {
	Public, Inner net.Listener
	Control       *control.Listener
}

// Close is for listeners that nobody serves.
func (l *Listeners) Close() error {
	err := errors.Join(l.Public.Close(), l.Inner.Close())
	if l.Control != nil {
		err = errors.Join(err, l.Control.Close())
	}
	return err
}

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
	public, err := net.Listen("tcp", a.Settings.Listen)
	if err != nil {
		return nil, fmt.Errorf("LISTEN: %w", err)
	}
	inner, err := net.Listen("tcp", a.Settings.InnerListen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("INNER_LISTEN: %w", err), public.Close())
	}
	return &Listeners{Public: public, Inner: inner, Control: a.ListenControl()}, nil
}

// ListenControl binds the control socket. There are file systems that have none, such as
// some that a container shares with its host: core serves there too, and its commands
// wait until it is stopped.
func (a *App) ListenControl() *control.Listener {
	path := a.Settings.ControlSocket()
	if path == "" {
		return nil
	}
	l, err := control.Listen(path, a.opts.Log)
	if err != nil {
		a.opts.Log.Warn("no control socket: commands need this server stopped", slog.String("error", err.Error()))
		return nil
	}
	return l
}

// Serve answers until ctx ends, then drains: readiness says no for SHUTDOWN_DELAY,
// the listeners close, running requests get SHUTDOWN_GRACE, and what was recorded is
// written. The first failure of a part ends all of them.
func (a *App) Serve(ctx context.Context, l *Listeners) error {
	public, inner, err := a.secured(l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	since := a.opts.Now().UTC()
	a.serving.Store(&since)
	// Workers outlive the listeners: what the last request recorded is still written.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	workers := make(chan error, 1)
	go func() { workers <- lifecycle.Run(background, a.workers()...) }()
	served := make(chan error, 3)
	go func() { served <- a.public.Listener(public) }()
	go func() { served <- a.inner.Listener(inner) }()
	if l.Control != nil {
		go func() { served <- a.control.Serve(l.Control) }()
	}

	var failure error
	select {
	case <-ctx.Done():
		a.drain()
	case failure = <-served:
	case failure = <-workers:
		workers <- nil // it has ended
	}
	a.draining.Store(true)
	// One grace for both; readiness and metrics outlive the requests they tell of.
	grace, end := context.WithTimeout(context.Background(), a.Settings.ShutdownGrace+time.Millisecond)
	defer end()
	commands := make(chan error, 1)
	go func() { commands <- a.control.Shutdown(grace) }()
	for _, app := range []*fiber.App{a.public, a.inner} {
		if err := app.ShutdownWithContext(grace); err != nil && failure == nil && !errors.Is(err, context.DeadlineExceeded) {
			failure = err
		}
	}
	if err := <-commands; failure == nil && !errors.Is(err, context.DeadlineExceeded) {
		failure = err
	}
	stop()
	return errors.Join(failure, <-workers)
}

// workers are what runs beside the listeners.
func (a *App) workers() []lifecycle.Worker {
	list := []lifecycle.Worker{
		a.surviving("audit", a.recorder.Run),
		a.surviving("token usage", a.tokens.RunUsage),
		a.surviving("tombstones", a.tokens.RunBurials),
		a.surviving("grant clean-up", a.devices.RunCleanup),
		a.surviving("sweep", jobs.Sweep(a.opts.Now, a.sweep)),
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
	return []jobs.Job{prune.Tokens(a.Stores.Prune, a.opts.Now, keep), prune.Sessions(a.Stores.Prune, a.opts.Now)}
}

// workerPause keeps a worker that panics at every start from filling the log.
const workerPause = time.Second

func (a *App) surviving(name string, run func(ctx context.Context) error) lifecycle.Worker {
	return lifecycle.Surviving(lifecycle.Worker{Name: name, Run: run}, workerPause, func(worker string, panicked *lifecycle.PanicError) {
		a.opts.Log.Error("a worker panicked and starts anew", slog.String("worker", worker), slog.String("error", panicked.Error()))
	})
}

func (a *App) drain() {
	a.draining.Store(true)
	a.opts.Log.Info("draining", slog.Duration("delay", a.Settings.ShutdownDelay), slog.Duration("grace", a.Settings.ShutdownGrace))
	time.Sleep(a.Settings.ShutdownDelay)
}

// sweep frees what is over. Stores that a test has put in the place of ours sweep
// for themselves.
func (a *App) sweep(now time.Time) {
	if a.Stores.sweep != nil {
		a.Stores.sweep(now)
	}
	a.limits.Sweep(now)
}
