// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/memstore"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

func TestStates(t *testing.T) {
	w := newWorld(t)
	_, good := w.leave("acme")
	_, expired := w.leave("acme")
	_, foreign := w.leave("other")
	_, hub := w.leave("hub")
	asked := func() int { return w.oidc.calls() + w.oauth2.calls() }
	for name, c := range map[string]struct {
		arrival login.Arrival
		code    failure.Code
	}{
		"absent":                            {answer("acme", ""), failure.CallbackMalformed},
		"too short":                         {answer("acme", good[:42]), failure.CallbackMalformed},
		"of another alphabet":               {answer("acme", strings.Repeat("/", 43)), failure.CallbackMalformed},
		"not canonical":                     {answer("acme", strings.Repeat("A", 42)+"B"), failure.CallbackMalformed},
		"forged":                            {answer("acme", secret.Random()), failure.AttemptExpired},
		"of another connection":             {answer("acme", foreign), failure.CallbackMismatch},
		"of another protocol":               {login.Arrival{Protocol: connection.OIDC, Path: "hub", Handle: hub, Code: secret.New("code")}, failure.CallbackMismatch},
		"at the address that all may share": {answer("", secondHandle(w)), failure.CallbackMismatch},
	} {
		t.Run("OIDC-17 OIDC-18 a state "+name, func(t *testing.T) {
			before := asked()
			w.refused(w.Finish(t.Context(), c.arrival), c.code)
			if asked() != before {
				t.Error("the code was used")
			}
		})
	}
	t.Run("OIDC-17 a state after its 15 minutes", func(t *testing.T) {
		w.clock.Advance(15 * time.Minute)
		reference := w.refused(w.Finish(t.Context(), answer("acme", expired)), failure.AttemptExpired)
		if got := w.events("sso.attempt_failed", reference); len(got) != 1 || got[0]["facts"].(map[string]any)["age_s"] != "900" {
			t.Errorf("%v", got)
		}
	})
	t.Run("OIDC-17 a state twice", func(t *testing.T) {
		b, handle := w.leave("acme")
		w.assertion(w.Finish(t.Context(), answer("acme", handle)))
		before := asked()
		reference := w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.AttemptAlreadyUsed)
		if asked() != before {
			t.Error("the provider was asked again")
		}
		if got := w.events("sso.replay_refused", reference); len(got) != 1 || got[0]["of"] != b.Reference || got[0]["first_at"] == nil {
			t.Errorf("%v", got)
		}
		page, err := w.Failure(t.Context(), reference)
		if err != nil || !page.Known || page.Intent != connection.DeviceFlow || page.Public != "sso_already_used" {
			t.Errorf("%+v, %v", page, err)
		}
	})
	t.Run("OIDC-18 a shared address takes the answers of a connection that publishes it, and no other", func(t *testing.T) {
		w.registry.change("other", func(c *connection.Serving) { c.Config.Callback = connection.CallbackShared })
		_, handle := w.leave("other")
		w.assertion(w.Finish(t.Context(), answer("", handle)))
		if w.oidc.last.RedirectURI != public+"/sso/oidc/callback" {
			t.Error(w.oidc.last.RedirectURI)
		}
		if w.oidc.last.Shared {
			t.Error("nobody else has the address")
		}
		_, handle = w.leave("other")
		w.refused(w.Finish(t.Context(), answer("other", handle)), failure.CallbackMismatch)
		w.registry.change("acme", func(c *connection.Serving) { c.Config.Callback = connection.CallbackShared })
		defer w.registry.change("acme", func(c *connection.Serving) { c.Config.Callback = connection.CallbackOwn })
		_, handle = w.leave("other")
		w.assertion(w.Finish(t.Context(), answer("", handle)))
		if !w.oidc.last.Shared {
			t.Error("the provider is not told that another connection has the address")
		}
	})
	t.Run("OIDC-18 the callback's iss reaches the provider's check as it came", func(t *testing.T) {
		_, handle := w.leave("acme")
		a := answer("acme", handle)
		a.Issuer, a.IssuerSent = "https://evil.example", true
		w.oidc.verify = func(a login.Answer, _ *login.Trace) (identity.Claims, error) {
			return identity.Claims{}, failure.New(failure.OIDCIssuer).With("where", "callback").Showing("https://idp.example", a.Issuer)
		}
		r, err := w.Show(t.Context(), w.refused(w.Finish(t.Context(), a), failure.OIDCIssuer))
		if err != nil || r.Expected != "https://idp.example" || r.Got != "https://evil.example" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func secondHandle(w *world) string { _, h := w.leave("acme"); return h }

func TestMalformedAnswers(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(a *login.Arrival){
		"a parameter twice":      func(a *login.Arrival) { a.Malformed = "code" },
		"neither code nor error": func(a *login.Arrival) { a.Code = secret.Text{} },
		"code and error":         func(a *login.Arrival) { a.Error = "access_denied" },
	} {
		t.Run("OIDC-19 "+name+" spends the attempt and asks nobody", func(t *testing.T) {
			_, handle := w.leave("acme")
			a := answer("acme", handle)
			change(&a)
			reference := w.refused(w.Finish(t.Context(), a), failure.CallbackMalformed)
			if w.oidc.calls() != 0 {
				t.Error("the provider was asked")
			}
			if got := w.events("sso.attempt_failed", reference); len(got) != 1 || got[0]["facts"].(map[string]any)["parameter"] != "code" {
				t.Errorf("%v", got)
			}
			w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.AttemptAlreadyUsed)
		})
	}
	t.Run("OIDC-19 what cannot be read at all has a reference that explains itself", func(t *testing.T) {
		for _, code := range []failure.Code{failure.BodyTooLarge, failure.UnsupportedMedia, failure.ContentEncoding} {
			reference := w.Refuse(t.Context(), failure.New(code).With("bytes", "20000"), firefox)
			w.refused(public+"/sso/error/"+reference, code)
		}
	})
}

func TestHandlesAreClaimedOnce(t *testing.T) {
	t.Run("in process", func(t *testing.T) { claimedOnce(t, newWorld(t)) })
}

// posted is what became of one answer that was posted 50 times at once, to two services on
// the same stores.
func (w *world) posted(a login.Arrival) (locations []string) {
	second := w.service(w.deps)
	var mu sync.Mutex
	atOnce(50, func(i int) {
		location := []*login.Service{w.Service, second}[i%2].Finish(w.t.Context(), a)
		mu.Lock()
		defer mu.Unlock()
		locations = append(locations, location)
	})
	return locations
}

// oneWon: one of them ended the attempt of b with an assertion, the rest were too late, and
// the provider was asked once.
func (w *world) oneWon(t *testing.T, locations []string, b login.Begun, asked *script) {
	t.Helper()
	won := 0
	for _, location := range locations {
		if strings.Contains(location, "sso_assertion") {
			won++
			if got := w.assertion(location); got.Attempt != b.Reference {
				t.Errorf("%+v", got)
			}
			continue
		}
		w.refused(location, failure.AttemptAlreadyUsed)
	}
	if won != 1 || len(locations) != 50 || asked.calls() != 1 {
		t.Errorf("%d of %d succeeded, the provider was asked %d times", won, len(locations), asked.calls())
	}
}

// claimedOnce posts one answer 50 times at once.
func claimedOnce(t *testing.T, w *world) {
	b, handle := w.leave("acme")
	locations := w.posted(answer("acme", handle))
	t.Run("SSO-49 of 50 answers at once on two replicas one succeeds, the rest were already used", func(t *testing.T) {
		w.oneWon(t, locations, b, w.oidc)
		if n := len(w.events("sso.attempt_succeeded", b.Reference)); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

// A provider that knows whose code is whose, as a real one does by PKCE and nonce.
func TestCrossedFlows(t *testing.T) {
	w := newWorld(t)
	verifiers := map[string]string{}
	crossed := func(a login.Answer, _ *login.Trace) (identity.Claims, error) {
		if verifiers[a.Code.Reveal()] != a.Material.Verifier.Reveal() {
			return identity.Claims{}, failure.New(failure.TokenEndpoint).With("error", "invalid_grant")
		}
		c := ada()
		c.Issuer = a.Serving.Config.Issuer(a.Serving.ID)
		return c, nil
	}
	w.oidc.verify, w.oauth2.verify = crossed, crossed
	for _, p := range []struct {
		protocol connection.Protocol
		id       string
		from     *script
	}{{connection.OIDC, "acme", w.oidc}, {connection.OAuth2, "hub", w.oauth2}} {
		t.Run("SSO-50 handle and code of two flows, "+string(p.protocol), func(t *testing.T) {
			begin := func(code string) string {
				p.from.send = func(r login.Request) (login.Destination, error) {
					verifiers[code] = r.Material.Verifier.Reveal()
					return login.Destination{URL: "https://idp.example/?state=" + r.State.Reveal()}, nil
				}
				_, handle := w.leave(p.id)
				return handle
			}
			finish := func(handle, code string) string {
				return w.Finish(t.Context(), login.Arrival{Protocol: p.protocol, Path: p.id, Handle: handle, Code: secret.New(code)})
			}
			a, b := begin("code-a"), begin("code-b")
			w.refused(finish(a, "code-b"), failure.TokenEndpoint)
			w.refused(finish(b, "code-a"), failure.TokenEndpoint)
			w.assertion(finish(begin("code-c"), "code-c"))
		})
	}
}

func TestConnectionsThatChangeMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *connection.Serving)
		code   failure.Code // empty for a success
	}{
		"edited and enabled": {func(c *connection.Serving) {
			c.Hash, c.Head, c.Serving = revision("b"), revision("b"), revision("b")
		}, failure.ConnectionChanged},
		"disabled":            {func(c *connection.Serving) { c.State = connection.Disabled }, failure.ConnectionChanged},
		"deleted":             {func(c *connection.Serving) { at := start; c.DeletedAt = &at }, failure.ConnectionChanged},
		"closed for devices":  {func(c *connection.Serving) { c.Intents = []connection.Intent{connection.AccountLogin} }, failure.ConnectionChanged},
		"edited, not enabled": {func(c *connection.Serving) { c.Head = revision("b") }, ""},
		"renamed":             {func(c *connection.Serving) { c.Name = "Anew" }, ""},
	} {
		for _, way := range ways {
			if c.code != "" {
				t.Run("OIDC-17 SAML-33 "+way.id+", "+name+", and the answer is malformed: nothing of it was looked at", func(t *testing.T) {
					w := newWorld(t)
					_, handle := w.leave(way.id)
					w.registry.change(way.id, c.change)
					a := way.arrive(way.id, handle)
					a.Malformed = "code"
					w.refused(w.Finish(t.Context(), a), c.code)
				})
			}
			t.Run("SSO-51 "+way.id+", "+name+", at the callback", func(t *testing.T) {
				w := newWorld(t)
				_, handle := w.leave(way.id)
				w.registry.change(way.id, c.change)
				location := w.Finish(t.Context(), way.arrive(way.id, handle))
				if c.code == "" {
					w.assertion(location)
					return
				}
				w.refused(location, c.code)
				if w.oidc.calls()+w.saml.calls() != 0 {
					t.Error("the answer was looked at")
				}
			})
		}
		t.Run("SSO-51 "+name+", at the start", func(t *testing.T) {
			w := newWorld(t)
			b := w.begin("acme")
			w.registry.change("acme", c.change)
			if _, err := w.Start(t.Context(), ticketOf(b), firefox); codeOf(err) != c.code {
				t.Error(err)
			}
		})
	}
	t.Run("SSO-51 gone without a trace", func(t *testing.T) {
		for _, way := range ways {
			w := newWorld(t)
			_, handle := w.leave(way.id)
			delete(w.registry.of, way.id)
			w.refused(w.Finish(t.Context(), way.arrive(way.id, handle)), failure.ConnectionChanged)
		}
	})
}

func TestDamagedRecords(t *testing.T) {
	w := newWorld(t)
	digest := secret.DigestOf
	read := func(handle string) []byte {
		t.Helper()
		sealed, err := w.records.Read(t.Context(), login.Handles, digest(handle))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	put := func(handle string, sealed []byte) {
		t.Helper()
		if err := w.records.Put(t.Context(), login.Handles, digest(handle), sealed, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("SSO-52 a record that is altered at any byte opens nowhere", func(t *testing.T) {
		_, handle := w.leave("acme")
		sealed := read(handle)
		for i := range sealed {
			for _, flip := range []byte{1, 0x80} {
				altered := append([]byte(nil), sealed...)
				altered[i] ^= flip
				if w.Opens(handle, altered) {
					t.Fatalf("byte %d", i)
				}
			}
		}
		for n := range sealed {
			if w.Opens(handle, sealed[:n]) {
				t.Fatalf("cut to %d", n)
			}
		}
		if !w.Opens(handle, sealed) {
			t.Fatal("the whole one does not open")
		}
		sealed[len(sealed)/2] ^= 1
		put(handle, sealed)
		w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.AttemptEnvelope)
	})
	t.Run("SSO-52 a record under another handle", func(t *testing.T) {
		_, mine := w.leave("acme")
		_, other := w.leave("acme")
		put(mine, read(other))
		w.refused(w.Finish(t.Context(), answer("acme", mine)), failure.AttemptEnvelope)
		w.assertion(w.Finish(t.Context(), answer("acme", other)))
	})
	t.Run("SSO-52 a record with the envelope of another attempt", func(t *testing.T) {
		_, mine := w.leave("acme")
		_, other := w.leave("acme")
		_, sealed, err := w.Planted(mine, w.EnvelopeUnder(other, read(other)))
		if err != nil {
			t.Fatal(err)
		}
		put(mine, sealed)
		w.refused(w.Finish(t.Context(), answer("acme", mine)), failure.AttemptEnvelope)
	})
	if w.oidc.calls() != 1 {
		t.Errorf("the provider was asked %d times", w.oidc.calls())
	}
	t.Run("JWS-09 a record that a store brings back is not good twice", func(t *testing.T) {
		_, handle := w.leave("acme")
		sealed := read(handle)
		w.assertion(w.Finish(t.Context(), answer("acme", handle)))
		put(handle, sealed)
		w.refused(w.Finish(t.Context(), answer("acme", handle)), failure.AttemptAlreadyUsed)
	})
}

// A key that changed in mid-login.
func TestAnotherSecretKey(t *testing.T) {
	w := newWorld(t)
	_, one := w.leave("acme")
	_, other := w.leave("acme")
	deps := w.deps
	deps.SecretKey, deps.FormerKey = secret.New(strings.Repeat("a new secret key ", 3)), bridgeKey
	t.Run("SSO-112 with the former key a login under way ends", func(t *testing.T) {
		w.assertion(w.service(deps).Finish(t.Context(), answer("acme", one)))
	})
	t.Run("SSO-112 without it the login is refused", func(t *testing.T) {
		deps.FormerKey = secret.Text{}
		w.refused(w.service(deps).Finish(t.Context(), answer("acme", other)), failure.AttemptEnvelope)
	})
}

func TestABridgeThatRestarts(t *testing.T) {
	t.Run("SSO-53 its records were in the process: the sign-in took too long", func(t *testing.T) {
		w := newWorld(t)
		_, handle := w.leave("acme")
		deps := w.deps
		deps.Records = memstore.NewRecords(10, w.clock.Now)
		w.refused(w.service(deps).Finish(t.Context(), answer("acme", handle)), failure.AttemptExpired)
	})
	t.Run("SSO-53 SSO-54 its records were elsewhere: nothing is lost", func(t *testing.T) {
		w := newWorld(t)
		b := w.begin("acme")
		d, err := w.service(w.deps).Start(t.Context(), ticketOf(b), firefox)
		if err != nil {
			t.Fatal(err)
		}
		w.assertion(w.service(w.deps).Finish(t.Context(), answer("acme", stateOf(t, d.URL))))
	})
}

// newReplicated is a world whose short-lived records lie where a test says.
func newReplicated(t *testing.T, records login.Records) *world {
	t.Helper()
	return newWorldOn(t, storetest.NewClock(time.Now().UTC().Truncate(time.Second)), records, storetest.NewSQLite(t).DB)
}
