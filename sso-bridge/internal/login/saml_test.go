// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"context"
	"encoding/hex"
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// response is a provider's usual one at the connection's own address.
func response(id, handle, message string) login.Arrival {
	return login.Arrival{Protocol: connection.SAML, Path: id, Handle: handle, Message: secret.New(message), Visitor: firefox, Bytes: 4567}
}

func TestRequestIDs(t *testing.T) {
	form := regexp.MustCompile(`^_[0-9a-f]{32}$`)
	t.Run("SAML-58 of 100 000 ids no two are alike", func(t *testing.T) {
		const n = 100_000
		seen := make(map[string]struct{}, n)
		var ones [128]int
		for range n {
			id := login.NewRequestID()
			if !form.MatchString(id) {
				t.Fatal(id)
			}
			seen[id] = struct{}{}
			raw, err := hex.DecodeString(id[1:])
			if err != nil {
				t.Fatal(err)
			}
			for i := range ones {
				ones[i] += int(raw[i/8] >> (i % 8) & 1)
			}
		}
		if len(seen) != n {
			t.Errorf("%d of %d", len(seen), n)
		}
		// Half of n, and ten times the standard deviation: no bit stands still.
		for i, k := range ones {
			if k < n/2-1600 || k > n/2+1600 {
				t.Errorf("bit %d is set %d times", i, k)
			}
		}
	})
	t.Run("SAML-58 a request and the check of its answer have one id, another attempt has another", func(t *testing.T) {
		w := newWorld(t)
		asked := map[string]string{}
		w.saml.send = func(r login.Request) (login.Destination, error) {
			asked[r.State.Reveal()] = r.Material.RequestID
			return login.Destination{URL: "https://idp.example/sso?state=" + r.State.Reveal()}, nil
		}
		_, one := w.leave("corp")
		_, two := w.leave("corp")
		for _, handle := range []string{one, two} {
			w.assertion(w.Finish(t.Context(), response("corp", handle, "bWVzc2FnZQ==")))
			if id := w.saml.last.Material.RequestID; id != asked[handle] || !form.MatchString(id) || w.saml.last.Message.Reveal() != "bWVzc2FnZQ==" || !w.saml.last.Code.IsZero() {
				t.Errorf("%s, asked %s", id, asked[handle])
			}
		}
		if asked[one] == asked[two] {
			t.Error("they are one")
		}
	})
}

func TestRelayStates(t *testing.T) {
	w := newWorld(t)
	_, good := w.leave("corp")
	for name, state := range map[string]string{
		"SAML-32 SAML-33 absent, as a portal sends it": "",
		"SAML-33 cut":                            good[:42],
		"SAML-33 padded":                         good + "=",
		"SAML-33 not canonical":                  strings.Repeat("A", 42) + "B",
		"SAML-34 an address":                     "https://evil.example/",
		"SAML-34 an address without a scheme":    "//evil.example/",
		"SAML-34 a header":                       "/device\r\nLocation: https://evil.example/",
		"SAML-34 a script":                       "javascript:alert(1)",
		"SAML-34 an address of a portal, 20 KiB": strings.Repeat("https://portal.example/", 900),
	} {
		t.Run(name, func(t *testing.T) {
			location := w.Finish(t.Context(), response("corp", state, "bWVzc2FnZQ=="))
			reference := w.refused(location, failure.SAMLUnsolicited)
			if location != public+"/sso/error/"+reference || w.saml.calls() != 0 {
				t.Errorf("%s, %d calls", location, w.saml.calls())
			}
			got := w.events("sso.attempt_failed", reference)
			if len(got) != 1 || got[0]["facts"].(map[string]any)["relay_state_length"] != strconv.Itoa(len(state)) || got[0]["connection"] != nil {
				t.Errorf("%v", got)
			}
			if state != "" && strings.Contains(w.log.String(), state[:min(len(state), 20)]) && !strings.HasPrefix(good, state[:min(len(state), 20)]) {
				t.Error("the log has it")
			}
		})
	}
	t.Run("SAML-33 forged", func(t *testing.T) {
		w.refused(w.Finish(t.Context(), response("corp", secret.Random(), "bWVzc2FnZQ==")), failure.AttemptExpired)
	})
	w.add("corp2", connection.SAML)
	_, second := w.leave("corp2")
	_, oidc := w.leave("acme")
	_, crossed := w.leave("corp")
	for name, a := range map[string]login.Arrival{
		"SAML-33 SSO-50 of another connection":           response("corp", second, "bWVzc2FnZQ=="),
		"SAML-33 SSO-50 of a login of another protocol":  response("acme", oidc, "bWVzc2FnZQ=="),
		"SAML-33 SSO-50 at another protocol's address":   answer("corp", crossed),
		"SAML-33 at the address that all may share":      response("", relayState(w), "bWVzc2FnZQ=="),
		"SAML-33 SSO-50 at another connection's address": response("corp2", relayState(w), "bWVzc2FnZQ=="),
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(w.Finish(t.Context(), a), failure.CallbackMismatch)
			if w.saml.calls()+w.oidc.calls() != 0 {
				t.Error("the answer was looked at")
			}
		})
	}
	t.Run("what lacks a message, or has an artifact, ends its attempt unread", func(t *testing.T) {
		w.refused(w.Finish(t.Context(), response("corp", good, "")), failure.CallbackMalformed)
		artifact := response("corp", relayState(w), "bWVzc2FnZQ==")
		artifact.Malformed = "SAMLart"
		w.refused(w.Finish(t.Context(), artifact), failure.CallbackMalformed)
		twice := response("corp", "", "bWVzc2FnZQ==")
		twice.Malformed = "RelayState"
		w.refused(w.Finish(t.Context(), twice), failure.CallbackMalformed)
		if w.saml.calls() != 0 {
			t.Error("the answer was looked at")
		}
	})
	t.Run("a shared consumer address serves the connection that publishes it", func(t *testing.T) {
		w.registry.change("corp", func(c *connection.Serving) { c.Config.Callback = connection.CallbackShared })
		w.assertion(w.Finish(t.Context(), response("", relayState(w), "bWVzc2FnZQ==")))
		if got := w.saml.last.RedirectURI; got != public+"/sso/saml/acs" {
			t.Error(got)
		}
		w.registry.change("corp", func(c *connection.Serving) { c.Config.Callback = connection.CallbackOwn })
		w.assertion(w.Finish(t.Context(), response("corp", relayState(w), "bWVzc2FnZQ==")))
		if got := w.saml.last.RedirectURI; got != public+"/sso/saml/acs/corp" {
			t.Error(got)
		}
	})
}

