// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crewjam/saml"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
)

const (
	byCard     = "urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI"
	byPassword = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
)

// How long ago and by what means somebody signed in at the provider.
func TestHowSomebodySignedIn(t *testing.T) {
	b := newBridgeOf(t, terms{key: signing(), saml: "      authn_contexts: [" + byCard + "]\n      authn_context_comparison: exact\n"})
	for _, c := range []struct {
		name  string
		fresh bool
		ago   time.Duration
		class string
		code  failure.Code // empty for a success
	}{
		{"SSO-62 an hour ago, where nothing else was asked", false, time.Hour, byCard, ""},
		{"SSO-62 an hour ago, where a new sign-in was asked", true, time.Hour, byCard, failure.SAMLStale},
		{"SSO-62 a new sign-in, as asked", true, 0, byCard, ""},
		{"SSO-62 by something weaker than what was asked exactly", false, 0, byPassword, failure.SAMLContext},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.idp.session.CreateTime = time.Now().Add(-c.ago)
			_, to := b.leaveFor(c.fresh)
			req := b.idp.answered(to)
			asked, context := req.Request.ForceAuthn, req.Request.RequestedAuthnContext
			if (asked != nil && *asked) != c.fresh || context == nil || context.Comparison != "exact" || context.AuthnContextClassRef != byCard {
				t.Errorf("asked: %v, %+v", asked, context)
			}
			req.Assertion.AuthnStatements[0].AuthnContext.AuthnContextClassRef = &saml.AuthnContextClassRef{Value: c.class}
			g := b.post("/sso/saml/acs/corp", b.idp.form(req))
			if c.code == "" {
				b.admitted(g)
				return
			}
			b.refused(g, c.code)
		})
	}
}

// held keeps whoever marks an assertion as used until it is let go.
type held struct {
	samlsp.Replays
	came chan struct{}
	gone chan struct{}
	fail atomic.Bool // in place of waiting
}

func (h *held) First(ctx context.Context, mark string, life time.Duration) (bool, error) {
	if h.fail.Load() {
		return false, errors.New("no answer")
	}
	select {
	case <-h.gone:
	case h.came <- struct{}{}:
		<-h.gone
	}
	return h.Replays.First(ctx, mark, life)
}

var onPage = regexp.MustCompile(`[0-9A-Z]{5}-[0-9A-Z]{5}`)

func TestReadersAndMarks(t *testing.T) {
	hold := &held{came: make(chan struct{}), gone: make(chan struct{})}
	b := newBridgeOf(t, terms{key: signing(), wrap: func(s *app.Stores) { hold.Replays, s.Assertions = s.Assertions, hold }})
	t.Run("SSO-109 for a second: 503 in words, nothing is spent, and the same post again signs in", func(t *testing.T) {
		n := 2 * runtime.GOMAXPROCS(0)
		forms := make([]url.Values, n+1)
		for i := range forms {
			_, to := b.leave()
			forms[i] = b.idp.form(b.idp.answered(to))
		}
		var others sync.WaitGroup
		for _, form := range forms[:n] {
			others.Go(func() { b.admitted(b.post("/sso/saml/acs/corp", form)) })
		}
		for range n {
			<-hold.came
		}
		g := b.post("/sso/saml/acs/corp", forms[n])
		if g.status != http.StatusServiceUnavailable || g.header.Get("Retry-After") == "" || !strings.Contains(g.body, ssocode.Unavailable.Text("en")) {
			t.Errorf("%d %s", g.status, g.body)
		}
		if r, err := b.Logins.Show(t.Context(), onPage.FindString(g.body)); err != nil || r.Code != string(failure.Busy) {
			t.Errorf("%+v, %v", r, err)
		}
		close(hold.gone)
		others.Wait()
		b.admitted(b.post("/sso/saml/acs/corp", forms[n]))
	})
	t.Run("SSO-94 SSO-53 SAML-29 the mark of an assertion cannot be kept: refused, and the same post again is too late", func(t *testing.T) {
		_, to := b.leave()
		form := b.idp.form(b.idp.answered(to))
		hold.fail.Store(true)
		if r := b.refused(b.post("/sso/saml/acs/corp", form), failure.StoreUnavailable); r.PublicCode != "sso_unavailable" {
			t.Errorf("%+v", r)
		}
		hold.fail.Store(false)
		b.refused(b.post("/sso/saml/acs/corp", form), failure.AttemptAlreadyUsed)
	})
}

func TestACertificateThatIsOver(t *testing.T) {
	over := time.Now().Add(-50 * time.Hour).UTC().Truncate(time.Second)
	b := newBridgeOf(t, terms{key: certificateUntil(signing().key, over)})
	t.Run("SAML-54 SSO-61 what it signs is accepted, and trace, log, metric and connection say so", func(t *testing.T) {
		reference, to := b.leave()
		b.admitted(b.post("/sso/saml/acs/corp", b.idp.form(b.idp.answered(to))))
		if r, err := b.Logins.Show(t.Context(), reference); err != nil || !r.CertificateExpired || r.CertificateNotAfter == nil || !r.CertificateNotAfter.Equal(over) {
			t.Errorf("the trace: %+v, %v", r, err)
		}
		if log := b.log.taken(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "code=saml_certificate_expired") || !strings.Contains(log, reference) {
			t.Errorf("the log: %s", log)
		}
		if ends := b.Ends(t); ends["sso_idp_certificate_expiry_seconds"] > -50*3600 || ends["sso_sp_key_expiry_seconds"] < 1000*24*3600 {
			t.Errorf("the metrics: %v", ends)
		}
		by := b.Operator.As(audit.Caller{User: "ada"})
		list, err := by.Connections(t.Context())
		if err != nil || len(list.Data) != 1 {
			t.Fatal(err)
		}
		one, err := by.Connection(t.Context(), operator.Ref{ID: "corp"})
		if err != nil {
			t.Fatal(err)
		}
		for where, warnings := range map[string][]string{"list": list.Data[0].Warnings, "show": one.Warnings} {
			if text := strings.Join(warnings, " "); !strings.Contains(text, "ended on "+over.Format(time.DateOnly)) || !strings.Contains(text, "accepted") {
				t.Errorf("%s: %q", where, warnings)
			}
		}
		for _, job := range b.Jobs() {
			if job.Name == "certificates.warn" {
				if n, err := job.Do(t.Context()); n != 1 || err != nil {
					t.Errorf("%d said, %v", n, err)
				}
			}
		}
		if log := b.log.taken(); !strings.Contains(log, "connection=corp") || !strings.Contains(log, "has ended") {
			t.Errorf("the log of a day: %s", log)
		}
	})
	t.Run("SSO-91 a test shows it, and passes", func(t *testing.T) {
		begun, err := b.Logins.BeginTest(t.Context(), login.TestOrder{Connection: "corp", Actor: "cli:ada", Locale: "en"})
		if err != nil {
			t.Fatal(err)
		}
		g := b.ask("GET", strings.TrimPrefix(begun.StartURL, bridgeAt), "")
		cookie, _, _ := strings.Cut(g.header.Get("Set-Cookie"), ";")
		back := b.post("/sso/saml/acs/corp", b.idp.form(b.idp.answered(login.Destination{URL: g.header.Get("Location")})))
		page := b.ask("GET", strings.TrimPrefix(back.header.Get("Location"), bridgeAt), "", cookie)
		if page.status != http.StatusOK || !strings.Contains(page.body, over.Format(time.RFC3339)) {
			t.Errorf("%d %s", page.status, page.body)
		}
	})
}
