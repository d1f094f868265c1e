// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// onePerson is a registry with one live token, and a gate that remembers nothing.
type onePerson struct{ live secret.Digest }

func (p onePerson) Resolve(ctx context.Context, kind token.Kind, d secret.Digest) (token.Identity, error) {
	return p.ResolveKnown(ctx, kind, d, token.Remembered{}, true)
}

func (p onePerson) ResolveKnown(_ context.Context, kind token.Kind, d secret.Digest, _ token.Remembered, _ bool) (token.Identity, error) {
	if d != p.live {
		return token.Identity{}, token.ErrInvalid.Because(token.CauseUnknown)
	}
	s := token.Subject{Issuer: "https://idp.example.com", ID: "ada", Email: "ada@example.com"}
	return token.Identity{Context: token.Context{SessionID: "session", Subject: s, ClientID: "difyctl"}, Kind: kind}, nil
}

func (onePerson) Used(string, time.Time, string) {}

func (onePerson) Enter(context.Context, ratelimit.Policy, secret.Digest, time.Time) (ratelimit.Result, token.Remembered, error) {
	return ratelimit.Result{Allowed: true}, token.Remembered{}, nil
}

func (onePerson) Place(context.Context, string, string) (workspace.Membership, error) {
	return workspace.Membership{}, workspace.ErrNotFound
}

func (onePerson) Append(context.Context, ...audit.Event) error { return nil }

const fuzzKey = "a key of thirty-two bytes for proxies"

var fuzzToken = "dfoe_" + strings.Repeat("x", 42) + "A"

// askable serves a second listener whose one person may apps:run, and gives its address.
func askable(f *testing.F) string {
	must := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	p, log := onePerson{secret.DigestOf(fuzzToken)}, slog.New(slog.DiscardHandler)
	recorder, err := audit.NewRecorder(p, log)
	must(err)
	kinds, err := token.NewKindRegistry(token.Kind{Prefix: "dfoe_", SubjectType: token.SubjectExternal, Scopes: []token.Scope{token.ScopeAppsRun}})
	must(err)
	table, err := limits.New(limits.Deps{Store: ratelimit.NewMemory(10), Recorder: recorder, Now: time.Now})
	must(err)
	bearer, err := authz.New(authz.Deps{Kinds: kinds, Tokens: p, Gate: p, Places: p, Apps: noApps{}, Limits: table, Recorder: recorder, Now: time.Now})
	must(err)
	app, err := server.New(server.Config{Log: log, Now: time.Now, Addresses: clientip.New(nil), MaxHeaderBytes: 16 << 10, ReadTimeout: time.Minute})
	must(err)
	MountInner(app, Inner{Metrics: prometheus.NewRegistry(), ForwardAuthKey: secret.New(fuzzKey), Bearer: bearer, Recorder: recorder, Now: time.Now})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() { _ = app.Listener(l) }()
	f.Cleanup(func() { _ = app.ShutdownWithTimeout(time.Second) })
	return l.Addr().String()
}

// FuzzExtAuthz: whatever a client puts into its path, query and method, the verdict is
// that of the bearer and of the gateway's own scope.
func FuzzExtAuthz(f *testing.F) {
	for _, s := range [][3]string{
		{"GET", "/v1", ""}, {"POST", "/v1/../../../healthz", "apps:run"}, {"BREW", "//x", "full"}, {"OPTIONS", "/%2F%00?scope=full", "nonsense"},
		{"GET", "/?a#b", "apps:run "}, {"DELETE", "/" + strings.Repeat("a", 300), "apps:run,full"}, {"CONNECT", "/ä", "apps:read"}, {"get", "/:x/*", "\x00"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	address := askable(f)
	f.Fuzz(func(t *testing.T, method, path, scope string) {
		unfit := func(s string) bool {
			return strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
		}
		if method == "" || unfit(method) || unfit(path) || !strings.HasPrefix(path, "/") || strings.ContainsAny(scope, "\r\n") || len(method)+len(path)+len(scope) > 8<<10 {
			t.Skip("no request of a gateway")
		}
		conn, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Skip("a long run has used up the ports of this machine")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		head := method + " " + extAuthz + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Inner-Api-Key: " + fuzzKey + "\r\nAuthorization: Bearer " + fuzzToken + "\r\n"
		if scope != "" {
			head += requireScope + ": " + scope + "\r\n"
		}
		if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s %q with %q: %v", method, path, scope, err)
		}
		defer func() { _ = res.Body.Close() }()
		asks, want := strings.Trim(scope, " \t"), http.StatusUnprocessableEntity
		switch {
		case scope == "" || asks == string(token.ScopeAppsRun):
			want = http.StatusOK
		case token.KnownScope(asks):
			want = http.StatusForbidden
		}
		// What cannot be read as a request at all is refused before the route.
		if res.StatusCode != want && res.StatusCode != http.StatusBadRequest {
			t.Fatalf("%s %q with %q: status %d instead of %d", method, path, scope, res.StatusCode, want)
		}
		if named := res.Header.Get("X-Auth-Subject") == "ada"; named != (res.StatusCode == http.StatusOK) {
			t.Fatalf("%s %q with %q: status %d, %v", method, path, scope, res.StatusCode, res.Header)
		}
	})
}

// noApps is a registry without an app.
type noApps struct{}

func (noApps) Place(context.Context, string, string) (*apps.Place, error) {
	return nil, apps.ErrNotFound
}
