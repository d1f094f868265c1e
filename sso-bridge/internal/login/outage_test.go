// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// way is a login of one protocol.
type way struct {
	id     string // of the connection
	arrive func(id, handle string) login.Arrival
}

var ways = []way{
	{"acme", answer},
	{"corp", func(id, handle string) login.Arrival { return response(id, handle, "bWVzc2FnZQ==") }},
}

// Each call of a store at each step, cut before it acts and after.
func TestStoresThatAreGone(t *testing.T) {
	modes := map[string]faulttest.Mode{"before": faulttest.Fail, "its answer lost": faulttest.LoseReply}
	for how, mode := range modes {
		for _, way := range ways {
			cutAt(t, way, how, mode)
		}
	}
	t.Run("SSO-94 the records are full", func(t *testing.T) {
		w := newWorld(t)
		w.faults.Plan(faulttest.Fault{Method: "Put.h", Err: login.ErrFull})
		if _, err := w.Begin(t.Context(), order("acme")); fault.Of(err).Kind() != fault.Unavailable {
			t.Error(err)
		}
	})
	t.Run("SSO-94 the connections cannot be read", func(t *testing.T) {
		w := newWorld(t)
		b, handle := w.leave("acme")
		_ = b
		w.registry.fail = errors.New("no answer")
		w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.StoreUnavailable)
		if _, err := w.Begin(t.Context(), order("acme")); fault.Of(err).Kind() != fault.Unavailable {
			t.Error(err)
		}
	})
	for _, way := range ways {
		t.Run("SSO-94 SQL is gone from the claim on, and for good, "+way.id, func(t *testing.T) {
			w := newWorld(t)
			b, handle := w.leave(way.id)
			for _, method := range []string{"Create", "ByHandle", "ByReference", "LastGood", "Move.returned", "Move.failed", "Move.succeeded"} {
				w.faults.Plan(faulttest.Fault{Method: method})
			}
			location := w.Finish(t.Context(), way.arrive(way.id, handle))
			if !strings.Contains(location, "sso_error=sso_unavailable") || !strings.Contains(location, b.Reference) || w.oidc.calls()+w.saml.calls() != 0 {
				t.Error(location)
			}
			if !strings.Contains(w.log.String(), "the end of an attempt was not written") {
				t.Error(w.log)
			}
		})
		t.Run("SSO-94 audit_unavailable: a success that cannot be written is none, "+way.id, func(t *testing.T) {
			w := newWorld(t)
			b, handle := w.leave(way.id)
			w.faults.Plan(faulttest.Fault{Method: "Move.succeeded"})
			if reference := w.refused(w.Finish(t.Context(), way.arrive(way.id, handle)), failure.AuditUnavailable); reference != b.Reference {
				t.Error(reference)
			}
			if got := w.events("sso.attempt_succeeded", ""); len(got) != 0 {
				t.Errorf("%v", got)
			}
		})
	}
}

// cutAt cuts each call of a store in a login of one protocol.
func cutAt(t *testing.T, way way, how string, mode faulttest.Mode) {
	for _, method := range []string{"Create", "Put.h", "Put.t"} {
		t.Run("SSO-94 SSO-53 creation of "+way.id+": "+method+" "+how, func(t *testing.T) {
			w := newWorld(t)
			w.faults.Plan(faulttest.Fault{Method: method, On: 1, Mode: mode})
			b, err := w.Begin(t.Context(), order(way.id))
			if f := fault.Of(err); f.Kind() != fault.Unavailable || f.Retry() <= 0 || b.StartURL != "" {
				t.Fatalf("%+v, %v", b, err)
			}
			if !strings.Contains(w.log.String(), string(failure.StoreUnavailable)) {
				t.Error("the log does not say so")
			}
			w.faults.Clear()
			_, handle := w.leave(way.id)
			w.assertion(w.Finish(t.Context(), way.arrive(way.id, handle)))
		})
	}
	for _, method := range []string{"Take.t", "ByReference", "Read.h", "Move.started"} {
		t.Run("SSO-94 SSO-53 start of "+way.id+": "+method+" "+how, func(t *testing.T) {
			w := newWorld(t)
			b := w.begin(way.id)
			w.faults.Plan(faulttest.Fault{Method: method, On: 1, Mode: mode})
			d, err := w.Start(t.Context(), ticketOf(b), firefox)
			if codeOf(err) != failure.StoreUnavailable || d.URL != "" || d.Reference == "" {
				t.Fatalf("%+v, %v", d, err)
			}
			if !strings.Contains(w.log.String(), d.Reference) {
				t.Error("the log does not explain the reference")
			}
			w.faults.Clear()
			_, err = w.Start(t.Context(), ticketOf(b), firefox)
			if method == "Take.t" && mode == faulttest.Fail {
				if err != nil {
					t.Errorf("the link was not spent: %v", err)
				}
			} else if codeOf(err) != failure.StartLinkUsed {
				t.Errorf("the link again: %v", err)
			}
		})
	}
	for _, method := range []string{"Take.h", "ByHandle", "Move.returned", "Move.succeeded"} {
		t.Run("SSO-94 SSO-53 callback of "+way.id+": "+method+" "+how, func(t *testing.T) {
			w := newWorld(t)
			b, handle := w.leave(way.id)
			w.faults.Plan(faulttest.Fault{Method: method, On: 1, Mode: mode})
			location := w.Finish(t.Context(), way.arrive(way.id, handle))
			if strings.Contains(location, "sso_assertion") {
				t.Fatal(location)
			}
			atCore := strings.HasPrefix(location, done)
			if atCore && !strings.Contains(location, "sso_error=sso_unavailable") || atCore == (method == "Take.h") {
				t.Error(location)
			}
			reference := b.Reference
			if !atCore {
				reference = strings.TrimPrefix(location, public+"/sso/error/")
			}
			if !strings.Contains(location, reference) || !strings.Contains(w.log.String(), reference) {
				t.Errorf("neither address nor log explain it: %s", location)
			}
			w.faults.Clear()
			location = w.Finish(t.Context(), way.arrive(way.id, handle))
			if method == "Take.h" && mode == faulttest.Fail {
				w.assertion(location) // nothing was spent
				return
			}
			w.refused(location, failure.AttemptAlreadyUsed)
		})
	}
}
