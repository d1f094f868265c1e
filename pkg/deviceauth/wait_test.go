// SPDX-License-Identifier: Apache-2.0

package deviceauth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/servertest"
)

// script gives each poll the fault that its number names; other polls have none.
func script(faults map[int]*servertest.Fault) func(*http.Request) *servertest.Fault {
	n := 0
	return func(r *http.Request) *servertest.Fault {
		if !strings.HasSuffix(r.URL.Path, "/token") {
			return nil
		}
		n++
		return faults[n]
	}
}

func TestWait(t *testing.T) {
	verdict := func(status int, word string, retryAfter string) *servertest.Fault {
		h := http.Header{}
		if retryAfter != "" {
			h.Set("Retry-After", retryAfter)
		}
		return &servertest.Fault{Status: status, Header: h, Body: `{"error":"` + word + `"}`}
	}
	for _, c := range []struct {
		name     string
		decision string
		after    time.Duration
		expires  time.Duration
		interval time.Duration
		faults   map[int]*servertest.Fault
		polls    string // seconds after the start, with the answer where it is not pending
		err      error
		retries  int
	}{
		{name: "allowed before the first poll", decision: servertest.Allow, polls: "0 token"},
		{name: "the first poll comes at once, the next after the interval", decision: servertest.Allow, after: 12 * time.Second, polls: "0, 5, 10, 15 token"},
		{name: "refused", decision: servertest.Refuse, after: 7 * time.Second, polls: "0, 5, 10 access_denied", err: deviceauth.ErrAccessDenied},
		{name: "the server names the interval", decision: servertest.Allow, after: 40 * time.Second, interval: 20 * time.Second, polls: "0, 20, 40 token"},
		{name: "nobody decides: the first poll after the end is the last", expires: 12 * time.Second, polls: "0, 5, 10, 15 expired_token", err: deviceauth.ErrExpired},
		{name: "slow_down adds five seconds each time, for good", decision: servertest.Allow, after: 45 * time.Second,
			faults: map[int]*servertest.Fault{2: verdict(400, "slow_down", ""), 3: verdict(400, "slow_down", "")}, polls: "0, 5 fault, 15 fault, 30, 45 token"},
		{name: "slow_down with Retry-After waits for the longer", decision: servertest.Allow, after: 30 * time.Second,
			faults: map[int]*servertest.Fault{2: verdict(400, "slow_down", "40")}, polls: "0, 5 fault, 45 token"},
		{name: "503 with Retry-After waits as asked", decision: servertest.Allow,
			faults: map[int]*servertest.Fault{1: servertest.Unavailable("15")}, polls: "0 fault, 15 token", retries: 1},
		{name: "but never shorter than the interval, and 0 asks for nothing", decision: servertest.Allow,
			faults: map[int]*servertest.Fault{1: servertest.Unavailable("1"), 2: servertest.Unavailable("0")}, polls: "0 fault, 5 fault, 25 token", retries: 2},
		{name: "429 waits as asked", decision: servertest.Allow,
			faults: map[int]*servertest.Fault{1: servertest.TooMany("30")}, polls: "0 fault, 30 token", retries: 1},
		{name: "without Retry-After the wait doubles up to a minute", decision: servertest.Allow, faults: map[int]*servertest.Fault{
			1: {Cut: true}, 2: servertest.Unavailable(""), 3: {Status: 502, Body: "<html>"}, 4: {Cut: true}, 5: {Cut: true}}, polls: "0 fault, 10 fault, 30 fault, 70 fault, 130 fault, 190 token", retries: 5},
		{name: "and begins anew after an answer", decision: servertest.Allow, after: 20 * time.Second,
			faults: map[int]*servertest.Fault{1: {Cut: true}, 3: {Cut: true}}, polls: "0 fault, 10, 15 fault, 25 token", retries: 2},
		{name: "an allowed code whose winning answer is lost has ended", decision: servertest.Allow,
			faults: map[int]*servertest.Fault{1: {Late: true}}, polls: "0 token, 10 expired_token", err: deviceauth.ErrExpired, retries: 1},
		{name: "a server that is gone is given up a minute after the end", expires: 100 * time.Second, faults: map[int]*servertest.Fault{
			1: {Cut: true}, 2: {Cut: true}, 3: {Cut: true}, 4: {Cut: true}, 5: {Cut: true}}, polls: "0 fault, 10 fault, 30 fault, 70 fault, 130 fault", err: deviceauth.ErrUnreachable, retries: 4},
		{name: "a wait longer than the code is not begun", decision: servertest.Allow,
			faults: map[int]*servertest.Fault{1: servertest.Unavailable("3600")}, polls: "0 fault", err: deviceauth.ErrUnavailable},
		{name: "an outage over the end is survived for a minute", decision: servertest.Allow, expires: 12 * time.Second,
			faults: map[int]*servertest.Fault{1: servertest.Unavailable("10"), 2: servertest.Unavailable("15")}, polls: "0 fault, 10 fault, 25 expired_token", err: deviceauth.ErrExpired, retries: 2},
		{name: "a server that never says that the code has ended is not believed", expires: 12 * time.Second, faults: map[int]*servertest.Fault{
			4: verdict(400, "authorization_pending", "")}, polls: "0, 5, 10, 15 fault", err: deviceauth.ErrExpired},
		{name: "slow_down beyond the end is not waited for", faults: map[int]*servertest.Fault{
			2: verdict(400, "slow_down", "3600")}, polls: "0, 5 fault", err: deviceauth.ErrExpired},
		{name: "another refusal ends it", faults: map[int]*servertest.Fault{2: verdict(400, "invalid_grant", "")}, polls: "0, 5 fault", err: &deviceauth.Error{}},
		{name: "a page ends it", faults: map[int]*servertest.Fault{2: {Status: 200, Body: "<html>"}}, polls: "0, 5 fault", err: deviceauth.ErrBadAnswer},
		{name: "an error in a success is no token", faults: map[int]*servertest.Fault{1: {Status: 200, Body: `{"error":"x","access_token":"a"}`}}, polls: "0 fault", err: deviceauth.ErrBadAnswer},
		{name: "a token of another type", faults: map[int]*servertest.Fault{1: {Status: 200, Body: `{"access_token":"a","token_type":"mac"}`}}, polls: "0 fault", err: deviceauth.ErrBadAnswer},
		{name: "a token that is no header value", faults: map[int]*servertest.Fault{1: {Status: 200, Body: `{"access_token":"a\r\nb"}`}}, polls: "0 fault", err: deviceauth.ErrBadAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := servertest.New()
				s.Decision, s.After, s.Fault = c.decision, c.after, script(c.faults)
				if c.expires > 0 {
					s.ExpiresIn = c.expires
				}
				if c.interval > 0 {
					s.Interval = c.interval
				}
				client := clientOf(s)
				retries := 0
				client.OnRetry = func(err error, wait time.Duration) {
					if retries++; wait <= 0 || err == nil {
						t.Errorf("told to retry in %s: %v", wait, err)
					}
				}
				begin := time.Now()
				a, err := client.Start(t.Context(), "x")
				if err != nil {
					t.Fatal(err)
				}
				token, err := client.Wait(t.Context(), a)
				if (token != nil) != (c.err == nil) {
					t.Fatalf("%v, %v", token, err)
				}
				var plain *deviceauth.Error
				if errors.As(c.err, &plain) {
					if !errors.As(err, &plain) || plain.Err != nil {
						t.Fatal(err)
					}
				} else if !errors.Is(err, c.err) {
					t.Fatal(err)
				}
				var polls []string
				for _, p := range s.Polls() {
					polls = append(polls, strings.TrimSuffix(fmt.Sprintf("%g %s", p.At.Sub(begin).Seconds(), p.Answer), " authorization_pending"))
				}
				if got := strings.Join(polls, ", "); got != c.polls {
					t.Errorf("polls %s, want %s", got, c.polls)
				}
				if retries != c.retries {
					t.Errorf("told of %d retries, want %d", retries, c.retries)
				}
			})
		})
	}
}

func TestTokenOfAnAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servertest.New()
		c := clientOf(s)
		a, err := c.Start(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Token(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		live := s.Live()[0]
		if got.Access.Reveal() != live.Token || got.ID != live.ID || got.Email != "ada@example.com" || *got.Account != (deviceauth.Account{ID: "acc-1", Email: "ada@example.com", Name: "Ada"}) ||
			got.SubjectType != "account" || got.Scope != "full" || got.DefaultWorkspaceID != "ws-1" || len(got.Workspaces) != 2 || got.Workspaces[0] != (deviceauth.Workspace{ID: "ws-1", Name: "Engines", Role: "owner"}) {
			t.Fatalf("%+v", got)
		}
		if left := time.Until(got.ExpiresAt); left != 14*24*time.Hour {
			t.Fatalf("ends in %s", left)
		}
		r := s.Requests()[1]
		if want := `{"client_id":"difyauth","device_code":"` + s.Secrets()[0] + `","grant_type":"urn:ietf:params:oauth:grant-type:device_code"}`; r.Body != want || r.Path != "/openapi/v1/oauth/device/token" {
			t.Fatalf("%+v", r)
		}
	})
}

func TestTokenOfAnExternalSubject(t *testing.T) {
	s := servertest.New()
	s.External = true
	c := clientOf(s)
	a, err := c.Start(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Token(t.Context(), a)
	if err != nil || got.Account != nil || got.Email != "ada@example.com" || got.Issuer != "https://idp.example.com" || len(got.Workspaces) != 0 || got.DefaultWorkspaceID != "" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestTokenPollsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servertest.New()
		s.After = 20 * time.Second
		c := clientOf(s)
		a, err := c.Start(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Token(t.Context(), a); !errors.Is(err, deviceauth.ErrPending) {
			t.Fatal(err)
		}
		if _, err := c.Token(t.Context(), a); !errors.Is(err, deviceauth.ErrSlowDown) || a.Interval != 10*time.Second {
			t.Fatal(err, a.Interval)
		}
		// Wait goes on from there and keeps the distance to the last poll.
		begin := time.Now()
		if _, err := c.Wait(t.Context(), a); err != nil || time.Since(begin) != 20*time.Second {
			t.Fatal(err, time.Since(begin))
		}
		other := clientOf(s)
		other.Host = "https://evil.example.com"
		n := len(s.Requests())
		if _, err := other.Token(t.Context(), a); !errors.Is(err, deviceauth.ErrOtherHost) || len(s.Requests()) != n {
			t.Fatal(err)
		}
	})
}

