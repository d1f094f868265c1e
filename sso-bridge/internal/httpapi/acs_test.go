// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

func TestResponses(t *testing.T) {
	long := strings.Repeat("a", maxResponse)
	for _, tc := range []struct {
		name, target, body string
		handle, message    string
		malformed, path    string
	}{
		{name: "a response at the connection's own address", target: "/sso/saml/acs/corp", body: "SAMLResponse=PHg%2B&RelayState=" + ticket, handle: ticket, message: "PHg+", path: "corp"},
		{name: "at the shared address, in the other order", target: "/sso/saml/acs", body: "RelayState=" + ticket + "&SAMLResponse=PHg%2B", handle: ticket, message: "PHg+"},
		{name: "what else a provider sends is ignored", target: "/sso/saml/acs", body: "SAMLResponse=PHg%2B&RelayState=" + ticket + "&SAMLEncoding=x&ctx=1", handle: ticket, message: "PHg+"},
		{name: "SSO-55 the query is never looked at", target: "/sso/saml/acs?SAMLResponse=q&RelayState=q&SAMLart=q", body: "SAMLResponse=PHg%2B&RelayState=" + ticket, handle: ticket, message: "PHg+"},
		{name: "SSO-55 everything in the query", target: "/sso/saml/acs?SAMLResponse=q&RelayState=" + ticket, malformed: "SAMLResponse"},
		{name: "SSO-55 SAMLResponse twice", target: "/sso/saml/acs", body: "SAMLResponse=PHg%2B&SAMLResponse=PHg%2B&RelayState=" + ticket, handle: ticket, malformed: "SAMLResponse"},
		{name: "SSO-55 RelayState twice", target: "/sso/saml/acs", body: "SAMLResponse=PHg%2B&RelayState=" + ticket + "&RelayState=" + ticket, message: "PHg+", malformed: "RelayState"},
		{name: "SSO-55 SAMLart in the place of a response", target: "/sso/saml/acs", body: "SAMLart=AAQ&RelayState=" + ticket, handle: ticket, malformed: "SAMLart"},
		{name: "SSO-55 SAMLart beside a response", target: "/sso/saml/acs", body: "SAMLResponse=PHg%2B&SAMLart=&RelayState=" + ticket, handle: ticket, message: "PHg+", malformed: "SAMLart"},
		{name: "SSO-55 no response", target: "/sso/saml/acs", body: "RelayState=" + ticket, handle: ticket, malformed: "SAMLResponse"},
		{name: "a response of 256 KiB", target: "/sso/saml/acs", body: "SAMLResponse=" + long + "&RelayState=" + ticket, handle: ticket, message: long},
		{name: "SSO-55 and one byte more", target: "/sso/saml/acs", body: "SAMLResponse=" + long + "a&RelayState=" + ticket, handle: ticket, malformed: "SAMLResponse"},
		{name: "SSO-55 an escape that is none", target: "/sso/saml/acs", body: "SAMLResponse=%zz&RelayState=" + ticket, handle: ticket, malformed: "encoding"},
		{name: "SSO-55 bytes that are no text", target: "/sso/saml/acs", body: "SAMLResponse=%ff&RelayState=" + ticket, handle: ticket, malformed: "SAMLResponse"},
		{name: "SSO-55 a flood of parameters", target: "/sso/saml/acs", body: strings.Repeat("a=&", maxConsumed/3), malformed: "parameters"},
		{name: "SAML-33 a RelayState that is cut", target: "/sso/saml/acs", body: "SAMLResponse=PHg%2B&RelayState=" + ticket[:42], handle: ticket[:42], message: "PHg+"},
		{name: "SAML-33 no RelayState", target: "/sso/saml/acs", body: "SAMLResponse=PHg%2B", message: "PHg+"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &logins{}
			got := ask(t, listener(t, l, public, nil), "POST", tc.target, tc.body, "Content-Type", formType, "Cookie", "__Host-sso_test="+cookie)
			if got.status != 303 || got.header.Get("Location") != after || len(l.arrivals) != 1 {
				t.Fatalf("%d to %s, %d arrivals", got.status, got.header.Get("Location"), len(l.arrivals))
			}
			a := l.arrivals[0]
			if a.Protocol != connection.SAML || a.Malformed != tc.malformed || a.Handle != tc.handle && tc.malformed != "SAMLResponse" || a.Path != tc.path || a.Bytes != len(tc.body) {
				t.Errorf("%+v", a)
			}
			if tc.malformed == "" && a.Message.Reveal() != tc.message || !a.Code.IsZero() || a.Error != "" {
				t.Errorf("%d bytes of a message", len(a.Message.Reveal()))
			}
		})
	}
	for _, state := range []string{"https://evil.example/", "//evil.example", "/device\r\nLocation: https://evil.example", "javascript:alert(1)", strings.Repeat("https://portal.example/", 1000)} {
		t.Run("SAML-34 a RelayState that is an address is none of ours", func(t *testing.T) {
			l := &logins{}
			got := ask(t, listener(t, l, public, nil), "POST", "/sso/saml/acs/corp", url.Values{"SAMLResponse": {"PHg+"}, "RelayState": {state}}.Encode(), "Content-Type", formType)
			if got.status != 303 || got.header.Get("Location") != after || len(l.arrivals) != 1 || l.arrivals[0].Handle != state || l.arrivals[0].Malformed != "" {
				t.Errorf("%d to %s", got.status, got.header.Get("Location"))
			}
		})
	}
}

