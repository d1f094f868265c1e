// SPDX-License-Identifier: Apache-2.0

package devicegrant_test

import (
	"errors"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

var grace = devicegrant.External{
	Issuer: "https://login.corp.example", ID: "grace-1", Email: "grace@corp.example", Name: "Grace", EmailVerified: true, ConnectionID: "corp", Attempt: "7K2QD-9XM4P",
	AuthTime: 1767225600, AMR: []string{"pwd"}, ACR: "low", IP: startIP,
}

func (f *flow) found(a devicegrant.Authorization) devicegrant.Grant {
	f.t.Helper()
	g, err := f.FindPending(f.t.Context(), a.UserCode)
	if err != nil {
		f.t.Fatal(err)
	}
	return g
}

func TestExternalDecisions(t *testing.T) {
	t.Run("SSO-28 INV-1 a grant is decided once, by whichever kind comes first", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		g := f.found(a)
		if err := f.ApproveExternal(t.Context(), g, grace); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"approve": f.Approve(t.Context(), a.UserCode, f.approver()), "deny": f.Deny(t.Context(), a.UserCode, f.approver()),
			"approve external": f.ApproveExternal(t.Context(), g, grace), "deny external": f.DenyExternal(t.Context(), g, grace),
		} {
			if !errors.Is(err, devicegrant.ErrAlreadyResolved) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("SSO-28 a denial ends the login", func(t *testing.T) {
		f := newFlow(t)
		a := f.start()
		if err := f.DenyExternal(t.Context(), f.found(a), grace); err != nil {
			t.Fatal(err)
		}
		f.refused(a, devicegrant.ErrAccessDenied)
	})
	t.Run("SSO-29 a lost answer of the store is asked for again, a store that is gone is no verdict", func(t *testing.T) {
		f := newFlow(t)
		g := f.found(f.start())
		f.grants.Plan(storetest.Fault{Method: "Decide", On: 1, Mode: storetest.LoseReply})
		if err := f.ApproveExternal(t.Context(), g, grace); err != nil {
			t.Fatal(err)
		}
		h := f.found(f.start())
		f.grants.Plan(storetest.Fault{Method: "Decide"})
		if err := f.ApproveExternal(t.Context(), h, grace); fault.Of(err).Kind() != fault.Unavailable {
			t.Fatal(err)
		}
		f.grants.Clear()
		if err := f.ApproveExternal(t.Context(), h, grace); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("SSO-32 without a kind of token for such people nothing is minted", func(t *testing.T) {
		f := newFlow(t) // the registry knows accounts alone, as in the Community Edition
		a := f.start()
		if err := f.ApproveExternal(t.Context(), f.found(a), grace); err != nil {
			t.Fatal(err)
		}
		if _, err := f.poll(a); fault.Of(err).Kind() != fault.Internal {
			t.Fatal(err)
		}
		if n := f.liveRows(); n != 0 {
			t.Fatalf("%d rows", n)
		}
	})
	t.Run("an approval that names no subject is nobody's", func(t *testing.T) {
		for _, subject := range []string{
			`{"kind":"external_sso"}`, `{"kind":"external_sso","issuer":"x"}`, `{"kind":"external_sso","issuer":"x","subject_id":"y","account_id":"z"}`, `{"kind":"other","account_id":"z"}`,
		} {
			f := newFlow(t)
			a := f.start()
			d := devicegrant.Decision{Ref: secret.DigestOf(a.DeviceCode.Reveal()), To: devicegrant.Approved, Subject: []byte(subject), Transition: "x", Now: f.Clock.Now()}
			if err := f.Grants.Decide(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			if _, err := f.poll(a); fault.Of(err).Kind() != fault.Internal {
				t.Errorf("%s: %v", subject, err)
			}
			f.isState(a, "")
		}
	})
}