func TestAServerThatQuotesTheDeviceCode(t *testing.T) {
	s := servertest.New()
	c := clientOf(s)
	a, err := c.Start(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	code, lead := s.Secrets()[0], ""
	s.Fault = func(*http.Request) *servertest.Fault {
		return &servertest.Fault{Status: 400, Body: `{"error":"invalid_grant","error_description":"` + lead + code + `"}`}
	}
	for _, lead = range []string{"no grant for ", strings.Repeat("x", 270)} { // whole, and cut off
		t.Run("PPL-11 it is not repeated in the error, nor by the authorization", func(t *testing.T) {
			_, err := c.Token(t.Context(), a)
			if text := fmt.Sprintf("%v %+v %#v %+v %#v", err, err, err, a, *a); strings.Contains(text, code[:20]) || !strings.Contains(text, "invalid_grant") {
				t.Fatal(text)
			}
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	cause := errors.New("Ctrl-C")
	t.Run("between polls it ends at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := servertest.New()
			s.Decision = servertest.Nothing
			c := clientOf(s)
			ctx, cancel := context.WithCancelCause(t.Context())
			a, err := c.Start(ctx, "x")
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(7*time.Second, func() { cancel(cause) })
			begin := time.Now()
			if _, err := c.Wait(ctx, a); !errors.Is(err, context.Canceled) || time.Since(begin) != 7*time.Second {
				t.Fatal(err, time.Since(begin))
			}
			if _, err := c.Wait(ctx, a); !errors.Is(err, context.Canceled) || len(s.Polls()) != 2 {
				t.Fatal(err, s.Polls())
			}
		})
	})
	t.Run("a deadline is its own error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := servertest.New()
			s.Decision = servertest.Nothing
			c := clientOf(s)
			a, err := c.Start(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := c.Wait(ctx, a); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		})
	})
	// slow delays the answer of each poll.
	slow := func(s *servertest.Server, d time.Duration) *deviceauth.Client {
		c := clientOf(s)
		inner := s.Transport()
		c.HTTPClient.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			res, err := inner.RoundTrip(r)
			if strings.HasSuffix(r.URL.Path, "/token") {
				select {
				case <-time.After(d):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			}
			return res, err
		})
		return c
	}
	t.Run("a token on its way is not lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := slow(servertest.New(), 2*time.Second)
			a, err := c.Start(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if token, err := c.Wait(ctx, a); err != nil || token.Access.IsZero() {
				t.Fatal(err)
			}
		})
	})
	t.Run("but not waited for without end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := slow(servertest.New(), time.Hour)
			a, err := c.Start(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			if _, err := c.Wait(ctx, a); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 3*time.Second {
				t.Fatal(err, time.Since(begin))
			}
		})
	})
	t.Run("an answer that never comes is a lost connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := slow(servertest.New(), time.Hour)
			var reasons []error
			c.OnRetry = func(err error, _ time.Duration) { reasons = append(reasons, err) }
			a, err := c.Start(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Wait(t.Context(), a); !errors.Is(err, deviceauth.ErrExpired) || !errors.Is(err, deviceauth.ErrUnreachable) || len(reasons) < 3 {
				t.Fatal(err, reasons)
			}
		})
	})
}

