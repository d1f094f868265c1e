// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

const (
	faVerify = "/inner/api/auth/verify"
	faEnvoy  = "/inner/api/auth/ext-authz"
	faKey    = "a key of forward authentication, thirty-two bytes and more"
)

// faProxied lets proxies ask.
var faProxied = apitest.Set("FORWARD_AUTH_KEY", faKey)

// faAsk asks the second listener at base as a proxy does, with its key and a bearer.
func faAsk(t testing.TB, base, method, path, bearer string, headers ...string) apitest.Answer {
	t.Helper()
	headers = append(headers, "X-Inner-Api-Key", faKey)
	if bearer != "" {
		headers = append(headers, "Authorization", "Bearer "+bearer)
	}
	return faSend(t, base, method, path, headers...)
}

// faSend writes a request as bytes, so that its path arrives as it is.
func faSend(t testing.TB, base, method, path string, headers ...string) apitest.Answer {
	t.Helper()
	var request strings.Builder
	request.WriteString(method + " " + path + " HTTP/1.1\r\nHost: x\r\n")
	for i := 0; i+1 < len(headers); i += 2 {
		request.WriteString(headers[i] + ": " + headers[i+1] + "\r\n")
	}
	c := htDial(t, base)
	c.send(request.String() + "\r\n")
	return c.read(method)
}

// faHeaders are what a proxy passes on, in the order of the document.
var faHeaders = []string{"X-Auth-Subject", "X-Auth-Subject-Type", "X-Auth-Issuer", "X-Auth-Email", "X-Auth-Name", "X-Auth-Client-Id", "X-Auth-Token-Id", "X-Auth-Scopes", "X-Auth-Expires"}

// faWantNobody fails when a refusal names somebody.
func faWantNobody(t testing.TB, a apitest.Answer) {
	t.Helper()
	for name := range a.Header {
		if strings.HasPrefix(name, "X-Auth-") {
			t.Fatalf("status %d with %s: %s", a.Status, name, a.Header.Get(name))
		}
	}
}

// The tokens of a second listener that knows both kinds of person, as none of this
// edition does.
var (
	faAccount  = "dfoa_" + strings.Repeat("a", 42) + "A"
	faExternal = "dfoe_" + strings.Repeat("e", 42) + "A"
	faOdd      = "dfoe_" + strings.Repeat("o", 42) + "A"
)

// faPlaces is for the routes that name a workspace, of which these servers have none.
type faPlaces struct{}

func (faPlaces) Place(context.Context, string, string) (workspace.Membership, error) {
	return workspace.Membership{}, workspace.ErrNotFound
}

// faApps is for those that name an app.
type faApps struct{}

func (faApps) Place(context.Context, string, string) (*apps.Place, error) {
	return nil, apps.ErrNotFound
}

type faTokens map[secret.Digest]token.Identity

// ResolveKnown implements authz.Tokens.
func (m faTokens) Resolve(ctx context.Context, kind token.Kind, d secret.Digest) (token.Identity, error) {
	return m.ResolveKnown(ctx, kind, d, token.Remembered{}, true)
}

func (m faTokens) ResolveKnown(_ context.Context, kind token.Kind, d secret.Digest, _ token.Remembered, _ bool) (token.Identity, error) {
	who, ok := m[d]
	if !ok {
		return token.Identity{}, token.ErrInvalid.Because(token.CauseUnknown)
	}
	who.Kind = kind
	return who, nil
}

// Used implements authz.Tokens.
func (faTokens) Used(string, time.Time, string) {}

type faSink struct{}

func (faSink) Append(context.Context, ...audit.Event) error { return nil }

// faStub serves a second listener with both kinds of person until the test ends, and
// gives its address.
func faStub(t testing.TB) string {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	recorder, err := audit.NewRecorder(faSink{}, log)
	must(err)
	kinds, err := token.NewKindRegistry(token.AccountKind, token.ExternalKind)
	must(err)
	counters := ratelimit.NewMemory(1000)
	table, err := limits.New(limits.Deps{Store: counters, Recorder: recorder, Now: time.Now, Overrides: map[limits.Name]limits.Override{limits.BearerToken: {}}})
	must(err)
	person := func(s token.Subject, name string) token.Identity {
		return token.Identity{Context: token.Context{SessionID: "session-of-" + s.Email, Subject: s, AccountName: name, ClientID: "difyctl", ExpiresAt: time.Unix(2_000_000_000, 0)}}
	}
	bearer, err := authz.New(authz.Deps{
		Kinds: kinds, Limits: table, Recorder: recorder, Now: time.Now, Gate: memstore.Gate{Counters: counters, Bearers: memstore.NewBearers(100)},
		Places: faPlaces{}, Apps: faApps{},
		Tokens: faTokens{
			secret.DigestOf(faAccount):  person(token.AccountSubject("018f0000-0000-7000-8000-000000000001", "ada@example.com"), "Ada Müller, 100% & \r\nX-Evil: 1"),
			secret.DigestOf(faExternal): person(token.Subject{Issuer: "https://idp.example.com/a", ID: "röck|7", Email: "röck@example.com"}, ""),
			secret.DigestOf(faOdd):      person(token.Subject{Issuer: "https://idp.example.com/a", ID: "ada\r\nX-Auth-Subject: root", Email: "odd@example.com"}, ""),
		},
	})
	must(err)
	inner, err := server.New(server.Config{Log: log, Now: time.Now, Addresses: clientip.New(nil), ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10})
	must(err)
	httpapi.MountInner(inner, httpapi.Inner{
		Readiness: func(context.Context) server.Readiness { return server.Readiness{} }, Metrics: telemetry.NewMetrics("core", "test").Registry,
		ForwardAuthKey: secret.New(faKey), Bearer: bearer, Recorder: recorder, Now: time.Now,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	done := make(chan error, 1)
	go func() { done <- inner.Listener(l) }()
	t.Cleanup(func() {
		_ = inner.ShutdownWithTimeout(time.Second)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// faWho is what the headers of an answer say, for a comparison of all at once.
func faWho(h http.Header) string {
	parts := make([]string, 0, len(faHeaders))
	for _, name := range faHeaders {
		parts = append(parts, name+"="+strings.Join(h.Values(name), "&"))
	}
	return strings.Join(parts, "\n")
}

// faIs is what the headers say of a token of the owner.
func faIs(t testing.TB, s *apitest.Server, id string) string {
	t.Helper()
	var expires time.Time
	who := ownerID(t, s)
	if err := s.App.Stores.DB.QueryRow(t.Context(), `SELECT expires_at FROM oauth_access_tokens WHERE id = $1`, id).Scan(&expires); err != nil {
		t.Fatal(err)
	}
	return strings.Join([]string{
		"X-Auth-Subject=" + who, "X-Auth-Subject-Type=account", "X-Auth-Issuer=dify:account", "X-Auth-Email=" + apitest.OwnerEmail, "X-Auth-Name=" + apitest.OwnerName,
		"X-Auth-Client-Id=difyctl", "X-Auth-Token-Id=" + id, "X-Auth-Scopes=full", "X-Auth-Expires=" + strconv.FormatInt(expires.Unix(), 10),
	}, "\n")
}
