// SPDX-License-Identifier: Apache-2.0

package followed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/browser"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// Load is what people and services do while an operator works. Whatever fails is kept.
type Load struct {
	w      *World
	done   sync.WaitGroup
	cancel context.CancelFunc
	counts map[string]*atomic.Int64

	mu       sync.Mutex
	during   string
	failures []string
}

// pace is between two turns of a worker: a load that is steady and leaves room for what is
// tested.
const pace = 100 * time.Millisecond

// Begin signs people in and lets them and the services work until the test ends.
func (w *World) Begin(ctx context.Context) *Load {
	w.t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{w: w, cancel: cancel, counts: map[string]*atomic.Int64{}}
	for range 4 {
		l.work(ctx, "sign-in by account", w.Person(ctx).login)
	}
	for range 3 {
		l.work(ctx, "sign-in by company", func(ctx context.Context) error {
			s := w.Company()
			if err := s.Leave(ctx); err != nil {
				return err
			}
			if err := s.Return(ctx); err != nil {
				return err
			}
			return s.Fetch(ctx)
		})
	}
	reader := w.Person(ctx) // signed in once, before everything
	l.work(ctx, "bearer", func(ctx context.Context) error {
		return reader.Get(ctx, w.Token, "/openapi/v1/account", nil)
	})
	l.work(ctx, "console session", func(ctx context.Context) error { return reader.Console(ctx, profile, nil) })
	for _, c := range w.callers {
		l.work(ctx, c.name, func(ctx context.Context) error { return c.Call(ctx, c.key.Load().(string)) })
	}
	w.t.Cleanup(l.End)
	return l
}

func (l *Load) work(ctx context.Context, name string, turn func(ctx context.Context) error) {
	count := l.counts[name]
	if count == nil {
		count = &atomic.Int64{}
		l.counts[name] = count
	}
	l.done.Go(func() {
		for ctx.Err() == nil {
			if err := turn(ctx); err == nil {
				count.Add(1)
			} else if ctx.Err() == nil {
				l.mu.Lock()
				l.failures = append(l.failures, fmt.Sprintf("during %q, %s: %v", l.during, name, err))
				l.mu.Unlock()
			}
			wait(ctx, pace)
		}
	})
}

// wait is the pace of a client, which a protocol or a load prescribes.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// During names what the operator does now, for failures.
func (l *Load) During(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.during = what
}

// Turns waits until somebody of each kind has ended a turn from now on, and gives how many
// all have had.
func (l *Load) Turns(t testing.TB) string {
	t.Helper()
	before := map[string]int64{}
	for name, c := range l.counts {
		before[name] = c.Load()
	}
	for name, c := range l.counts {
		for deadline := time.Now().Add(time.Minute); c.Load() < before[name]+1; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				failures := l.Failures()
				t.Fatalf("no %s comes to an end; %s: %s", name, l.w.state(), strings.Join(failures[:min(5, len(failures))], "\n"))
			}
		}
	}
	names := make([]string, 0, len(l.counts))
	for name, c := range l.counts {
		names = append(names, fmt.Sprintf("%s %d", name, c.Load()))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Failures are those since the last call.
func (l *Load) Failures() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.failures
	l.failures = nil
	return list
}

// End lets everybody go; it may be called twice.
func (l *Load) End() {
	l.cancel()
	l.done.Wait()
}

// Person is somebody with an account, signed in to the console.
type Person struct {
	*visitor.Visitor
	w *World
}

// Person signs the owner in, in a browser of its own.
func (w *World) Person(ctx context.Context) *Person {
	w.t.Helper()
	p := &Person{Visitor: visitor.New(w.core.address, clients), w: w}
	if err := p.SignIn(ctx, Email, Password); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// login asks for a code, polls once too early, allows it and fetches the token.
func (p *Person) login(ctx context.Context) error {
	c, err := p.early(ctx, p.w.label())
	if err != nil {
		return err
	}
	if err := p.Allow(ctx, c.UserCode); err != nil {
		return err
	}
	return p.fetch(ctx, c)
}

// label is a device of its own: a second sign-in on one ends the first.
func (w *World) label() string { return fmt.Sprintf("device %d", w.devices.Add(1)) }

// asked is a code, and when it may be polled for again.
type asked struct {
	visitor.Code
	next time.Time
}

// early asks for a code and polls before anybody can have allowed it.
func (p *Person) early(ctx context.Context, label string) (a asked, err error) {
	if a.Code, err = p.Begin(ctx, label); err != nil {
		return a, err
	}
	_, err = p.Poll(ctx, a.Code)
	var refused *visitor.Refusal
	if !errors.As(err, &refused) || !strings.Contains(refused.Body, "authorization_pending") {
		return a, fmt.Errorf("a poll before anybody allowed: %w", err)
	}
	a.next = time.Now().Add(time.Duration(a.Interval)*time.Second + 50*time.Millisecond) // RFC 8628, section 3.5
	return a, nil
}

// fetch takes the token of a code that was allowed, and uses it.
func (p *Person) fetch(ctx context.Context, a asked) error {
	wait(ctx, time.Until(a.next))
	token, err := p.Poll(ctx, a.Code)
	if err != nil {
		return err
	}
	return p.Get(ctx, token, "/openapi/v1/account", nil)
}

// profile is read with a console session.
const profile = "/console/api/account/profile"

// Company is one sign-in of a person without an account, through the provider.
type Company struct {
	w    *World
	p    *Person
	code asked
	b    *browser.Browser
}

// Company begins nothing yet.
func (w *World) Company() *Company {
	return &Company{w: w, p: &Person{Visitor: visitor.New(w.core.address, clients), w: w}, b: browser.New(clients)}
}

// Leave goes up to the provider's page.
func (s *Company) Leave(ctx context.Context) (err error) {
	if s.code, err = s.p.early(ctx, s.w.label()); err != nil {
		return err
	}
	if err := s.b.Open(ctx, s.w.core.address+"/device"); err != nil {
		return err
	}
	if err := s.b.Submit(ctx, "/device", url.Values{"user_code": {s.code.UserCode}}); err != nil {
		return err
	}
	return s.b.Click(ctx, "sso-initiate")
}

// Return signs in there and allows the device.
func (s *Company) Return(ctx context.Context) error {
	if err := s.b.Submit(ctx, "", url.Values{"person": {"alice"}}); err != nil {
		return err
	}
	return s.b.Submit(ctx, "approve-external", nil)
}

// Fetch takes the token, as soon as the client may ask again, and uses it.
func (s *Company) Fetch(ctx context.Context) error { return s.p.fetch(ctx, s.code) }

// Caller is a service with a key of its own.
type Caller struct {
	name   string
	file   string // of the key, in what hand_out is given
	key    atomic.Value
	client *http.Client
	ask    func(ctx context.Context, key string) (*http.Request, error)
}

// Call asks once; anything but 200 is an error.
func (c *Caller) Call(ctx context.Context, key string) error {
	r, err := c.ask(ctx, key)
	if err != nil {
		return err
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = &visitor.Refusal{Step: c.name, Status: answer.StatusCode, Body: string(text)}
	}
	return err
}