func TestWhatNoTimeHealsIsNotRepeated(t *testing.T) {
	for name, cause := range map[string]error{
		"a certificate": &tls.CertificateVerificationError{Err: errors.New("unknown authority")},
		"no https":      http.ErrSchemeMismatch,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := servertest.New()
				c := clientOf(s)
				a, err := c.Start(t.Context(), "x")
				if err != nil {
					t.Fatal(err)
				}
				c.HTTPClient.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, cause })
				begin := time.Now()
				if _, err := c.Wait(t.Context(), a); !errors.Is(err, deviceauth.ErrUnreachable) || !errors.Is(err, cause) || time.Since(begin) != 0 {
					t.Fatal(err, time.Since(begin))
				}
			})
		})
	}
}

func TestACodeThatTheServerForgot(t *testing.T) {
	for name, ended := range map[string]bool{"long before its time": true, "at its time": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := servertest.New()
				s.Decision, s.ExpiresIn = servertest.Nothing, 90*time.Second
				if ended {
					s.Fault = func(r *http.Request) *servertest.Fault {
						if strings.HasSuffix(r.URL.Path, "/token") {
							return &servertest.Fault{Status: 400, Body: `{"error":"expired_token"}`}
						}
						return nil
					}
				}
				c := &deviceauth.Client{Host: servertest.Origin, ClientID: "difyauth", HTTPClient: &http.Client{Transport: s.Transport()}}
				a, err := c.Start(t.Context(), "x")
				if err != nil {
					t.Fatal(err)
				}
				if _, err = c.Wait(t.Context(), a); !errors.Is(err, deviceauth.ErrExpired) || errors.Is(err, deviceauth.ErrForgotten) != ended {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestTheServerAnswersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := servertest.New()
		n, retries, back := 0, 0, 0
		s.Fault = func(*http.Request) *servertest.Fault {
			if n++; n > 1 && n < 4 {
				return &servertest.Fault{Cut: true}
			}
			return nil
		}
		c := &deviceauth.Client{Host: servertest.Origin, ClientID: "difyauth", HTTPClient: &http.Client{Transport: s.Transport()},
			OnRetry: func(error, time.Duration) { retries++ }, OnRecover: func() { back++ }}
		a, err := c.Start(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Wait(t.Context(), a); err != nil || retries != 2 || back != 1 {
			t.Fatal(err, retries, back)
		}
	})
}
