// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// inner asks the second listener.
func htInner(t testing.TB, s *apitest.Server, path string) apitest.Answer {
	t.Helper()
	c := htDial(t, s.Inner)
	c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	return c.read("GET")
}

func TestMetaRoutes(t *testing.T) {
	slow(t)
	s := apitest.Start(t, unlimited())
	for _, header := range []string{"", "Bearer garbage", "Basic eDp5", "Bearer dfoa_" + strings.Repeat("A", 43)} {
		t.Run("M-1 with the Authorization "+header, func(t *testing.T) {
			for path, want := range map[string]string{
				htHealth: `{"ok":true}`, htVersion: `{"version":"1.14.2+` + apitest.Version + `","edition":"SELF_HOSTED"}`, "/openapi/v1/_ready": `{"ready":true}`,
			} {
				a := s.Call(t, http.MethodGet, path, "", "Authorization", header)
				if a.Status != http.StatusOK || a.Body != want || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Content-Disposition") != "" {
					t.Errorf("%s: %d %v %s", path, a.Status, a.Header, a.Body)
				}
			}
		})
	}
	t.Run("M-1 nothing is counted and no event made of what is ignored", func(t *testing.T) {
		s.Call(t, http.MethodGet, "/openapi/v1/account", "", "Authorization", "Bearer garbage")
		awaitEvents(t, s, "oauth.bearer_rejected", 1)
		if got := eventFields(t, s, "oauth.bearer_rejected")["count"]; got != 1.0 {
			t.Errorf("count %v", got)
		}
	})
}

func TestListsWithoutRows(t *testing.T) {
	s := apitest.Start(t, unlimited())
	addAccount(t, s, "alone@example.com")
	b := signedInAs(t, s, "alone@example.com")
	c := s.Code(t, "box")
	allow(t, b, c)
	minted := s.Poll(t, c)
	token := minted.Text(t, "token")
	for _, tc := range []struct{ name, member, body string }{
		{name: "M-10 workspaces of a fresh token", member: `"workspaces":[]`, body: minted.Body},
		{name: "M-10 workspaces of an account", member: `"workspaces":[]`, body: s.Bearer(t, token, http.MethodGet, htAccount).Body},
		{name: "M-10 workspaces of the console", member: `{"workspaces":[]}`, body: b.Call(http.MethodGet, "/console/api/workspaces", "").Body},
		{name: "M-10 a page past the last session", member: `"data":[]`, body: s.Bearer(t, token, http.MethodGet, htSessions+"?page=2").Body},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !strings.Contains(tc.body, tc.member) || strings.Contains(tc.body, `"workspaces":null`) || strings.Contains(tc.body, `"data":null`) {
				t.Fatalf("no %s in %s", tc.member, tc.body)
			}
		})
	}
}

// htPing makes the database stop answering.
type htPing struct {
	sqldb.DB
	down atomic.Bool
}

func (p *htPing) Ping(ctx context.Context) error {
	if p.down.Load() {
		return errors.New("dial tcp 10.9.8.7:5432: cause-canary")
	}
	return p.DB.Ping(ctx)
}

