// SPDX-License-Identifier: Apache-2.0

package serviceapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

const short = 30 * time.Millisecond

func TestTimeouts(t *testing.T) {
	t.Parallel()
	t.Run("API-20 no answer in time", func(t *testing.T) {
		rt, c := runtime(t, limits{header: short, blocking: short})
		for name, call := range calls {
			rt.On(call.route, runtimetest.Script{runtimetest.Hang()})
			if err := call.do(t, c, target(rt, apps.Chat)); !errors.Is(err, run.ErrTimeout) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("API-20 a head that comes byte by byte", func(t *testing.T) {
		rt, c := runtime(t, limits{header: short, blocking: short})
		for name, call := range calls {
			rt.On(call.route, runtimetest.Script{runtimetest.SlowHeaders(5 * time.Millisecond)})
			if err := call.do(t, c, target(rt, apps.Chat)); !errors.Is(err, run.ErrTimeout) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("API-20 an answer that has no end", func(t *testing.T) {
		rt, c := runtime(t, limits{answer: short, blocking: short, idle: short})
		for name, call := range calls {
			first := runtimetest.Raw(`{"a":`)
			if name == "stream" || name == "events" {
				first = runtimetest.Begin()
			}
			rt.On(call.route, runtimetest.Script{first, runtimetest.Hang()})
			if err := call.do(t, c, target(rt, apps.Chat)); !errors.Is(err, run.ErrTimeout) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("API-20 a refusal that has no end is the refusal", func(t *testing.T) {
		rt, c := runtime(t, limits{answer: short, blocking: time.Second}) // which covers the answer of one too
		for name, call := range calls {
			rt.On(call.route, runtimetest.Script{runtimetest.Header("Content-Length", "10"), runtimetest.Answer(403, `{`), runtimetest.Raw(` `), runtimetest.Hang()})
			if err := call.do(t, c, target(rt, apps.Chat)); !errors.Is(err, run.ErrKeyRejected) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("API-20 silence between two events, comments or not", func(t *testing.T) {
		rt, c := runtime(t, limits{idle: short})
		rt.On(runtimetest.Chat,
			runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message"}`), runtimetest.Hang()},
			runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message"}`), runtimetest.Endless(": still here\n")},
			runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message"}`), runtimetest.Raw(`data: {"ev`), runtimetest.Hang()})
		for range 3 {
			s := begin(t, c, target(rt, apps.Chat))
			if _, err := s.Next(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Next(); !errors.Is(err, run.ErrTimeout) {
				t.Error(err)
			}
		}
	})
	t.Run("API-20 no connection in time", func(t *testing.T) {
		// A full queue of connections takes no more of them.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		c := client(t, limits{connect: short}, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}, Resolver: silent{}})
		err = calls["stream"].do(t, c, run.Target{Mode: apps.Chat, URL: "http://dify.example:" + strings.TrimPrefix(l.Addr().String(), "127.0.0.1:")})
		if !errors.Is(err, run.ErrTimeout) {
			t.Error(err)
		}
		err = calls["stream"].do(t, c, run.Target{Mode: apps.Chat, URL: "https://" + l.Addr().String()}) // says nothing to a handshake
		if !errors.Is(err, run.ErrTimeout) {
			t.Error(err)
		}
	})
	t.Run("API-24 a runtime that takes nothing of an upload", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and reads never
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		c := client(t, limits{idle: short}, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}})
		_, err = c.Upload(t.Context(), run.Target{Mode: apps.Chat, URL: "http://" + l.Addr().String()}, user, run.File{Name: "a", Content: io.LimitReader(zeros{}, 64<<20)})
		if !errors.Is(err, run.ErrTimeout) {
			t.Error(err)
		}
	})
	t.Run("API-20 a runtime that takes nothing of what it is asked", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // nobody accepts: the system does, and takes what fits its buffers
		asks := client(t, limits{idle: 200 * time.Millisecond}, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}})
		at := run.Target{AppID: "app", Mode: apps.Chat, Runtime: apps.RuntimeDify, URL: "http://" + l.Addr().String(), Key: secret.New(key)}
		long := json.RawMessage(`{"a":"` + strings.Repeat("a", 16<<20) + `"}`)
		r := request()
		r.Inputs = long
		if _, err := asks.Stream(t.Context(), at, r); !errors.Is(err, run.ErrTimeout) {
			t.Errorf("a run: %v", err)
		}
		if err := asks.Submit(t.Context(), at, "f1", user, "yes", long); !errors.Is(err, run.ErrTimeout) {
			t.Errorf("a form: %v", err)
		}
	})
	t.Run("the caller's own end is no timeout", func(t *testing.T) {
		for name, call := range calls {
			rt, c := runtime(t, limits{})
			rt.On(call.route, runtimetest.Script{runtimetest.Hang()})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { rt.Wait(t, call.route, 1); cancel() }()
			err := call.do(within{t, ctx}, c, target(rt, apps.Chat))
			if !errors.Is(err, context.Canceled) || errors.Is(err, run.ErrTimeout) || errors.Is(err, run.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			<-rt.Calls("")[0].Dropped()
		}
	})
}

func TestPings(t *testing.T) {
	t.Parallel() // it waits
	t.Run("API-20 pings are no silence, nor is a client that reads slowly", func(t *testing.T) {
		const idle = time.Second
		rt, c := runtime(t, limits{idle: idle})
		script := runtimetest.Script{runtimetest.Begin()}
		for range 4 {
			script = append(script, runtimetest.Pause(idle/3), runtimetest.Ping())
		}
		rt.On(runtimetest.Chat, append(script, runtimetest.Event(`{"event":"message_end"}`)))
		s := begin(t, c, target(rt, apps.Chat))
		for range 4 {
			if e, err := s.Next(); err != nil || e.Name != "ping" {
				t.Fatal(e.Name, err)
			}
		}
		<-time.After(idle + idle/10) // where nobody waits for the runtime
		if err := drain(s); err != nil {
			t.Error(err)
		}
	})
}

// within is a test whose context is another.
type within struct {
	testing.TB
	ctx context.Context
}

func (w within) Context() context.Context { return w.ctx }

// silent is a name server that does not answer.
type silent struct{}

func (silent) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

type fixed []string

func (f fixed) LookupNetIP(context.Context, string, string) (list []netip.Addr, _ error) {
	for _, a := range f {
		list = append(list, netip.MustParseAddr(a))
	}
	return list, nil
}

func TestWhereNothingIsCalled(t *testing.T) {
	rt := runtimetest.New(t, key)
	u, _ := url.Parse(rt.URL)
	for _, tc := range []struct {
		name, address string
		allowed       []string
		means         fixed
		called        bool
		advice        string // to who sets the address
	}{
		{"API-32 loopback", rt.URL, nil, nil, false, "RUNTIME_ALLOWED_HOSTS=127.0.0.1"},
		{"API-32 localhost", "http://localhost:" + u.Port(), nil, nil, false, "RUNTIME_ALLOWED_HOSTS=127.0.0.1"},
		{"API-32 mapped loopback", "http://[::ffff:127.0.0.1]:" + u.Port(), nil, nil, false, "RUNTIME_ALLOWED_HOSTS=127.0.0.1"},
		{"API-32 a name that means loopback", "http://dify.example:" + u.Port(), nil, fixed{"127.0.0.1"}, false, ""},
		{"API-32 a name that means a good address and loopback", "http://dify.example:" + u.Port(), nil, fixed{"10.255.255.1", "::1"}, false, ""},
		{"API-32 link-local", "http://169.254.169.254", nil, nil, false, "RUNTIME_ALLOWED_HOSTS"},
		{"API-32 an own listener", rt.URL, []string{"127.0.0.1"}, nil, false, "with the same port"},
		{"API-32 outside of the list", "http://10.0.0.5", []string{"127.0.0.1"}, nil, false, "does not name this host"},
		{"no address", "", []string{"127.0.0.1"}, nil, false, "must be an address"},
		{"API-32 user information", "http://a:b@127.0.0.1:" + u.Port(), []string{"127.0.0.1"}, nil, false, "must be an address"},
		{"API-32 loopback that is named", rt.URL, []string{"127.0.0.1"}, nil, true, ""},
		{"API-32 localhost where loopback is named", "http://localhost:" + u.Port(), []string{"127.0.0.1"}, fixed{"::1", "127.0.0.1"}, true, ""},
		{"API-32 a name that means loopback that is named", "http://dify.example:" + u.Port(), []string{"127.0.0.1"}, fixed{"127.0.0.1"}, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := egress.RuntimeOptions{Allowed: tc.allowed, Resolver: tc.means}
			if tc.advice == "with the same port" {
				o.Own = []string{u.Host}
			}
			c := client(t, limits{}, o)
			at := target(rt, apps.Chat)
			at.URL = tc.address
			before := len(rt.Calls(""))
			for name, call := range calls {
				err := call.do(t, c, at)
				if tc.called != (err == nil) || err != nil && !errors.Is(err, run.ErrUnavailable) {
					t.Errorf("%s: %v", name, err)
				}
				if cause, ok := errors.AsType[*egress.Error](err); !tc.called && (!ok || cause.Phase != egress.Refused) {
					t.Errorf("%s: because %v", name, err)
				}
				if at.URL != "" {
					quiet(t, err, at)
				}
			}
			if n := len(rt.Calls("")) - before; (n == 0) == tc.called {
				t.Errorf("called %d times", n)
			}
			err := c.Acceptable(tc.address)
			if (err == nil) != (tc.advice == "") || err != nil && (!strings.Contains(err.Error(), tc.advice) || strings.Contains(err.Error(), u.Port()) || strings.Contains(err.Error(), "a:b")) {
				t.Errorf("advised %v", err)
			}
		})
	}
	t.Run("API-32 the environment's proxy is not asked", func(t *testing.T) {
		proxy := runtimetest.New(t, key)
		t.Setenv("HTTP_PROXY", proxy.URL)
		t.Setenv("http_proxy", proxy.URL)
		c := client(t, limits{}, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}, Resolver: fixed{"127.0.0.1"}})
		at := target(rt, apps.Chat)
		at.URL = "http://dify.example:" + u.Port()
		if err := calls["parameters"].do(t, c, at); err != nil || proxy.Opened() != 0 {
			t.Error(err, proxy.Opened())
		}
	})
	t.Run("API-20 a certificate of nobody we trust", func(t *testing.T) {
		secure := runtimetest.NewTLS(t, key)
		c := client(t, limits{}, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}})
		for name, call := range calls {
			err := call.do(t, c, target(secure, apps.Chat))
			if !errors.Is(err, run.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			quiet(t, err, target(secure, apps.Chat))
		}
	})
	t.Run("API-20 nobody listens", func(t *testing.T) {
		port, err := testserver.FreePort("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		at := target(rt, apps.Chat)
		at.URL = "http://127.0.0.1:" + port
		c := client(t, limits{}, egress.RuntimeOptions{Allowed: []string{"127.0.0.1"}})
		for name, call := range calls {
			err := call.do(t, c, at)
			if !errors.Is(err, run.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			quiet(t, err, at)
		}
	})
}

func TestNothingIsLeftBehind(t *testing.T) {
	rt, c := runtime(t, limits{})
	rt.On(runtimetest.Chat, runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{"event":"message"}`), runtimetest.Hang()})
	before := goruntime.NumGoroutine()
	const streams = 50
	for range streams {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := c.Stream(ctx, target(rt, apps.Chat), request())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := s.Next(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		_ = s.Close()
	}
	for _, call := range rt.Calls("") {
		<-call.Done()
	}
	late := time.Now().Add(10 * time.Second)
	for goruntime.NumGoroutine() > before+5 || rt.Open() > 0 {
		if time.Now().After(late) {
			t.Fatalf("%d goroutines, before %d; %d connections", goruntime.NumGoroutine(), before, rt.Open())
		}
		goruntime.Gosched()
	}
}
