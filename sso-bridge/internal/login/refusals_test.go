// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

func TestRefusalsOfAnAddress(t *testing.T) {
	t.Run("SSO-90 a refusal of the e-mail names its domain by a hash, the trace's", func(t *testing.T) {
		w := newWorld(t)
		w.registry.change("acme", func(c *connection.Serving) {
			c.Config.Domains, c.Config.RestrictToDomains = []string{"elsewhere.example"}, true
		})
		_, handle := w.leave("acme")
		reference := w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.EmailDomainNotAllowed)
		r, err := w.Show(t.Context(), reference)
		events := w.events("sso.attempt_failed", reference)
		if err != nil || len(events) != 1 || r.EmailDomain == "" || events[0]["facts"].(map[string]any)["domain_hash"] != r.EmailDomain {
			t.Errorf("%+v, %v, %v", r, err, events)
		}
	})
}

// Every refusal of a provider or of the mapping ends the attempt under its own code.
func TestEveryCodeIsCarried(t *testing.T) {
	w := newWorld(t)
	for _, code := range failure.Codes() {
		t.Run("SSO-91 "+string(code), func(t *testing.T) {
			_, handle := w.leave("acme")
			w.oidc.verify = func(login.Answer, *login.Trace) (identity.Claims, error) {
				return identity.Claims{}, failure.New(code)
			}
			reference := w.refused(w.Finish(t.Context(), answer("acme", handle)), code)
			if got := w.events("sso.attempt_failed", reference); len(got) != 1 || got[0]["code"] != string(code) || got[0]["step"] != "provider" {
				t.Errorf("%v", got)
			}
			if !strings.Contains(w.log.String(), `"attempt":"`+reference+`","connection":"acme","revision":"aaaaaaaaaaaa","step":"provider","code":"`+string(code)+`"`) {
				t.Error("the log has no such line")
			}
		})
	}
	t.Run("SSO-91 internal: an error that nobody classified", func(t *testing.T) {
		_, handle := w.leave("acme")
		w.oidc.verify = func(login.Answer, *login.Trace) (identity.Claims, error) { return identity.Claims{}, errors.New("odd") }
		w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.Internal)
	})
	t.Run("SSO-91 internal: a panic, whose value reaches no log", func(t *testing.T) {
		_, handle := w.leave("acme")
		w.oidc.verify = func(login.Answer, *login.Trace) (identity.Claims, error) { panic("token-of-ada") }
		w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.Internal)
		if strings.Contains(w.log.String(), "token-of-ada") || !strings.Contains(w.log.String(), "panic of type string") {
			t.Error(w.log)
		}
	})
	t.Run("SSO-91 a fact that the catalogue does not name is left out", func(t *testing.T) {
		_, handle := w.leave("acme")
		w.oidc.verify = func(login.Answer, *login.Trace) (identity.Claims, error) {
			return identity.Claims{}, failure.New(failure.OIDCNonce).With("present", "true").With("token", "secret-thing")
		}
		reference := w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.OIDCNonce)
		facts := w.events("sso.attempt_failed", reference)[0]["facts"].(map[string]any)
		if len(facts) != 1 || facts["present"] != "true" || strings.Contains(w.log.String(), "secret-thing") {
			t.Errorf("%v", facts)
		}
	})
}

func TestFailuresOfOneClassLookAlike(t *testing.T) {
	t.Run("SSO-92 two refusals of class R differ by their reference alone", func(t *testing.T) {
		w := newWorld(t)
		var seen []string
		for _, code := range []failure.Code{failure.OIDCNonce, failure.OIDCSignature} {
			_, handle := w.leave("acme")
			w.oidc.verify = func(login.Answer, *login.Trace) (identity.Claims, error) {
				return identity.Claims{}, failure.New(code).Showing("one", string(code))
			}
			location := w.Finish(t.Context(), answer("acme", handle))
			reference := w.refused(location, code)
			page, err := w.Failure(t.Context(), reference)
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, strings.Replace(location, url.QueryEscape(reference), "", 1)+" "+string(page.Public)+" "+page.At.String()+string(page.Intent))
		}
		if seen[0] != seen[1] {
			t.Errorf("%q", seen)
		}
	})
}

func TestWhatChangedSinceTheLastSuccess(t *testing.T) {
	skew := func(s float64) *float64 { return &s }
	for name, c := range map[string]struct {
		change func(w *world, t *login.Trace, c *identity.Claims)
		code   failure.Code
		want   string
	}{
		"nothing":                     {func(*world, *login.Trace, *identity.Claims) {}, failure.OIDCNonce, ""},
		"the algorithm":               {func(_ *world, t *login.Trace, _ *identity.Claims) { t.Algorithms = []string{"HS256"} }, failure.OIDCAlgorithm, "algorithm"},
		"a claim is gone":             {func(_ *world, _ *login.Trace, c *identity.Claims) { c.Seen = c.Seen[:1] }, failure.EmailMissing, "claim gone: email"},
		"the address of the provider": {func(_ *world, t *login.Trace, _ *identity.Claims) { t.ProviderHost = "new.example" }, failure.ProviderUnreachable, "address"},
		"the clock":                   {func(_ *world, t *login.Trace, _ *identity.Claims) { t.ClockSkew = skew(120) }, failure.OIDCTime, "skew"},
		"the issuer":                  {func(_ *world, _ *login.Trace, c *identity.Claims) { c.Issuer = "https://idp.example/" }, failure.OIDCIssuer, "issuer"},
		"the form of the address":     {func(*world, *login.Trace, *identity.Claims) {}, failure.EmailMalformed, "format"},
		"the strength of the sign-in": {func(_ *world, _ *login.Trace, c *identity.Claims) { c.ACR = "weak" }, failure.OIDCACR, "acr"},
		"our own configuration":       {func(w *world, _ *login.Trace, _ *identity.Claims) {}, failure.OIDCNonce, "configuration"},
	} {
		t.Run("SSO-93 "+name, func(t *testing.T) {
			w := newWorld(t)
			w.oidc.verify = func(_ login.Answer, t *login.Trace) (identity.Claims, error) {
				t.ProviderHost, t.Algorithms, t.ClockSkew = "idp.example", []string{"RS256"}, skew(0.5)
				return ada(), nil
			}
			b, handle := w.leave("acme")
			w.assertion(w.Finish(t.Context(), answer("acme", handle)))
			w.clock.Advance(time.Minute)
			if c.want == "configuration" {
				w.registry.change("acme", func(c *connection.Serving) {
					c.Hash, c.Head, c.Serving = revision("b"), revision("b"), revision("b")
				})
			}
			good := w.oidc.verify
			w.oidc.verify = func(a login.Answer, t *login.Trace) (identity.Claims, error) {
				claims, _ := good(a, t)
				c.change(w, t, &claims)
				return claims, failure.New(c.code)
			}
			_, handle = w.leave("acme")
			r, err := w.Show(t.Context(), w.refused(w.Finish(t.Context(), answer("acme", handle)), c.code))
			if err != nil || r.LastGood == nil || r.LastGood.Reference != b.Reference || strings.Join(r.LastGood.Diff, ", ") != c.want {
				t.Errorf("%+v, %v", r.LastGood, err)
			}
		})
	}
}