func TestResponsesThatCannotBeRead(t *testing.T) {
	for _, tc := range []struct {
		name   string
		body   string
		header []string
		status int
		noted  failure.Code
	}{
		{"SSO-55 another content type", "<x/>", []string{"Content-Type", "text/xml"}, 415, failure.UnsupportedMedia},
		{"SSO-55 a form of parts", "x", []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, failure.UnsupportedMedia},
		{"SSO-55 no content type", "SAMLResponse=x", nil, 415, failure.UnsupportedMedia},
		{"SSO-55 Content-Encoding", "SAMLResponse=x", []string{"Content-Type", formType, "Content-Encoding", "deflate"}, 415, failure.ContentEncoding},
		{"SSO-55 385 KiB", strings.Repeat("a", 385<<10), []string{"Content-Type", formType}, 413, failure.BodyTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, target := range []string{"/sso/saml/acs", "/sso/saml/acs/corp"} {
				l := &logins{}
				got := ask(t, listener(t, l, public, nil), "POST", target, tc.body, tc.header...)
				if got.status != tc.status || !strings.Contains(got.body, reference) || len(l.refused) != 1 || l.refused[0] != tc.noted || len(l.arrivals) != 0 {
					t.Errorf("%d, noted %v, %d arrivals", got.status, l.refused, len(l.arrivals))
				}
			}
		})
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} {
		t.Run("SSO-55 "+method, func(t *testing.T) {
			l := &logins{}
			got := ask(t, listener(t, l, public, nil), method, "/sso/saml/acs/corp?SAMLResponse=x&RelayState="+ticket, "")
			if got.status != 405 || len(l.arrivals)+len(l.refused) != 0 {
				t.Errorf("%d, %+v", got.status, l)
			}
		})
	}
	t.Run("the limit is that of every callback", func(t *testing.T) {
		app := listener(t, &logins{}, public, nil)
		for range 120 {
			ask(t, app, "GET", "/sso/oidc/callback", "")
		}
		if got := ask(t, app, "POST", "/sso/saml/acs", "RelayState=x", "Content-Type", formType); got.status != 429 {
			t.Errorf("%d", got.status)
		}
	})
}