func relayState(w *world) string {
	_, handle := w.leave("corp")
	return handle
}

func TestResponsesAreTakenOnce(t *testing.T) {
	w := newWorld(t)
	b, handle := w.leave("corp")
	locations := w.posted(response("corp", handle, "bWVzc2FnZQ=="))
	t.Run("SAML-30 SSO-49 of 50 posts at once on two replicas one ends with an assertion", func(t *testing.T) {
		w.oneWon(t, locations, b, w.saml)
	})
	t.Run("SAML-29 an assertion that was used before, in another login: replay_refused beside the failure", func(t *testing.T) {
		_, handle := w.leave("corp")
		w.saml.verify = func(login.Answer, *login.Trace) (identity.Claims, error) {
			return identity.Claims{}, failure.New(failure.SAMLReplay)
		}
		reference := w.refused(w.Finish(t.Context(), response("corp", handle, "bWVzc2FnZQ==")), failure.SAMLReplay)
		if got := w.events("sso.replay_refused", reference); len(got) != 1 || got[0]["of"] != nil {
			t.Errorf("%v", got)
		}
		if got := w.events("sso.attempt_failed", reference); len(got) != 1 {
			t.Errorf("%v", got)
		}
	})
	t.Run("SAML-20 a weak algorithm has an event of its own", func(t *testing.T) {
		_, handle := w.leave("corp")
		w.saml.verify = func(login.Answer, *login.Trace) (identity.Claims, error) {
			return identity.Claims{}, failure.New(failure.SAMLWeakAlgorithm).With("algorithm", "rsa-sha1").With("key_bits", "1024")
		}
		reference := w.refused(w.Finish(t.Context(), response("corp", handle, "bWVzc2FnZQ==")), failure.SAMLWeakAlgorithm)
		got := w.events("sso.weak_algorithm_refused", reference)
		if len(got) != 1 || got[0]["connection"] != "corp" || got[0]["algorithm"] != "rsa-sha1" || got[0]["key_bits"] != "1024" {
			t.Errorf("%v", got)
		}
	})
}

// A provider that knows whose response is whose, as the reader does by InResponseTo.
func TestCrossedResponses(t *testing.T) {
	w := newWorld(t)
	w.saml.verify = func(a login.Answer, _ *login.Trace) (identity.Claims, error) {
		if a.Message.Reveal() != a.Material.RequestID {
			return identity.Claims{}, failure.New(failure.SAMLInResponseTo).With("present", "true")
		}
		return ada(), nil
	}
	var last string
	w.saml.send = func(r login.Request) (login.Destination, error) {
		last = r.Material.RequestID
		return login.Destination{URL: "https://idp.example/sso?state=" + r.State.Reveal()}, nil
	}
	begin := func() (handle, message string) { return relayState(w), last }
	finish := func(handle, message string) string {
		return w.Finish(t.Context(), response("corp", handle, message))
	}
	t.Run("SSO-50 SAML-31 SAML-33 RelayState and response of two flows, "+string(connection.SAML), func(t *testing.T) {
		a, ofA := begin()
		b, ofB := begin()
		w.refused(finish(a, ofB), failure.SAMLInResponseTo)
		w.refused(finish(b, ofA), failure.SAMLInResponseTo)
		w.assertion(finish(begin()))
	})
}

