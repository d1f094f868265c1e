// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// pin sends core's and the bridge's requests to one replica each; 0 lets them take turns.
func (in *install) pin(core, bridge int64) {
	in.core.pin.Store(core)
	in.bridge.pin.Store(bridge)
}

// Two replicas of each service on Postgres and Redis.
func TestFleet(t *testing.T) {
	t.Parallel()
	in, idp := one(t, plan{fleet: true, replicas: 2}, nil)

	t.Run("SSO-54 begun on the first replicas, continued on the second", func(t *testing.T) {
		defer in.pin(0, 0)
		in.pin(1, 1)
		w, b := in.client("travels"), newBrowser(t)
		callback := w.upTo(b, "/sso/oidc/callback")
		in.pin(2, 2)
		p := b.travel(nil, http.MethodGet, callback, nil, 20).must(http.StatusOK, "Alice Liddell")
		in.pin(1, 2)
		p.submit("approve-external")
		in.pin(2, 1)
		if tok := w.token(); !strings.HasPrefix(tok.AccessToken, "dfoe_") {
			t.Error("no external token")
		}
	})
	t.Run("SSO-49 JWS-09 fifty posts of one callback, on both bridges: one success", func(t *testing.T) {
		w, b := in.client("fifty"), newBrowser(t)
		callback := w.upTo(b, "/sso/oidc/callback")
		answers := at50(func() string {
			p := newBrowser(t).hop(nil, http.MethodGet, callback, nil)
			return p.header.Get("Location")
		})
		won := with(answers, "sso_assertion=")
		if len(won) != 1 {
			t.Fatalf("%d assertions of one callback: %v", len(won), answers)
		}
		for _, a := range answers {
			if !strings.Contains(a, "sso_assertion=") && !strings.Contains(a, "/sso/error/") && !strings.Contains(a, "sso_already_used") {
				t.Errorf("a loser was sent to %s", a)
			}
		}
		b.travel(nil, http.MethodGet, won[0], nil, 20).must(http.StatusOK, "Alice Liddell")
	})
	t.Run("SSO-18 JWS-09 one assertion fifty times, on both cores: one success", func(t *testing.T) {
		w, b := in.client("assertion"), newBrowser(t)
		last := w.upTo(b, "sso-complete")
		tabs, next := make([]*browser, 50), atomic.Int64{}
		for i := range tabs {
			tabs[i] = b.clone(in.core.url + approvalPage)
		}
		answers := at50(func() string {
			return tabs[next.Add(1)-1].hop(nil, http.MethodGet, last, nil).header.Get("Location")
		})
		if won := with(answers, "sso_verified=1"); len(won) != 1 {
			t.Errorf("%d successes of one assertion", len(won))
		}
		if lost := with(answers, "sso_already_used"); len(lost) != 49 {
			t.Errorf("%d read that it was used: %v", len(lost), answers)
		}
		w.pending()
	})
	t.Run("SSO-47 one start ticket fifty times: one start", func(t *testing.T) {
		w, b := in.client("ticket"), newBrowser(t)
		ticket := w.upTo(b, "/sso/start/")
		answers := at50(func() string { return newBrowser(t).hop(nil, http.MethodGet, ticket, nil).header.Get("Location") })
		if won := with(answers, idp.issuer); len(won) != 1 {
			t.Errorf("%d starts of one ticket", len(won))
		}
	})
	t.Run("SSO-41 JWS-06 the key set is rotated under load: no login fails while the former entry verifies, and none passes after", func(t *testing.T) { rotate(t, in) })
	t.Run("SSO-51 a connection edited in mid-login is refused in words", func(t *testing.T) {
		w, b := in.client("edited"), newBrowser(t)
		callback := w.upTo(b, "/sso/oidc/callback")
		in.configure(idp.connection(in, "corp", nil, "domains: [corp.test, corp.example]"))
		p := b.travel(nil, http.MethodGet, callback, nil, 20).must(http.StatusOK, "changed the sign-in settings")
		in.explained(p, "attempt_connection_changed")
		w.pending()
	})
	t.Run("SSO-53 the bridges restart in mid-login: Redis loses nothing", func(t *testing.T) {
		w, b := in.client("restart"), newBrowser(t)
		callback := w.upTo(b, "/sso/oidc/callback")
		in.restart()
		b.travel(nil, http.MethodGet, callback, nil, 20).must(http.StatusOK, "Alice Liddell")
	})
	t.Run("SSO-34 the bridges are down when the client polls: the token is minted all the same", func(t *testing.T) {
		w, b := in.client("alone"), newBrowser(t)
		w.arrive(b).must(http.StatusOK, "Alice Liddell").submit("approve-external")
		for _, s := range in.bridges {
			s.kill()
		}
		if tok := w.token(); !strings.HasPrefix(tok.AccessToken, "dfoe_") {
			t.Error("no external token")
		}
		t.Run("SSO-13 OUT-04 and nothing new begins", func(t *testing.T) {
			in.client("nothing").chooser(newBrowser(t)).click("sso-initiate").must(http.StatusOK, "cannot sign you in right now")
		})
	})
}

// at50 calls 50 times at once.
func at50(call func() string) []string {
	answers := make([]string, 50)
	var ready, done sync.WaitGroup
	release := make(chan struct{})
	for i := range answers {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-release
			answers[i] = call()
		})
	}
	ready.Wait()
	close(release)
	done.Wait()
	return answers
}

// with filters.
func with(list []string, part string) (out []string) {
	for _, s := range list {
		if strings.Contains(s, part) {
			out = append(out, s)
		}
	}
	return out
}

// clone is a tab that sends the cookies of an address as they are now, whatever the other
// tabs get in answer.
func (b *browser) clone(address string) *browser {
	b.t.Helper()
	c, at := newBrowser(b.t), mustParse(b.t, address)
	c.jar.SetCookies(at, b.jar.Cookies(at))
	return c
}

// restart kills every bridge and starts others on the same addresses.
func (in *install) restart() {
	in.t.Helper()
	for i, s := range in.bridges {
		s.kill()
		in.bridges[i] = in.serveAt("sso-bridge", in.bridgeEnviron, s.public, s.inner)
	}
}

// On one machine the attempts die with the process, and the page says so.
func TestEmbeddedRestart(t *testing.T) {
	t.Parallel()
	in, _ := one(t, plan{}, nil)
	t.Run("SSO-53 the bridge restarts in mid-login: the person reads it and begins again", func(t *testing.T) {
		w, b := in.client("restart"), newBrowser(t)
		callback := w.upTo(b, "/sso/oidc/callback")
		in.restart()
		b.travel(nil, http.MethodGet, callback, nil, 20).must(http.StatusOK, "took too long")
		w.pending()
		w.chooser(b).click("sso-initiate").must(http.StatusOK, "Alice Liddell")
	})
	t.Run("SSO-83 a disabled connection ends its tokens at the next request", func(t *testing.T) {
		w, b := in.client("disabled"), newBrowser(t)
		w.arrive(b).must(http.StatusOK, "Alice Liddell").submit("approve-external")
		bearer := []string{"Authorization", "Bearer " + w.token().AccessToken}
		if status, body := in.get("/openapi/v1/account", bearer...); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		in.configure() // the file names it no more
		if status, _ := in.getUntil(http.StatusUnauthorized, "/openapi/v1/account", bearer...); status != http.StatusUnauthorized {
			t.Errorf("its token still answers %d", status)
		}
	})
}
