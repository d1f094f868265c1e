// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// The first owner of a server that is set up.
const (
	OwnerEmail    = "ada@example.com"
	OwnerName     = "Ada"
	OwnerPassword = "correct horse battery"
	Workspace     = "Engines"
	Version       = "9.9.9-test"
)

// Server is a running core.
type Server struct {
	URL   string // of the public listener, which is also the public address
	Inner string // of the second listener
	Dir   string // the data directory of the embedded stores
	Pair  *Pair  // the stores of a fleet, or nil
	App   *app.App
	// Keyset is the file of the key set, in the Enterprise Edition.
	Keyset string
	Log    *Buffer
	Clock  *Clock

	settings map[string]string
	wrap     func(*app.Stores)
	fresh    bool
	embedded bool
	tls      bool
	pace     run.Pace
	stop     func() error
}

// Option changes how a server starts.
type Option func(*Server)

// Set gives a setting a value.
func Set(key, value string) Option { return func(s *Server) { s.settings[key] = value } }

// Wrap changes the stores before anything is built on them. Of several each changes what
// the one before it has left.
func Wrap(f func(*app.Stores)) Option {
	return func(s *Server) {
		before := s.wrap
		s.wrap = func(stores *app.Stores) {
			if before != nil {
				before(stores)
			}
			f(stores)
		}
	}
}

// Paced makes streams look after themselves at another pace than clients were promised.
func Paced(p run.Pace) Option { return func(s *Server) { s.pace = p } }

// Fresh leaves the server without its first owner.
func Fresh() Option { return func(s *Server) { s.fresh = true } }

// In makes the server use an existing data directory.
func In(dir string) Option { return func(s *Server) { s.Dir = dir } }

// Start runs a server until the test ends.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{Log: &Buffer{}, Clock: &Clock{}, settings: map[string]string{}}
	for _, o := range options {
		o(s)
	}
	if OnFleet() && !s.embedded && s.Pair == nil {
		s.Pair = NewPair(t)
	}
	public, inner := listen(t), listen(t)
	scheme := "http://"
	if s.tls {
		scheme = "https://"
	}
	s.URL, s.Inner = scheme+public.Addr().String(), scheme+inner.Addr().String()
	if _, ok := s.settings["CONSOLE_API_URL"]; !ok {
		s.settings["CONSOLE_API_URL"] = s.URL
	}
	settings, err := app.Load(app.Sources{Flags: s.settings, Environ: s.place(t)})
	if err != nil {
		t.Fatal(err)
	}
	log := settings.Logger(s.Log)
	certificate, err := settings.Certificate(s.Clock.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	s.App, err = app.New(context.Background(), settings, app.Options{Log: log, Version: Version, Now: s.Clock.Now, Wrap: s.wrap, Certificate: certificate, Pace: s.pace})
	if err != nil {
		t.Fatal(err)
	}
	if !s.fresh {
		s.setUp(t)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	// Bound before anybody is told of the server: a command that finds no socket opens the
	// stores for itself, and a test's server holds no lock that would keep it from that.
	listeners := &app.Listeners{Public: public, Inner: inner, Control: s.App.ListenControl()}
	go func() {
		served <- s.App.Serve(ctx, listeners)
	}()
	s.stop = sync.OnceValue(func() error {
		stop()
		return <-served
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("serve ended with %v", err)
		}
		if err := s.App.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// Stop tells the server to end, as a signal does, and waits until it has.
func (s *Server) Stop() error { return s.stop() }

// place says where the server keeps what it knows.
func (s *Server) place(t testing.TB) (environ []string) {
	t.Helper()
	if s.Pair == nil {
		if s.Dir == "" {
			s.Dir = t.TempDir()
		}
		s.settings["DATA_DIR"] = s.Dir
		return nil
	}
	s.Clock = s.Pair.Clock
	return s.Pair.Environ()
}

func (s *Server) setUp(t testing.TB) {
	at, err := s.App.Installation.SetUpAt(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if at != nil {
		return
	}
	owner, wrong := installation.ParseOwner(OwnerEmail, OwnerName, Workspace, secret.New(OwnerPassword))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	if _, err := s.App.Installation.CreateOwner(context.Background(), owner); err != nil {
		t.Fatal(err)
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Clock is the wall clock plus what a test has advanced it by.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
	aged   func(d time.Duration) // lets time pass in stores that have a clock of their own
}

// Now reads the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
	if c.aged != nil && d > 0 {
		c.aged(d)
	}
}

// Buffer is a log that is written while a test reads it.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String gives what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