func TestReadiness(t *testing.T) {
	stores, ping := htNewStores(), &htPing{}
	s := apitest.Start(t, apitest.Wrap(func(st *app.Stores) {
		stores.wrap(st)
		ping.DB, st.DB = st.DB, ping
	}))
	const ready = `{"checks":{"schema":"ok","sql":"ok","store":"ok"}}`
	want := func(t *testing.T, status int, named string) {
		t.Helper()
		a := htInner(t, s, "/readyz")
		if a.Status != status || a.Body != named {
			t.Errorf("/readyz: %d %s, wanted %d %s", a.Status, a.Body, status, named)
		}
		a = s.Call(t, http.MethodGet, "/openapi/v1/_ready", "")
		if status == http.StatusOK {
			wantAnswer(t, a, http.StatusOK, "")
			return
		}
		wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
		wantFailureShape(t, a)
		if a.Header.Get("Retry-After") != "5" || strings.Contains(a.Body, "sql") || strings.Contains(a.Body, `"store"`) {
			t.Errorf("_ready: %v %s", a.Header, a.Body)
		}
	}
	t.Run("M-16 all is well", func(t *testing.T) { want(t, http.StatusOK, ready) })
	t.Run("M-16 SQL is down", func(t *testing.T) {
		ping.down.Store(true)
		defer ping.down.Store(false)
		want(t, http.StatusServiceUnavailable, `{"checks":{"schema":"ok","sql":"unavailable","store":"ok"}}`)
	})
	t.Run("M-16 the store of grants is down", func(t *testing.T) {
		stores.set("grants", htFails)
		defer stores.set("grants", htWorks)
		want(t, http.StatusServiceUnavailable, `{"checks":{"schema":"ok","sql":"ok","store":"unavailable"}}`)
	})
	t.Run("M-16 both are", func(t *testing.T) {
		ping.down.Store(true)
		stores.set("grants", htFails)
		defer func() { ping.down.Store(false); stores.set("grants", htWorks) }()
		want(t, http.StatusServiceUnavailable, `{"checks":{"schema":"ok","sql":"unavailable","store":"unavailable"}}`)
	})
	t.Run("M-16 a newer program has added to the schema, as each rolling upgrade does", func(t *testing.T) {
		sqlExec(t, s, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, $1)`, true)
		s.Clock.Advance(time.Second) // for which a stranger's question is not asked again
		want(t, http.StatusOK, ready)
		sqlExec(t, s, `DELETE FROM goose_db_version WHERE version_id = 99999`)
	})
	t.Run("M-16 the schema was taken back", func(t *testing.T) {
		sqlExec(t, s, `UPDATE goose_db_version SET version_id = -version_id WHERE version_id > 1`)
		a := htInner(t, s, "/readyz")
		if a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, `"schema":"older than this program"`) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		s.Clock.Advance(time.Second)
		public := s.Call(t, http.MethodGet, "/openapi/v1/_ready", "")
		wantAnswer(t, public, http.StatusServiceUnavailable, "service_unavailable")
		if public.Header.Get("Retry-After") != "5" || strings.Contains(public.Body, "schema") {
			t.Errorf("_ready: %v %s", public.Header, public.Body)
		}
		sqlExec(t, s, `UPDATE goose_db_version SET version_id = -version_id WHERE version_id < -1`)
		s.Clock.Advance(time.Second)
	})
	t.Run("M-16 and it recovers", func(t *testing.T) { want(t, http.StatusOK, ready) })
}

func TestReadinessDuringAShutdown(t *testing.T) {
	aboutEmbedded(t)
	slow(t)
	settings, err := app.Load(app.Sources{Flags: map[string]string{"DATA_DIR": t.TempDir(), "SHUTDOWN_DELAY": "3s"}})
	if err != nil {
		t.Fatal(err)
	}
	log := &apitest.Buffer{}
	a, err := app.New(context.Background(), settings, app.Options{Log: settings.Logger(log), Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	listeners := &app.Listeners{}
	for _, l := range []*net.Listener{&listeners.Public, &listeners.Inner} {
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	s := &apitest.Server{URL: "http://" + listeners.Public.Addr().String(), Inner: "http://" + listeners.Inner.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, listeners) }()
	t.Run("M-16 a shutdown is said before the listeners close", func(t *testing.T) {
		if a := htInner(t, s, "/readyz"); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		stop()
		eventually(t, func() (bool, string) { return strings.Contains(log.String(), `"msg":"draining"`), "no shutdown begins" })
		a := htInner(t, s, "/readyz")
		if a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, `"draining":true`) {
			t.Errorf("/readyz: %d %s", a.Status, a.Body)
		}
		if a := s.Call(t, http.MethodGet, "/openapi/v1/_ready", ""); a.Status != http.StatusServiceUnavailable {
			t.Errorf("_ready: %d %s", a.Status, a.Body)
		}
		if a := s.Call(t, http.MethodGet, htHealth, ""); a.Status != http.StatusOK {
			t.Errorf("the public listener serves no more: %d", a.Status)
		}
		if a := htInner(t, s, "/healthz"); a.Status != http.StatusOK {
			t.Errorf("/healthz: %d", a.Status)
		}
	})
	if err := errors.Join(<-served, a.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestSecondListener(t *testing.T) {
	s := apitest.Start(t, unlimited())
	b := s.SignedIn(t)
	token, id := s.SignInDevice(t, b, "label-canary")
	c := s.Code(t, "label-canary")
	s.Call(t, http.MethodGet, lookPath+"?user_code="+c.User, "")
	s.Call(t, http.MethodGet, "/path-canary?q=query-canary", "")
	s.Bearer(t, token, http.MethodGet, htSessions)
	s.Bearer(t, token, http.MethodDelete, htSessions+"/"+id)
	t.Run("M-15 health and metrics", func(t *testing.T) {
		if a := htInner(t, s, "/healthz"); a.Status != http.StatusOK || a.Body != `{"ok":true}` {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		a := htInner(t, s, "/metrics")
		if a.Status != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
			t.Fatalf("%d %v", a.Status, a.Header)
		}
		for _, want := range []string{`route="/openapi/v1/account/sessions/:id"`, `route="unmatched"`, "dify_sso_build_info"} {
			if !strings.Contains(a.Body, want) {
				t.Errorf("no %s in the metrics", want)
			}
		}
		// What other processes share is not this one's to count.
		if counted := strings.Contains(a.Body, "dify_sso_device_grants"); counted == (s.Pair != nil) || counted && !strings.Contains(a.Body, "dify_sso_device_grants 1") {
			t.Errorf("grants in the metrics: %v", counted)
		}
		for name, never := range map[string]string{"token": token, "token id": id, "code": c.User, "device code": c.Device, "label": "label-canary", "path": "path-canary",
			"query": "query-canary", "e-mail": apitest.OwnerEmail, "account": ownerID(t, s), "address": "127.0.0.1"} {
			if strings.Contains(a.Body, never) {
				t.Errorf("a %s is in the metrics", name)
			}
		}
	})
	t.Run("M-15 nothing public is served there", func(t *testing.T) {
		for _, path := range []string{htHealth, "/signin", "/", htAccount, "/console/api/setup", "/static/app.css", "/inner/api/auth/verify", "/debug/pprof/"} {
			wantAnswer(t, htInner(t, s, path), http.StatusNotFound, "not_found")
		}
	})
}
