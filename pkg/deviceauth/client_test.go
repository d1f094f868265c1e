// SPDX-License-Identifier: Apache-2.0

package deviceauth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/servertest"
)

func clientOf(s *servertest.Server) *deviceauth.Client {
	return &deviceauth.Client{Host: servertest.Origin, ClientID: "difyauth", HTTPClient: &http.Client{Transport: s.Transport()}}
}

// roundTrip answers requests by a func.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering gives a client to whom every request brings one answer.
func answering(status int, body string, headers ...string) *deviceauth.Client {
	return &deviceauth.Client{Host: servertest.Origin, ClientID: "difyauth", HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i+1 < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})}}
}

func TestOrigin(t *testing.T) {
	for _, c := range []struct {
		host, want string
		allow      bool
		err        error
	}{
		{host: "https://sso.example.com", want: "https://sso.example.com"},
		{host: " HTTPS://SSO.Example.com:443/ ", want: "https://sso.example.com"},
		{host: "sso.example.com", want: "https://sso.example.com"},
		{host: "sso.example.com:8443", want: "https://sso.example.com:8443"},
		{host: "http://localhost:5001", want: "http://localhost:5001"},
		{host: "http://127.0.0.1:80", want: "http://127.0.0.1"},
		{host: "http://[::1]:5001", want: "http://[::1]:5001"},
		{host: "http://sso.example.com", err: deviceauth.ErrInsecureHost},
		{host: "http://127.0.0.1.example.com", err: deviceauth.ErrInsecureHost},
		{host: "http://localhost.example.com", err: deviceauth.ErrInsecureHost},
		{host: "http://10.0.0.1", err: deviceauth.ErrInsecureHost},
		{host: "http://sso.example.com", allow: true, want: "http://sso.example.com"},
		{host: "", err: deviceauth.ErrHost},
		{host: "https://", err: deviceauth.ErrHost},
		{host: "ftp://sso.example.com", err: deviceauth.ErrHost},
		{host: "https://ada:hunter2@sso.example.com", err: deviceauth.ErrHost},
		{host: "https://sso.example.com/path", err: deviceauth.ErrHost},
		{host: "https://sso.example.com?x=1", err: deviceauth.ErrHost},
		{host: "https://sso.example.com#x", err: deviceauth.ErrHost},
		{host: "https://a b", err: deviceauth.ErrHost},
	} {
		t.Run(c.host, func(t *testing.T) {
			got, err := (&deviceauth.Client{Host: c.host, AllowHTTP: c.allow}).Origin()
			if got != c.want || !errors.Is(err, c.err) {
				t.Fatalf("%q, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("the error repeats a password: %v", err)
			}
		})
	}
}

func TestStart(t *testing.T) {
	s := servertest.New()
	s.Complete = true
	c := clientOf(s)
	c.UserAgent = "test/1"
	before := time.Now()
	a, err := c.Start(t.Context(), "Ada's laptop")
	if err != nil {
		t.Fatal(err)
	}
	if a.UserCode != "WDJB-M001" || a.VerificationURI != servertest.Origin+"/device" || a.VerificationURIComplete != servertest.Origin+"/device?user_code=WDJB-M001" || a.Interval != 5*time.Second {
		t.Fatalf("%+v", a)
	}
	if left := a.ExpiresAt.Sub(before); left < 15*time.Minute || left > 16*time.Minute {
		t.Fatalf("ends in %s", left)
	}
	if _, err := c.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	r := s.Requests()
	if r[0].Method != http.MethodPost || r[0].Path != "/openapi/v1/oauth/device/code" || r[0].Body != `{"client_id":"difyauth","device_label":"Ada's laptop"}` ||
		r[0].Header.Get("Content-Type") != "application/json" || r[0].Header.Get("User-Agent") != "test/1" || r[0].Header.Get("Authorization") != "" {
		t.Fatalf("%+v", r[0])
	}
	if want := `{"client_id":"difyauth","device_label":"difyauth on ` + host + `"}`; r[1].Body != want {
		t.Fatalf("%s, want %s", r[1].Body, want)
	}
}

func TestStartFailures(t *testing.T) {
	const good = `{"device_code":"dc_1","user_code":"AB-CD","verification_uri":"https://x.example/device","expires_in":900,"interval":5}`
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for _, c := range []struct {
		name    string
		status  int
		body    string
		headers []string
		err     error // nil: an *Error without a sentinel
		says    string
	}{
		{name: "another client", status: 400, body: `{"error":"unsupported_client"}`, err: deviceauth.ErrUnsupportedClient},
		{name: "a bad label", status: 400, body: `{"code":"bad_request","message":"Request validation failed","status":400,"error":"invalid_request","details":[{"type":"v","loc":["device_label"],"msg":"must be short"}]}`,
			says: "400 bad_request: Request validation failed; device_label must be short"},
		{name: "a limit, whatever word comes with it", status: 429, body: `{"code":"too_many_requests","message":"Too many","status":429,"error":"slow_down"}`, err: deviceauth.ErrRateLimited, says: "Too many"},
		{name: "an outage, whatever word comes with it", status: 503, body: `{"error":"access_denied"}`, err: deviceauth.ErrUnavailable},
		{name: "an outage in HTML", status: 502, body: `<h1>Bad gateway</h1>`, err: deviceauth.ErrUnavailable},
		{name: "not this server", status: 404, body: `{}`, err: deviceauth.ErrBadAnswer, says: "there is no device authorization at https://sso.example.com"},
		{name: "a refusal in HTML", status: 403, body: `<h1>No</h1>`, err: deviceauth.ErrBadAnswer},
		{name: "a redirect", status: 301, headers: []string{"Location", "https://user:pw@www.example.com/x?token=1"}, err: deviceauth.ErrBadAnswer, says: "it redirects to https://www.example.com (301)"},
		{name: "a redirect to nowhere", status: 307, err: deviceauth.ErrBadAnswer, says: "redirects"},
		{name: "a page", status: 200, body: `<html>Welcome to the hotel`, err: deviceauth.ErrBadAnswer},
		{name: "nothing", status: 200, err: deviceauth.ErrBadAnswer},
		{name: "too much", status: 200, body: with(`"AB-CD"`, `"`+strings.Repeat("A", 1<<20)+`"`), err: deviceauth.ErrBadAnswer, says: "longer than"},
		{name: "no device code", status: 200, body: with(`"dc_1"`, `""`), err: deviceauth.ErrBadAnswer},
		{name: "a user code that moves the cursor", status: 200, body: with(`AB-CD`, `\u001b[2JAB`), err: deviceauth.ErrBadAnswer},
		{name: "an address that is a program", status: 200, body: with(`https://x.example/device`, `file:///bin/sh`), err: deviceauth.ErrBadAnswer},
		{name: "an address without encryption", status: 200, body: with(`https://x`, `http://x`), err: deviceauth.ErrBadAnswer},
		{name: "an address with a password", status: 200, body: with(`https://x`, `https://sso.example.com@x`), err: deviceauth.ErrBadAnswer},
		{name: "an address with a space", status: 200, body: with(`/device`, `/device --help`), err: deviceauth.ErrBadAnswer},
		{name: "no end", status: 200, body: with(`900`, `0`), err: deviceauth.ErrBadAnswer},
		{name: "an end that is no number", status: 200, body: with(`900`, `"soon"`), err: deviceauth.ErrBadAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := answering(c.status, c.body, c.headers...).Start(t.Context(), "x")
			var e *deviceauth.Error
			if a != nil || !errors.As(err, &e) || e.Status != c.status {
				t.Fatalf("%+v, %v", a, err)
			}
			if c.err == nil && e.Err != nil || c.err != nil && !errors.Is(err, c.err) {
				t.Fatalf("%v", err)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "deviceauth: ") {
				t.Fatalf("%v", err)
			}
		})
	}
	t.Run("odd numbers are brought into bounds", func(t *testing.T) {
		a, err := answering(200, with(`900,"interval":5`, `9000000000000000000,"interval":-1`)).Start(t.Context(), "x")
		if err != nil || a.Interval != 5*time.Second || time.Until(a.ExpiresAt) > 24*time.Hour {
			t.Fatalf("%+v, %v", a, err)
		}
	})
	t.Run("a link that cannot be shown is left out", func(t *testing.T) {
		a, err := answering(200, with(`"expires_in"`, `"verification_uri_complete":"javascript:alert(1)","expires_in"`)).Start(t.Context(), "x")
		if err != nil || a.VerificationURIComplete != "" {
			t.Fatalf("%+v, %v", a, err)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		s := servertest.New()
		s.Fault = func(*http.Request) *servertest.Fault { return &servertest.Fault{Cut: true} }
		if _, err := clientOf(s).Start(t.Context(), "x"); !errors.Is(err, deviceauth.ErrUnreachable) || !strings.Contains(err.Error(), "connection reset") {
			t.Fatal(err)
		}
	})
	t.Run("a host without encryption is not asked", func(t *testing.T) {
		s := servertest.New()
		c := clientOf(s)
		c.Host = "http://sso.example.com"
		if _, err := c.Start(t.Context(), "x"); !errors.Is(err, deviceauth.ErrInsecureHost) || len(s.Requests()) != 0 {
			t.Fatal(err)
		}
	})
	t.Run("Retry-After", func(t *testing.T) {
		for text, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "-1": 0, "soon": 0, "9999999": 24 * time.Hour, "99999999999999999999": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0} {
			_, err := answering(429, "", "Retry-After", text).Start(t.Context(), "x")
			var e *deviceauth.Error
			if !errors.As(err, &e) || e.RetryAfter != want {
				t.Errorf("%q: %v", text, e.RetryAfter)
			}
		}
		_, err := answering(429, "", "Retry-After", time.Now().Add(90*time.Second).UTC().Format(http.TimeFormat)).Start(t.Context(), "x")
		var e *deviceauth.Error
		if !errors.As(err, &e) || e.RetryAfter < 80*time.Second || e.RetryAfter > 90*time.Second {
			t.Errorf("a date: %v", e.RetryAfter)
		}
	})
}

