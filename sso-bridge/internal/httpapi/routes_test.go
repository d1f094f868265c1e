// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/fault"
	engine "github.com/dify-sso/dify-sso/pkg/limits"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/limits"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/webui"
)

const reference = "7K2QD-9XM4P"

// logins stands in for the service: one ticket is good once, one cookie opens the test.
type logins struct {
	started  int
	arrivals []login.Arrival
	refused  []failure.Code
	down     error
	postsTo  string // where the form of a SAML request goes; empty for provider
	hold     func() // what Finish waits for
}

func (l *logins) at() string { return cmp.Or(l.postsTo, provider) }

const (
	ticket     = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	postTicket = "DAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	testTicket = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	cookie     = "CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	provider   = "https://idp.example/authorize?state=x"
	after      = "https://console.example/openapi/v1/oauth/device/sso-complete?sso_assertion=x"
)

func (l *logins) Start(_ context.Context, opener secret.Text, _ login.Visitor) (login.Departure, error) {
	switch opener.Reveal() {
	case ticket:
		if l.started++; l.started == 1 {
			return login.Departure{Destination: login.Destination{URL: provider}, Reference: reference}, nil
		}
	case postTicket:
		fields := []login.Field{{Name: "SAMLRequest", Value: secret.New("PHg+")}, {Name: "RelayState", Value: secret.New(ticket)}}
		return login.Departure{Destination: login.Destination{URL: l.at(), Post: fields}, Reference: reference}, nil
	case testTicket:
		return login.Departure{Destination: login.Destination{URL: provider}, Reference: reference, TestCookie: secret.New(cookie)}, nil
	}
	if l.down != nil {
		return login.Departure{Reference: reference}, failure.New(failure.StoreUnavailable).Because(l.down)
	}
	return login.Departure{Reference: reference}, failure.New(failure.StartLinkUsed)
}

func (l *logins) Finish(_ context.Context, a login.Arrival) string {
	if l.hold != nil {
		l.hold()
	}
	l.arrivals = append(l.arrivals, a)
	return after
}

func (l *logins) Refuse(_ context.Context, f *failure.Error, _ login.Visitor) string {
	l.refused = append(l.refused, f.Code)
	return reference
}

func (l *logins) Failure(_ context.Context, of string) (login.Failed, error) {
	if l.down != nil {
		return login.Failed{}, l.down
	}
	return login.Failed{Public: ssocode.ResponseRefused, At: time.Unix(1_800_000_000, 0), Intent: connection.DeviceFlow, Known: of == reference}, nil
}

func (l *logins) TestResult(_ context.Context, opener, given secret.Text) (login.Result, error) {
	switch {
	case opener.Reveal() != testTicket:
		return login.Result{}, login.ErrResultOver
	case given.Reveal() != cookie:
		return login.Result{}, login.ErrWrongBrowser
	}
	return login.Result{Reference: reference, Name: "Corp", Passed: true, Marked: true}, nil
}

// described publishes one connection.
type described struct{}

const (
	document = "<EntityDescriptor/>"
	tag      = `"0123abcd"`
)

func (described) Describe(_ context.Context, id string) ([]byte, string, error) {
	switch id {
	case "corp":
		return []byte(document), tag, nil
	case "down":
		return nil, "", fault.ErrUnavailable
	}
	return nil, "", connection.ErrUnknown
}

type nowhere struct{}

func (nowhere) Append(context.Context, ...audit.Event) error { return nil }

// listener is a public listener before l, for an address.
func listener(t *testing.T, l Logins, public string, overrides map[engine.Name]engine.Override) *fiber.App {
	t.Helper()
	return listenerWith(t, l, public, overrides, NewReaders(2, time.Millisecond))
}

