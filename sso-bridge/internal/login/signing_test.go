// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// state are the claims of an envelope, as whoever forges one writes them.
type state struct {
	Intent         string `json:"intent"`
	Connection     string `json:"connection"`
	Attempt        string `json:"attempt"`
	Revision       string `json:"revision"`
	UserCodeDigest string `json:"user_code_digest"`
	Nonce          string `json:"nonce"`
	Binding        string `json:"bnd"`
}

// What core can derive: every audience without a salt, and its own SECRET_KEY as salt.
func TestCoreCannotMakeAnEnvelope(t *testing.T) {
	audiences := []envelope.Audience{envelope.StateEnvelope, envelope.ApprovalGrant, envelope.ExternalSubject, envelope.ConsoleLogin, envelope.CoreToBridge, envelope.BridgeToCore}
	for _, audience := range audiences {
		t.Run("SSO-37 JWS-04 signed with core's key of "+string(audience), func(t *testing.T) {
			w := newWorld(t)
			b, handle := w.leave("acme")
			d := envelope.Deps{Keys: keys, Audience: audience, Issuer: public, Now: w.clock.Now}
			if audience == envelope.StateEnvelope || audience == envelope.ApprovalGrant {
				d.Owner = coreKey
			}
			forge, err := envelope.New[state](d)
			if err != nil {
				t.Fatal(err)
			}
			message, _, err := forge.Sign(state{
				Intent: "device_flow", Connection: "acme", Attempt: b.Reference, Revision: revision("a"),
				UserCodeDigest: order("").UserCodeDigest, Nonce: order("").Nonce, Binding: strings.Repeat("m", 43),
			})
			if err != nil {
				t.Fatal(err)
			}
			// Even where it got into the sealed record, which needs the handle and our key.
			digest, sealed, err := w.Planted(handle, message)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.records.Put(t.Context(), login.Handles, digest, sealed, time.Minute); err != nil {
				t.Fatal(err)
			}
			w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.AttemptEnvelope)
			if w.oidc.calls() != 0 {
				t.Error("the provider was asked")
			}
		})
	}
}

// What a bridge that was taken over can derive does not make what core alone makes.
func TestTheBridgeCannotMakeAnApprovalGrant(t *testing.T) {
	now := func() time.Time { return start }
	ofCore, err := envelope.New[state](envelope.Deps{Keys: keys, Audience: envelope.ApprovalGrant, Issuer: core, Owner: coreKey, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, audience := range []envelope.Audience{envelope.StateEnvelope, envelope.ApprovalGrant, envelope.ExternalSubject, envelope.ConsoleLogin, envelope.CoreToBridge, envelope.BridgeToCore} {
		t.Run("SSO-36 JWS-04 signed with the bridge's key of "+string(audience), func(t *testing.T) {
			d := envelope.Deps{Keys: keys, Audience: audience, Issuer: core, Now: now}
			if audience == envelope.StateEnvelope || audience == envelope.ApprovalGrant {
				d.Owner = bridgeKey
			}
			forge, err := envelope.New[state](d)
			if err != nil {
				t.Fatal(err)
			}
			message, _, err := forge.Sign(state{Intent: "device_flow"})
			if err != nil {
				t.Fatal(err)
			}
			var refused *envelope.RefusedError
			if _, _, err := ofCore.Verify(message); !errors.As(err, &refused) {
				t.Errorf("it was taken: %v", err)
			}
		})
	}
}

// An envelope is good at the place and the time for which it was made.
func TestEnvelopesOfOtherPlacesAndTimes(t *testing.T) {
	full := state{
		Intent: "device_flow", Connection: "acme", Revision: revision("a"),
		UserCodeDigest: order("").UserCodeDigest, Nonce: order("").Nonce, Binding: order("").Binding,
	}
	for name, c := range map[string]struct {
		change func(c *state)
		issuer string
		age    time.Duration
	}{
		"of another origin":                   {func(*state) {}, "https://elsewhere.example", 0},
		"that is over":                        {func(*state) {}, public, 15*time.Minute + 31*time.Second},
		"from the future":                     {func(*state) {}, public, -31 * time.Second},
		"of another connection":               {func(c *state) { c.Connection = "other" }, public, 0},
		"of another revision":                 {func(c *state) { c.Revision = revision("b") }, public, 0},
		"of another attempt":                  {func(c *state) { c.Attempt = "00000-00000" }, public, 0},
		"of another intent":                   {func(c *state) { c.Intent = "account_login" }, public, 0},
		"of a test, in a record that is none": {func(c *state) { c.Intent, c.UserCodeDigest, c.Nonce = "connection_test", "", "" }, public, 0},
		"without the digest of a code":        {func(c *state) { c.UserCodeDigest = "" }, public, 0},
		"without a nonce":                     {func(c *state) { c.Nonce = "" }, public, 0},
		"without a binding":                   {func(c *state) { c.Binding = "" }, public, 0},
	} {
		t.Run("SSO-52 JWS-02 an envelope "+name, func(t *testing.T) {
			w := newWorld(t)
			b, handle := w.leave("acme")
			codec, err := envelope.New[state](envelope.Deps{
				Keys: keys, Audience: envelope.StateEnvelope, Issuer: c.issuer, Owner: bridgeKey, Now: func() time.Time { return start.Add(-c.age) },
			})
			if err != nil {
				t.Fatal(err)
			}
			claims := full
			claims.Attempt = b.Reference
			c.change(&claims)
			message, _, err := codec.Sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			digest, sealed, err := w.Planted(handle, message)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.records.Put(t.Context(), login.Handles, digest, sealed, time.Minute); err != nil {
				t.Fatal(err)
			}
			w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.AttemptEnvelope)
			if w.oidc.calls() != 0 {
				t.Error("the provider was asked")
			}
		})
	}
}

func TestDependencies(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(d *login.Deps){
		"no records":             func(d *login.Deps) { d.Records = nil },
		"no secret key":          func(d *login.Deps) { d.SecretKey = secret.Text{} },
		"a short secret key":     func(d *login.Deps) { d.SecretKey = secret.New("short") },
		"an origin with a slash": func(d *login.Deps) { d.Public += "/" },
		"no provider":            func(d *login.Deps) { d.Providers = nil },
		"no clock":               func(d *login.Deps) { d.Now = nil },
	} {
		t.Run(name, func(t *testing.T) {
			d := w.deps
			change(&d)
			if _, err := login.New(d); err == nil {
				t.Error("it was taken")
			}
		})
	}
}