func TestSAMLHasNoLogoutAndNoArtifacts(t *testing.T) {
	app := listener(t, &logins{}, public, nil)
	for _, path := range []string{
		"/sso/saml/slo", "/sso/saml/slo/corp", "/sso/saml/logout", "/sso/saml/logout/corp", "/sso/saml/artifact", "/sso/saml/ars", "/sso/saml/ars/corp",
		"/sso/saml", "/sso/saml/", "/sso/saml/acs/", "/sso/saml/acs/corp/x", "/sso/saml/metadata", "/sso/saml/metadata/", "/sso/saml/callback",
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run("SAML-55 "+method+" "+path, func(t *testing.T) {
				if got := ask(t, app, method, path, "SAMLRequest=x", "Content-Type", formType); got.status != 404 {
					t.Errorf("%d", got.status)
				}
			})
		}
	}
}

func TestBusy(t *testing.T) {
	t.Run("SSO-109 every reader taken: 503, Retry-After, nothing spent; the same post again is read", func(t *testing.T) {
		readers := NewReaders(1, time.Millisecond)
		began, goOn := make(chan struct{}), make(chan struct{})
		slow := &logins{hold: func() { close(began); <-goOn }}
		body := "SAMLResponse=PHg%2B&RelayState=" + ticket
		var first sync.WaitGroup
		app := listenerWith(t, slow, public, nil, readers)
		first.Go(func() {
			if got := ask(t, app, "POST", "/sso/saml/acs", body, "Content-Type", formType); got.status != 303 {
				t.Errorf("%d", got.status)
			}
		})
		<-began
		l := &logins{}
		app = listenerWith(t, l, public, nil, readers)
		got := ask(t, app, "POST", "/sso/saml/acs/corp", body, "Content-Type", formType)
		if got.status != 503 || got.header.Get("Retry-After") == "" || got.header.Get("Location") != "" || !strings.Contains(got.body, ssocode.Unavailable.Text("en")) || !strings.Contains(got.body, reference) {
			t.Errorf("%+v", got)
		}
		if len(l.arrivals) != 0 || len(l.refused) != 1 || l.refused[0] != failure.Busy {
			t.Errorf("%+v", l)
		}
		if got := ask(t, app, "POST", "/sso/saml/acs/corp", "SAMLResponse=PHg%2B&RelayState=portal", "Content-Type", formType); got.status != 303 || len(l.arrivals) != 1 {
			t.Errorf("what will not be read waits for nobody: %d", got.status)
		}
		close(goOn)
		first.Wait()
		if got := ask(t, app, "POST", "/sso/saml/acs/corp", body, "Content-Type", formType); got.status != 303 || len(l.arrivals) != 2 {
			t.Errorf("again: %d", got.status)
		}
	})
	t.Run("SSO-109 a turn is waited for, 1 s and no longer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := NewReaders(2, 0)
			one, _, _ := r.Take(t.Context())
			two, _, ok := r.Take(t.Context())
			if !ok {
				t.Fatal("the second has no turn")
			}
			began := time.Now()
			if _, waiting, ok := r.Take(t.Context()); ok || waiting != 1 || time.Since(began) != time.Second {
				t.Errorf("%t, %d waiting, after %s", ok, waiting, time.Since(began))
			}
			time.AfterFunc(999*time.Millisecond, one)
			three, _, ok := r.Take(t.Context())
			if !ok || time.Since(began) != 1999*time.Millisecond {
				t.Errorf("after %s", time.Since(began))
			}
			two()
			three()
			if r.waiting.Load() != 0 || len(r.free) != 0 {
				t.Error("somebody waits still")
			}
		})
	})
	t.Run("SSO-109 who comes behind too many is told so at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := NewReaders(1, 0)
			done, _, _ := r.Take(t.Context())
			for range perReader {
				go func() {
					if done, _, ok := r.Take(t.Context()); ok {
						done()
					}
				}()
			}
			synctest.Wait()
			began := time.Now()
			if _, waiting, ok := r.Take(t.Context()); ok || waiting != perReader+1 || time.Since(began) != 0 {
				t.Errorf("%t, %d waiting, after %s", ok, waiting, time.Since(began))
			}
			done()
			synctest.Wait()
			if r.waiting.Load() != 0 || len(r.free) != 0 {
				t.Error("somebody waits still")
			}
		})
	})
	t.Run("SSO-109 2 for each CPU", func(t *testing.T) {
		if r := NewReaders(0, 0); cap(r.free) < 2 || cap(r.free)%2 != 0 {
			t.Errorf("%d", cap(r.free))
		}
	})
}

