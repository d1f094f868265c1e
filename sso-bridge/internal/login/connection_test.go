// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// tested runs a test of a draft to its end and gives its page's ticket and cookie.
func (w *world) tested(o login.TestOrder) (reference string, page, cookie secret.Text) {
	w.t.Helper()
	b, err := w.BeginTest(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := w.Start(w.t.Context(), ticketOf(b), firefox)
	if err != nil || len(d.TestCookie.Reveal()) != 43 {
		w.t.Fatalf("%v", err)
	}
	location := w.Finish(w.t.Context(), answer("acme", stateOf(w.t, d.URL)))
	text, ok := strings.CutPrefix(location, public+"/sso/test/")
	if !ok {
		w.t.Fatalf("%s\n%s", location, w.log)
	}
	return b.Reference, secret.New(text), d.TestCookie
}

func draft(w *world) {
	w.registry.change("acme", func(c *connection.Serving) { c.State, c.Serving = connection.Draft, "" })
}

var byAda = login.TestOrder{Connection: "acme", Actor: "cli:ada", RequestID: "request"}

func TestAConnectionTest(t *testing.T) {
	t.Run("SSO-80 SSO-79 a good one: the whole page, and the revision is tested", func(t *testing.T) {
		w := newWorld(t)
		draft(w)
		reference, page, cookie := w.tested(byAda)
		r, err := w.TestResult(t.Context(), page, cookie)
		if err != nil || !r.Passed || !r.Marked || !r.Admitted || r.Failure != nil || r.Identity == nil || r.Identity.Subject != "ada-subject" || len(r.Claims) != 2 {
			t.Fatalf("%+v, %v", r, err)
		}
		if r.Claims[1] != (login.ShownClaim{Name: "email", Value: "ada@acme.example", Source: "userinfo", Maps: "email"}) {
			t.Errorf("%+v", r.Claims)
		}
		for _, c := range r.Checks {
			if c.Verdict != login.Passed {
				t.Errorf("%+v", c)
			}
		}
		if len(w.marks) != 1 || w.marks[0].id != "acme" || w.marks[0].hash != revision("a") || w.marks[0].by != "cli:ada" || w.marks[0].reference != reference || len(w.marks[0].subject) != 16 {
			t.Errorf("%+v", w.marks)
		}
		again, err := w.TestResult(t.Context(), page, cookie)
		if err != nil || again.Reference != r.Reference {
			t.Errorf("reloaded: %v", err)
		}
		if got := w.events("sso.attempt_succeeded", reference); len(got) != 1 || got[0]["actor"] != "cli:ada" || got[0]["intent"] != "connection_test" {
			t.Errorf("%v", got)
		}
	})
	t.Run("SSO-80 a bad one: what was expected, what came, and the mend", func(t *testing.T) {
		w := newWorld(t)
		draft(w)
		w.oidc.verify = func(login.Answer, *login.Trace) (identity.Claims, error) {
			return identity.Claims{}, failure.New(failure.OIDCAudience).Showing("ours", "theirs")
		}
		_, page, cookie := w.tested(byAda)
		r, err := w.TestResult(t.Context(), page, cookie)
		if err != nil || r.Passed || r.Marked || r.Failure == nil || r.Failure.Code != failure.OIDCAudience || r.Failure.Mend == "" || r.Identity != nil || len(w.marks) != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		verdicts := map[string]login.Check{}
		for _, c := range r.Checks {
			verdicts[c.Name] = c
		}
		if c := verdicts["audience"]; c.Verdict != login.Refused || c.Expected != "ours" || c.Got != "theirs" {
			t.Errorf("%+v", c)
		}
		if verdicts["signature"].Verdict != login.Passed || verdicts["nonce"].Verdict != login.NotReached || verdicts["identity"].Verdict != login.NotReached {
			t.Errorf("%+v", verdicts)
		}
	})
	t.Run("SSO-80 an identity that is refused: each of its checks, and each claim with what it is taken for", func(t *testing.T) {
		w := newWorld(t)
		w.oidc.verify = func(login.Answer, *login.Trace) (identity.Claims, error) {
			c := ada()
			c.Verified = identity.StatedFalse
			return c, nil
		}
		_, page, cookie := w.tested(byAda)
		r, err := w.TestResult(t.Context(), page, cookie)
		if err != nil || r.Passed || r.Failure == nil || r.Failure.Code != failure.EmailNotVerified || len(r.Claims) != 2 || r.Claims[0].Maps != "subject" {
			t.Fatalf("%+v, %v", r, err)
		}
		verdicts := map[string]login.Verdict{}
		for _, c := range r.Checks {
			verdicts[c.Name] = c.Verdict
		}
		if verdicts["signature"] != login.Passed || verdicts["subject"] != login.Passed || verdicts["email_verified"] != login.Refused {
			t.Errorf("%v", verdicts)
		}
	})
	t.Run("SSO-80 another browser, or none, sees nothing", func(t *testing.T) {
		w := newWorld(t)
		_, page, _ := w.tested(byAda)
		for _, cookie := range []secret.Text{{}, secret.New(secret.Random()), page} {
			if r, err := w.TestResult(t.Context(), page, cookie); !errors.Is(err, login.ErrWrongBrowser) || r.Reference != "" {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
	t.Run("SSO-80 after 16 minutes it is gone", func(t *testing.T) {
		w := newWorld(t)
		_, page, cookie := w.tested(byAda)
		w.clock.Advance(16 * time.Minute)
		if _, err := w.TestResult(t.Context(), page, cookie); !errors.Is(err, login.ErrResultOver) {
			t.Error(err)
		}
		for _, text := range []string{"", "x", secret.Random()} {
			if _, err := w.TestResult(t.Context(), secret.New(text), cookie); !errors.Is(err, login.ErrResultOver) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
	t.Run("SSO-80 a refusal by admission passes only where it was expected", func(t *testing.T) {
		for _, expected := range []bool{false, true} {
			w := newWorld(t)
			w.refuse = failure.New(failure.PolicyNotAllowed).With("rule", "deny.subjects")
			o := byAda
			o.ExpectRefusal = expected
			_, page, cookie := w.tested(o)
			r, err := w.TestResult(t.Context(), page, cookie)
			if err != nil || r.Passed != expected || r.Admitted || len(w.marks) == 1 != expected || r.Identity == nil {
				t.Errorf("%t: %+v, %v", expected, r, err)
			}
		}
		w := newWorld(t)
		o := byAda
		o.ExpectRefusal = true
		_, page, cookie := w.tested(o)
		if r, err := w.TestResult(t.Context(), page, cookie); err != nil || r.Passed || len(w.marks) != 0 {
			t.Errorf("nobody was refused: %+v, %v", r, err)
		}
	})
	t.Run("SSO-80 nothing is minted: no test ends at core", func(t *testing.T) {
		w := newWorld(t)
		w.tested(byAda)
		if strings.Contains(w.log.String(), "sso_assertion") {
			t.Error(w.log)
		}
	})
	t.Run("SSO-80 the link works for 15 minutes, once, and only for the head", func(t *testing.T) {
		w := newWorld(t)
		begin := func() login.Begun {
			b, err := w.BeginTest(t.Context(), byAda)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		b, late := begin(), begin()
		w.clock.Advance(14 * time.Minute)
		d, err := w.Start(t.Context(), ticketOf(b), firefox)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Start(t.Context(), ticketOf(b), firefox); codeOf(err) != failure.StartLinkUsed {
			t.Error(err)
		}
		w.clock.Advance(14 * time.Minute) // its own 15 minutes begin with the browser
		if location := w.Finish(t.Context(), answer("acme", stateOf(t, d.URL))); !strings.HasPrefix(location, public+"/sso/test/") {
			t.Error(location)
		}
		if _, err := w.Start(t.Context(), ticketOf(late), firefox); codeOf(err) != failure.StartLinkUsed {
			t.Error(err)
		}
		b = begin()
		w.registry.change("acme", func(c *connection.Serving) { c.Head = revision("b") })
		if _, err := w.Start(t.Context(), ticketOf(b), firefox); codeOf(err) != failure.ConnectionChanged {
			t.Error(err)
		}
		o := byAda
		o.Revision = revision("a")
		if _, err := w.BeginTest(t.Context(), o); !errors.Is(err, connection.ErrIncomplete) {
			t.Error(err)
		}
		o.Connection = "nobody"
		if _, err := w.BeginTest(t.Context(), o); fault.Of(err).Kind() != fault.NotFound {
			t.Error(err)
		}
	})
	t.Run("SSO-94 stores that are gone in a test", func(t *testing.T) {
		for _, method := range []string{"Create", "Put.t"} {
			w := newWorld(t)
			w.faults.Plan(faulttest.Fault{Method: method})
			if _, err := w.BeginTest(t.Context(), byAda); fault.Of(err).Kind() != fault.Unavailable {
				t.Errorf("%s: %v", method, err)
			}
		}
		w := newWorld(t)
		_, page, cookie := w.tested(byAda)
		w.faults.Plan(faulttest.Fault{Method: "Read.v"})
		if _, err := w.TestResult(t.Context(), page, cookie); fault.Of(err).Kind() != fault.Unavailable {
			t.Error(err)
		}
		b, err := w.BeginTest(t.Context(), byAda)
		if err != nil {
			t.Fatal(err)
		}
		w.faults.Plan(faulttest.Fault{Method: "Put.h"})
		if d, err := w.Start(t.Context(), ticketOf(b), firefox); codeOf(err) != failure.StoreUnavailable || d.URL != "" {
			t.Errorf("%+v, %v", d, err)
		}
		w.faults.Clear()
		b, err = w.BeginTest(t.Context(), byAda)
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.Start(t.Context(), ticketOf(b), firefox)
		if err != nil {
			t.Fatal(err)
		}
		w.faults.Plan(faulttest.Fault{Method: "Put.v"})
		if location := w.Finish(t.Context(), answer("acme", stateOf(t, d.URL))); location != public+"/sso/error/"+b.Reference {
			t.Error(location)
		}
	})
}