func TestSAMLFailuresLookAlike(t *testing.T) {
	t.Run("SAML-57 SSO-92 refusals of one public code differ by their reference alone", func(t *testing.T) {
		w := newWorld(t)
		seen := map[string][]string{}
		for _, code := range failure.Codes() {
			if !strings.HasPrefix(string(code), "saml_") || code == failure.SAMLUnsolicited {
				continue
			}
			_, handle := w.leave("corp")
			w.saml.verify = func(login.Answer, *login.Trace) (identity.Claims, error) {
				return identity.Claims{}, failure.New(code).Showing("one", string(code))
			}
			location := w.Finish(t.Context(), response("corp", handle, "bWVzc2FnZQ=="))
			reference := w.refused(location, code)
			page, err := w.Failure(t.Context(), reference)
			if err != nil {
				t.Fatal(err)
			}
			seen[string(page.Public)] = append(seen[string(page.Public)], strings.Replace(location, url.QueryEscape(reference), "", 1)+" "+page.At.String()+string(page.Intent))
		}
		if len(seen["sso_response_refused"]) < 20 {
			t.Errorf("%d codes", len(seen["sso_response_refused"]))
		}
		for public, all := range seen {
			for _, one := range all {
				if one != all[0] {
					t.Errorf("%s: %q and %q", public, one, all[0])
				}
			}
		}
	})
}

// staged notes which keys were tested.
type staged struct {
	told []string
	fail error
}

func (s *staged) MarkTested(_ context.Context, id string) error {
	s.told = append(s.told, id)
	return s.fail
}

func TestStagedKeys(t *testing.T) {
	for _, c := range []struct {
		name                 string
		next, refuse, broken bool
		told, marked         bool
	}{
		{name: "SSO-63 a test with the staged key that passes is noted", next: true, told: true, marked: true},
		{name: "SSO-63 a test that fails notes nothing", next: true, refuse: true},
		{name: "SSO-63 a test with the present key notes no other", marked: true},
		{name: "SSO-63 what could not be noted is said", next: true, broken: true, told: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, keys := newWorld(t), &staged{}
			if c.broken {
				keys.fail = errors.New("down")
			}
			w.deps.KeyMarker = keys
			w.Service = w.service(w.deps)
			if c.refuse {
				w.refuse = failure.New(failure.EmailMissing)
			}
			asked := false
			w.saml.send = func(r login.Request) (login.Destination, error) {
				asked = r.NextKey
				return login.Destination{URL: "https://idp.example/sso?state=" + r.State.Reveal()}, nil
			}
			b, err := w.BeginTest(t.Context(), login.TestOrder{Connection: "corp", Actor: "cli:ada", NextKey: c.next})
			if err != nil {
				t.Fatal(err)
			}
			d, err := w.Start(t.Context(), ticketOf(b), firefox)
			if err != nil || asked != c.next {
				t.Fatalf("next key %t, %v", asked, err)
			}
			location := w.Finish(t.Context(), response("corp", stateOf(t, d.URL), "bWVzc2FnZQ=="))
			opener, _ := strings.CutPrefix(location, public+"/sso/test/")
			r, err := w.TestResult(t.Context(), secret.New(opener), d.TestCookie)
			if err != nil || r.Marked != c.marked || (len(keys.told) == 1 && keys.told[0] == "corp") != c.told {
				t.Errorf("%+v, %v, told %v", r, err, keys.told)
			}
			if w.saml.last.NextKey != c.next {
				t.Error("the answer's request is another")
			}
		})
	}
	t.Run("a protocol without such keys has no test of them", func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.BeginTest(t.Context(), login.TestOrder{Connection: "acme", NextKey: true}); !errors.Is(err, connection.ErrIncomplete) {
			t.Error(err)
		}
	})
}

func TestARequestThatIsPosted(t *testing.T) {
	t.Run("SSO-96 a start gives the fields of the form", func(t *testing.T) {
		w := newWorld(t)
		w.saml.send = func(r login.Request) (login.Destination, error) {
			return login.Destination{URL: "https://idp.example/sso", Post: []login.Field{{Name: "SAMLRequest", Value: secret.New("PHg+")}, {Name: "RelayState", Value: r.State}}}, nil
		}
		d, err := w.Start(t.Context(), ticketOf(w.begin("corp")), firefox)
		if err != nil || d.URL != "https://idp.example/sso" || len(d.Post) != 2 || len(d.Post[1].Value.Reveal()) != 43 {
			t.Fatalf("%+v, %v", d, err)
		}
		w.assertion(w.Finish(t.Context(), response("corp", d.Post[1].Value.Reveal(), "bWVzc2FnZQ==")))
	})
}