func TestThePageThatPosts(t *testing.T) {
	for _, tc := range []struct{ name, to, action string }{
		{"SSO-98 a provider", provider, "https:"},
		{"SSO-98 a provider on loopback", "http://127.0.0.1:8080/sso", "https: http://127.0.0.1:8080"},
		{"SSO-98 a provider on loopback by name", "http://localhost:8080/sso", "https: http://localhost:8080"},
		{"SSO-98 a provider without TLS elsewhere", "http://idp.example/sso", "https:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &logins{postsTo: tc.to}
			got := ask(t, listener(t, l, public, nil), "GET", "/sso/start/"+postTicket, "", "Accept-Language", "zh-CN")
			want := "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action " + tc.action + "; base-uri 'none'; frame-ancestors 'none'"
			if got.status != 200 || got.header.Get("Content-Security-Policy") != want || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Location") != "" {
				t.Errorf("%d, %+v", got.status, got.header)
			}
			for _, part := range []string{`<form method="post" action="` + tc.to + `"`, `name="SAMLRequest" value="PHg&#43;"`, `name="RelayState" value="` + ticket + `"`, "<button", "前往公司登录页面"} {
				if !strings.Contains(got.body, part) {
					t.Errorf("without %s: %s", part, got.body)
				}
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	app := listener(t, &logins{}, public, nil)
	t.Run("SSO-63 a document that others may keep for ten minutes", func(t *testing.T) {
		for _, method := range []string{"GET", "HEAD"} {
			got := ask(t, app, method, "/sso/saml/metadata/corp", "")
			for header, want := range map[string]string{
				"Content-Type": "application/samlmetadata+xml", "ETag": tag, "Cache-Control": "public, max-age=600", "Content-Disposition": "",
				"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Access-Control-Allow-Origin": "", "Set-Cookie": "", "Pragma": "",
			} {
				if have := got.header.Get(header); have != want {
					t.Errorf("%s %s: %q, want %q", method, header, have, want)
				}
			}
			if got.status != 200 || (got.body == document) != (method == "GET") {
				t.Errorf("%s: %d %q", method, got.status, got.body)
			}
		}
	})
	for header, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200, "0123abcd": 200} {
		t.Run("SSO-63 If-None-Match "+header, func(t *testing.T) {
			got := ask(t, app, "GET", "/sso/saml/metadata/corp", "", "If-None-Match", header)
			if got.status != want || got.header.Get("ETag") != tag || got.header.Get("Cache-Control") != "public, max-age=600" || want == 304 && got.body != "" {
				t.Errorf("%d, %+v, %q", got.status, got.header, got.body)
			}
		})
	}
	t.Run("SSO-63 of no connection, and of a store that is down", func(t *testing.T) {
		got := ask(t, app, "GET", "/sso/saml/metadata/none", "", "Accept", "text/html")
		if got.status != 404 || !strings.Contains(got.header.Get("Content-Type"), "json") || got.header.Get("Cache-Control") != "no-store" || strings.Contains(got.body, "connection") {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := ask(t, app, "GET", "/sso/saml/metadata/down", ""); got.status != 503 || got.header.Get("Retry-After") == "" {
			t.Errorf("%d", got.status)
		}
		if got := ask(t, app, "POST", "/sso/saml/metadata/corp", ""); got.status != 405 {
			t.Errorf("POST: %d", got.status)
		}
	})
	t.Run("SSO-63 60 in a minute", func(t *testing.T) {
		app := listener(t, &logins{}, public, nil)
		for range 60 {
			if got := ask(t, app, "GET", "/sso/saml/metadata/corp", ""); got.status != 200 {
				t.Fatalf("%d", got.status)
			}
		}
		if got := ask(t, app, "GET", "/sso/saml/metadata/corp", ""); got.status != 429 {
			t.Errorf("%d", got.status)
		}
	})
}