// Real sockets, because redirects, cookies and certificates are net/http's.
func TestOverTheNetwork(t *testing.T) {
	var reached int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer other.Close()
	t.Run("a redirect takes no secret elsewhere, whatever the given client says", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") != "" {
				t.Error("a cookie came back")
			}
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}))
		defer s.Close()
		jar, _ := cookiejar.New(nil)
		c := &deviceauth.Client{Host: s.URL, ClientID: "x", HTTPClient: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}}
		for range 2 {
			if _, err := c.Start(t.Context(), "x"); !errors.Is(err, deviceauth.ErrBadAnswer) {
				t.Fatal(err)
			}
		}
		h, err := c.Authorized(deviceauth.NewSecret("dfoa_secret"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := h.Get(s.URL + "/x")
		if err != nil || res.StatusCode != http.StatusTemporaryRedirect {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	})
	t.Run("an authorized client presents its token to its server alone", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Header.Get("Authorization")+" "+r.Header.Get("User-Agent"))
		}))
		defer s.Close()
		h, err := (&deviceauth.Client{Host: s.URL, UserAgent: "me/1"}).Authorized(deviceauth.NewSecret("dfoa_secret"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := h.Get(s.URL + "/x")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if string(body) != "Bearer dfoa_secret me/1" {
			t.Fatalf("%s", body)
		}
		for _, url := range []string{other.URL, strings.Replace(s.URL, "http://", "https://", 1), strings.Replace(s.URL, "127.0.0.1", "localhost", 1)} {
			_, err := h.Post(url, "text/plain", strings.NewReader("x"))
			if !errors.Is(err, deviceauth.ErrOtherHost) || strings.Contains(err.Error(), "dfoa_") {
				t.Errorf("%s: %v", url, err)
			}
		}
	})
	if reached != 0 {
		t.Fatalf("the other server was reached %d times", reached)
	}
	t.Run("a certificate that is not trusted", func(t *testing.T) {
		s := httptest.NewUnstartedServer(servertest.New())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		defer s.Close()
		_, err := (&deviceauth.Client{Host: s.URL, ClientID: "x"}).Start(t.Context(), "x")
		var untrusted *tls.CertificateVerificationError
		if !errors.Is(err, deviceauth.ErrUnreachable) || !errors.As(err, &untrusted) {
			t.Fatal(err)
		}
	})
	t.Run("a server that changes to another protocol holds nobody", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_, _ = c.Read(make([]byte, 1)) // until the client goes
			_ = c.Close()
		}))
		defer s.Close()
		if _, err := (&deviceauth.Client{Host: s.URL, ClientID: "x"}).Start(t.Context(), "x"); !errors.Is(err, deviceauth.ErrBadAnswer) {
			t.Error(err)
		}
		res, err := http.Get(s.URL) //nolint:noctx // ctx does not end such an answer
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if err := deviceauth.ReadError(res); !errors.Is(err, deviceauth.ErrBadAnswer) {
			t.Error(err)
		}
	})
	t.Run("a cancelled start says so", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := (&deviceauth.Client{Host: other.URL, ClientID: "x"}).Start(ctx, "x"); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

func TestReadError(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		err    error
		code   string
	}{
		{name: "a token that is not accepted", status: 401, body: `{"code":"invalid_token","message":"no","status":401}`, err: deviceauth.ErrUnauthorized, code: "invalid_token"},
		{name: "not found", status: 404, body: `{"code":"session_not_found","message":"no","status":404}`, code: "session_not_found"},
		{name: "a limit", status: 429, err: deviceauth.ErrRateLimited},
		{name: "a broken server", status: 500, body: `{"code":"internal_server_error"}`, err: deviceauth.ErrUnavailable, code: "internal_server_error"},
		{name: "a code that is none", status: 404, body: `{"code":"\u001b[31mred","message":7}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := deviceauth.ReadError(&http.Response{StatusCode: c.status, Body: io.NopCloser(strings.NewReader(c.body))})
			var e *deviceauth.Error
			if !errors.As(err, &e) || e.Code != c.code || c.err == nil && e.Err != nil || c.err != nil && !errors.Is(err, c.err) {
				t.Fatalf("%#v", e)
			}
		})
	}
	t.Run("texts are made printable and short", func(t *testing.T) {
		err := deviceauth.ReadError(&http.Response{StatusCode: 404, Body: io.NopCloser(strings.NewReader(`{"message":"a\u001b[2J\nb\u202e` + strings.Repeat("x", 1000) + `"}`))})
		if text := err.Error(); strings.ContainsAny(text, "\x1b\n\u202e") || len(text) > 400 {
			t.Fatalf("%q", text)
		}
	})
}