func listenerWith(t *testing.T, l Logins, public string, overrides map[engine.Name]engine.Override, readers *Readers) *fiber.App {
	t.Helper()
	origin, err := url.Parse(public)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	recorder, err := audit.NewRecorder(nowhere{}, log)
	if err != nil {
		t.Fatal(err)
	}
	table, err := limits.New(engine.Deps{Store: ratelimit.NewMemory(1000), Recorder: recorder, Now: time.Now, Overrides: overrides})
	if err != nil {
		t.Fatal(err)
	}
	ui, err := webui.New(webui.Deps{Core: &url.URL{Scheme: "https", Host: "console.example"}, Contact: "help@corp.example"})
	if err != nil {
		t.Fatal(err)
	}
	d := Deps{Logins: l, Metadata: described{}, Readers: readers, Limits: table, UI: ui, Public: origin, Now: time.Now}
	page, isPage := Pages(d)
	app, err := server.New(server.Config{Log: log, Now: time.Now, Addresses: clientip.New(nil), HSTS: origin.Scheme == "https", Page: page, IsPage: isPage, MaxHeaderBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := Mount(app, d); err != nil {
		t.Fatal(err)
	}
	return app
}

type answered struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, app *fiber.App, method, target, body string, header ...string) answered {
	t.Helper()
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.RequestURI = target // as it is, also where net/url would clean it
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	res, err := app.Test(r, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{res.StatusCode, res.Header, string(content)}
}

const public = "https://sso.example.com"

func TestWhatIsNoRoute(t *testing.T) {
	app := listener(t, &logins{}, public, nil)
	for _, path := range []string{"/", "/metrics", "/readyz", "/healthz", "/sso", "/sso/", "/SSO/error/x", "/sso/error/x/", "/debug/pprof/heap"} {
		t.Run("SSO-07 "+path, func(t *testing.T) {
			if got := ask(t, app, "GET", path, ""); got.status != 404 {
				t.Errorf("%d", got.status)
			}
		})
	}
	for _, path := range []string{"/inner/api/sso/connections", "/inner/api/sso/login-attempts", "/inner%2fapi/sso/connections", "//inner/api/sso/connections", "/sso/../inner/api/sso/connections", "/%69nner/api/sso/connections"} {
		for _, method := range []string{"GET", "POST"} {
			t.Run("INN-07 "+method+" "+path, func(t *testing.T) {
				if got := ask(t, app, method, path, ""); got.status != 404 {
					t.Errorf("%d", got.status)
				}
			})
		}
	}
	for _, path := range []string{"/sso/logout", "/sso/oidc/logout", "/sso/oidc/backchannel", "/sso/oidc/frontchannel"} {
		for _, method := range []string{"GET", "POST"} {
			t.Run("OIDC-36 "+method+" "+path, func(t *testing.T) {
				if got := ask(t, app, method, path, ""); got.status != 404 {
					t.Errorf("%d", got.status)
				}
			})
		}
	}
}

func TestRoutesAndTableAreOne(t *testing.T) {
	a := newAPI(Deps{Public: &url.URL{}})
	t.Run("SSO-07 a row without a handler or a page without a limit is not mounted", func(t *testing.T) {
		app := fiber.New()
		for _, r := range []row{{method: "GET", path: "/x", page: true, limit: limits.StartAddr}, {method: "GET", path: "/x", page: true, handle: a.start}} {
			if a.mount(app, r) == nil {
				t.Errorf("%+v is mounted", r)
			}
		}
	})
	t.Run("SSO-07 a route that is no row keeps the service from starting", func(t *testing.T) {
		app := fiber.New()
		app.Get("/stray", a.static)
		if err := Mount(app, Deps{Logins: &logins{}, Metadata: described{}, Readers: NewReaders(0, 0), Limits: &engine.Table{}, UI: &webui.Renderer{}, Public: &url.URL{}, Now: time.Now}); err == nil || !strings.Contains(err.Error(), "/stray has no row") {
			t.Errorf("%v", err)
		}
	})
}

// every address of the table, filled in.
var every = []string{
	"GET /sso/start/" + ticket, "GET /sso/start/" + testTicket, "GET /sso/start/x", "GET /sso/oidc/callback?state=x&code=y", "GET /sso/oidc/callback/corp?state=x&code=y", "POST /sso/oidc/callback",
	"GET /sso/oauth2/callback?state=x&code=y", "GET /sso/oauth2/callback/corp", "GET /sso/test/" + testTicket, "GET /sso/error/" + reference, "GET /sso/error/none", "GET /sso/static/none",
	"GET /sso/start/" + postTicket, "POST /sso/saml/acs", "POST /sso/saml/acs/corp", "GET /sso/saml/acs", "GET /sso/saml/metadata/none", "GET /sso/saml/metadata/down",
}

func TestEveryAnswer(t *testing.T) {
	for _, one := range every {
		method, target, _ := strings.Cut(one, " ")
		t.Run("SSO-98 headers of "+one, func(t *testing.T) {
			got := ask(t, listener(t, &logins{}, public, nil), method, target, "", "Accept", "text/html", "Origin", "https://evil.example")
			for header, want := range map[string]string{
				"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Access-Control-Allow-Origin": "",
				"Strict-Transport-Security": "max-age=31536000",
			} {
				if have := got.header.Get(header); have != want {
					t.Errorf("%s: %q, want %q", header, have, want)
				}
			}
			if !strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Error("it may be framed")
			}
			policy := pagePolicy
			if strings.HasSuffix(target, postTicket) {
				policy = leavePolicy(provider)
			}
			if strings.Contains(got.header.Get("Content-Type"), "html") && got.header.Get("Content-Security-Policy") != policy {
				t.Errorf("policy %q", got.header.Get("Content-Security-Policy"))
			}
		})
		t.Run("SSO-08 a spoofed host changes nothing of "+one, func(t *testing.T) {
			plain := ask(t, listener(t, &logins{}, public, nil), method, target, "", "Accept", "text/html")
			spoofed := ask(t, listener(t, &logins{}, public, nil), method, target, "", "Accept", "text/html", "Host", "evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "Forwarded", "host=evil.example")
			if plain.status != spoofed.status || plain.header.Get("Location") != spoofed.header.Get("Location") || plain.header.Get("Set-Cookie") != spoofed.header.Get("Set-Cookie") {
				t.Errorf("%+v, then %+v", plain.header, spoofed.header)
			}
			if strings.Contains(spoofed.body, "evil.example") {
				t.Error("the page names it")
			}
		})
	}
}

func TestStart(t *testing.T) {
	t.Run("SSO-47 a ticket is good once, and HEAD leaves it", func(t *testing.T) {
		app := listener(t, &logins{}, public, nil)
		if got := ask(t, app, "HEAD", "/sso/start/"+ticket, ""); got.status != 405 {
			t.Fatalf("HEAD: %d", got.status)
		}
		if got := ask(t, app, "GET", "/sso/start/"+ticket, ""); got.status != 302 || got.header.Get("Location") != provider || got.header.Get("Set-Cookie") != "" {
			t.Fatalf("%+v", got)
		}
		got := ask(t, app, "GET", "/sso/start/"+ticket, "")
		if got.status != 400 || !strings.Contains(got.body, ssocode.LinkUsed.Text("en")) || !strings.Contains(got.body, reference) {
			t.Fatalf("a second time: %+v", got)
		}
	})
	t.Run("SSO-47 a store that is down is 503 and no verdict", func(t *testing.T) {
		got := ask(t, listener(t, &logins{down: errors.New("down")}, public, nil), "GET", "/sso/start/x", "")
		if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, ssocode.Unavailable.Text("en")) {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("SSO-80 a test's ticket brings the test cookie, on https and on loopback", func(t *testing.T) {
		for origin, want := range map[string]string{
			public:                  "__Host-sso_test=" + cookie + "; max-age=900; path=/; HttpOnly; secure; SameSite=Lax",
			"http://127.0.0.1:5003": "sso_test=" + cookie + "; max-age=900; path=/; HttpOnly; SameSite=Lax",
		} {
			if got := ask(t, listener(t, &logins{}, origin, nil), "GET", "/sso/start/"+testTicket, "").header.Get("Set-Cookie"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	})
	t.Run("the limit is per address and says when to come again", func(t *testing.T) {
		app := listener(t, &logins{}, public, map[engine.Name]engine.Override{limits.StartAddr: {Limit: 1}})
		ask(t, app, "GET", "/sso/start/x", "")
		if got := ask(t, app, "GET", "/sso/start/x", ""); got.status != 429 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, ssocode.RateLimited.Text("en")) {
			t.Errorf("%+v", got)
		}
	})
}

func TestHeadDecidesNothing(t *testing.T) {
	for _, one := range every {
		method, target, _ := strings.Cut(one, " ")
		want := 405
		if strings.HasPrefix(target, "/sso/error/") {
			want = 200
		}
		if method != "GET" || target == "/sso/error/none" || strings.HasPrefix(target, "/sso/saml/metadata/") {
			continue
		}
		t.Run("SSO-47 HEAD "+target, func(t *testing.T) {
			l := &logins{}
			if got := ask(t, listener(t, l, public, nil), "HEAD", target, ""); got.status != want || l.started+len(l.arrivals) > 0 {
				t.Errorf("%d, %+v", got.status, l)
			}
		})
	}
}

func TestThePageOfATest(t *testing.T) {
	app := listener(t, &logins{}, public, nil)
	for _, tc := range []struct {
		name, target, cookie string
		status               int
		part                 string
	}{
		{"SSO-80 the browser that was tested", testTicket, "__Host-sso_test=" + cookie, 200, "The test passed"},
		{"SSO-80 another browser", testTicket, "__Host-sso_test=x", 403, ssocode.WrongBrowser.Text("en")},
		{"SSO-80 no cookie", testTicket, "", 403, ssocode.WrongBrowser.Text("en")},
		{"SSO-80 a planted second cookie", testTicket, "__Host-sso_test=" + cookie + "; __Host-sso_test=" + cookie, 403, ssocode.WrongBrowser.Text("en")},
		{"SSO-80 the cookie of loopback on https", testTicket, "sso_test=" + cookie, 403, ssocode.WrongBrowser.Text("en")},
		{"SSO-80 a result that is over", ticket, "__Host-sso_test=" + cookie, 404, ssocode.Expired.Text("en")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := ask(t, app, "GET", "/sso/test/"+tc.target, "", "Cookie", tc.cookie); got.status != tc.status || !strings.Contains(got.body, tc.part) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

func TestThePageOfAReference(t *testing.T) {
	app := listener(t, &logins{}, public, nil)
	t.Run("a known one: sentence, reference, way back, contact, and HEAD", func(t *testing.T) {
		got := ask(t, app, "GET", "/sso/error/"+reference+"?lang=zh-Hans", "")
		for _, part := range []string{ssocode.ResponseRefused.Text("zh-Hans"), "参考编号 " + reference, "https://console.example/device", "help@corp.example", `lang="zh-Hans"`} {
			if got.status != 200 || !strings.Contains(got.body, part) {
				t.Errorf("%d without %s", got.status, part)
			}
		}
	})
	t.Run("an unknown one is a page of its own, which echoes nothing", func(t *testing.T) {
		got := ask(t, app, "GET", "/sso/error/"+url.PathEscape("<b>AAAAA</b>"), "")
		if got.status != 404 || !strings.Contains(got.body, ssocode.Failed.Text("en")) || strings.Contains(got.body, "AAAAA") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a store that is down is 503", func(t *testing.T) {
		if got := ask(t, listener(t, &logins{down: errors.New("down")}, public, nil), "GET", "/sso/error/"+reference, ""); got.status != 503 {
			t.Errorf("%d", got.status)
		}
	})
	t.Run("its files may be kept, under names of their content", func(t *testing.T) {
		page := ask(t, app, "GET", "/sso/error/"+reference, "").body
		_, rest, _ := strings.Cut(page, `<link rel="stylesheet" href="`)
		address, _, _ := strings.Cut(rest, `"`)
		got := ask(t, app, "GET", address, "")
		if got.status != 200 || got.header.Get("Cache-Control") != "public, max-age=86400" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/css") {
			t.Errorf("%s: %+v", address, got.header)
		}
	})
}
