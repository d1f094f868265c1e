// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/lifecycle"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// Listeners are the bound ports of a service. Control is the socket for commands; nil
// where there is none.
type Listeners struct {
	Public, Inner net.Listener
	Control       *control.Listener
}

// Listen binds both ports and, with a path, the control socket. There are file systems
// that have none, such as some that a container shares with its host: the service runs
// there too, and its commands wait until it is stopped.
func Listen(public, inner, socket string, log *slog.Logger) (*Listeners, error) {
	l := &Listeners{}
	var err error
	if l.Public, err = net.Listen("tcp", public); err != nil {
		return nil, fmt.Errorf("LISTEN: %w", err)
	}
	if l.Inner, err = net.Listen("tcp", inner); err != nil {
		return nil, errors.Join(fmt.Errorf("INNER_LISTEN: %w", err), l.Public.Close())
	}
	l.Control = ListenControl(socket, log)
	return l, nil
}

// ListenControl binds the control socket, or gives nil where that is not possible.
func ListenControl(path string, log *slog.Logger) *control.Listener {
	if path == "" {
		return nil
	}
	l, err := control.Listen(path, log)
	if err != nil {
		log.Warn("no control socket: commands need this server stopped", slog.String("error", err.Error()))
		return nil
	}
	return l
}

// Close is for listeners that nobody serves.
func (l *Listeners) Close() error {
	err := errors.Join(l.Public.Close(), l.Inner.Close())
	if l.Control != nil {
		err = errors.Join(err, l.Control.Close())
	}
	return err
}

// Service is what answers. All fields but Certificate and Ready are required.
type Service struct {
	Public, Inner *fiber.App
	Control       *control.Server
	// Certificate makes both listeners serve https. WithTLS says that the settings name
	// one: they are never served in clear then, whoever has built the service.
	Certificate *server.Certificate
	WithTLS     bool
	Workers     []lifecycle.Worker
	// Draining is set when the end has begun, so that readiness says no.
	Draining       *atomic.Bool
	MaxConnections int
	Delay, Grace   time.Duration
	Log            *slog.Logger
	// Ready is asked until it says yes, and systemd is told then. Nil where nobody is told.
	Ready func(ctx context.Context) bool

	// End tells what runs on after Grace that the service ends, and gets EndLimit for it;
	// Finish then waits for what it leaves behind, as long again. Nil where nothing runs on.
	End    func()
	Finish func(ctx context.Context)
}

// EndLimit is what answers that outlive the grace get to say so and to end in order.
const EndLimit = 3 * time.Second

// Until answers until ctx ends, then drains: readiness says no for Delay, the listeners
// close, running requests get Grace, answers that go on then are told the end, and what the
// workers still have to write is written. The first failure of a part ends all of them.
func (s Service) Until(ctx context.Context, l *Listeners) error {
	public, inner, err := s.secured(l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	// Workers outlive the listeners: what the last request recorded is still written.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	workers := make(chan error, 1)
	if s.Ready != nil && os.Getenv("NOTIFY_SOCKET") != "" {
		s.Workers = append(slices.Clone(s.Workers), announcing(s.Ready))
	}
	go func() { workers <- lifecycle.Run(background, s.Workers...) }()
	served := make(chan error, 3)
	go func() { served <- s.Public.Listener(public) }()
	go func() { served <- s.Inner.Listener(inner) }()
	if l.Control != nil {
		go func() { served <- s.Control.Serve(l.Control) }()
	}

	var failure error
	select {
	case <-ctx.Done():
		s.Draining.Store(true)
		notify("STOPPING=1\nSTATUS=Draining")
		s.Log.Info("draining", slog.Duration("delay", s.Delay), slog.Duration("grace", s.Grace))
		time.Sleep(s.Delay)
	case failure = <-served:
	case failure = <-workers:
		workers <- nil // it has ended
	}
	s.Draining.Store(true)
	// One grace for both; readiness and metrics outlive the requests they tell of.
	limit := s.Grace + time.Millisecond
	if s.End != nil {
		// The server goes on waiting: a connection that ends meanwhile is closed in order.
		defer time.AfterFunc(limit, s.End).Stop()
		limit += EndLimit
	}
	grace, end := context.WithTimeout(context.Background(), limit)
	defer end()
	commands := make(chan error, 1)
	go func() { commands <- s.Control.Shutdown(grace) }()
	for _, app := range []*fiber.App{s.Public, s.Inner} {
		if err := app.ShutdownWithContext(grace); err != nil && failure == nil && !errors.Is(err, context.DeadlineExceeded) {
			failure = err
		}
	}
	// Where a failure came before a listener was served, its server knows nothing to close.
	_, _ = l.Public.Close(), l.Inner.Close()
	if err := <-commands; failure == nil && !errors.Is(err, context.DeadlineExceeded) {
		failure = err
	}
	if s.Finish != nil {
		rest, over := context.WithTimeout(context.Background(), EndLimit)
		s.Finish(rest)
		over()
	}
	stop()
	return errors.Join(failure, <-workers)
}

func (s Service) secured(l *Listeners) (public, inner net.Listener, err error) {
	switch cert := s.Certificate; {
	case cert != nil:
		return server.BoundedTLS(s.Public, l.Public, s.MaxConnections, cert), cert.Listener(server.Lingering(l.Inner)), nil
	case s.WithTLS:
		return nil, nil, errors.New("serve: the settings name a certificate and the options have none")
	}
	return server.Bounded(s.Public, l.Public, s.MaxConnections), server.Lingering(l.Inner), nil
}

// workerPause keeps a worker that panics at every start from filling the log.
const workerPause = time.Second

// Surviving gives a worker that outlives its panics, each of which is logged.
func Surviving(log *slog.Logger, name string, run func(ctx context.Context) error) lifecycle.Worker {
	return lifecycle.Surviving(lifecycle.Worker{Name: name, Run: run}, workerPause, func(worker string, panicked *lifecycle.PanicError) {
		log.Error("a worker panicked and starts anew", slog.String("worker", worker), slog.String("error", panicked.Error()))
	})
}
