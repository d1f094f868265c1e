// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Two replicas of each service on Postgres and Redis, and SimpleSAMLphp.
func TestSAMLFleet(t *testing.T) {
	t.Parallel()
	in := newInstall(t, plan{fleet: true, replicas: 2})
	php := newSimpleSAMLphp(t)
	var all []string
	for _, id := range []string{"plain", "rolled", "further", "checked", "meanwhile"} {
		php.serves(in, id, nil)
		all = append(all, samlConnection(id, php.metadata(id), nil))
	}
	in.configure(all...)

	t.Run("SSO-54 begun on the first replicas, continued on the second", func(t *testing.T) {
		defer in.pin(0, 0)
		in.pin(1, 1)
		w, b := in.client("travels"), newBrowser(t)
		answer := w.typed(b, "x@plain.test").signIn("alice")
		in.pin(2, 2)
		answer.submit("/sso/saml/acs/").must(http.StatusOK, "Alice Liddell").submit("approve-external").must(http.StatusOK, "Device connected")
		w.external()
	})
	t.Run("SSO-49 SAML-29 SAML-30 fifty posts of one answer, on both bridges, one before and one after a restart: one success", func(t *testing.T) {
		w, b := in.client("fifty"), newBrowser(t)
		answer := w.typed(b, "x@plain.test").signIn("alice")
		_, _, fields := answer.form("/sso/saml/acs/")
		// A busy bridge says so before it spends anything, and the form is posted again.
		post := func() string {
			for {
				p := newBrowser(t).hop(answer, http.MethodPost, in.consumer("plain"), fields)
				if p.status != http.StatusServiceUnavailable || p.header.Get("Retry-After") == "" {
					return p.header.Get("Location")
				}
			}
		}
		answers := at50(post)
		won := with(answers, "sso_assertion=")
		if len(won) != 1 {
			t.Fatalf("%d assertions of one answer: %v", len(won), answers)
		}
		in.restart()
		answers = append(answers, post(), post())
		if again := with(answers, "sso_assertion="); len(again) != 1 {
			t.Errorf("%d assertions after a restart", len(again))
		}
		for _, a := range answers {
			if !strings.Contains(a, "sso_assertion=") && !strings.Contains(a, "/sso/error/") && !strings.Contains(a, "sso_already_used") {
				t.Errorf("a loser was sent to %s", a)
			}
		}
		b.travel(nil, http.MethodGet, won[0], nil, 20).must(http.StatusOK, "Alice Liddell")
	})
	t.Run("SAML-29 the assertion of one login in another one's answer, on the other bridge", func(t *testing.T) {
		defer in.pin(0, 0)
		in.pin(0, 1)
		first, b := in.client("first"), newBrowser(t)
		answer := first.typed(b, "x@plain.test").signIn("alice")
		_, _, fields := answer.form("/sso/saml/acs/")
		answer.submit("/sso/saml/acs/").must(http.StatusOK, "Alice Liddell")
		second, c := in.client("second"), newBrowser(t)
		_, _, mixed := second.typed(c, "x@plain.test").signIn("alice").form("/sso/saml/acs/")
		mixed.Set("SAMLResponse", fields.Get("SAMLResponse"))
		in.pin(0, 2)
		in.explained(c.travel(answer, http.MethodPost, in.consumer("plain"), mixed, 20).must(http.StatusOK, notAcceptable), "saml_in_response_to")
		second.pending()
	})
	t.Run("SSO-48 no store and no log holds an answer, its assertion or its RelayState", func(t *testing.T) {
		w, b := in.client("dumped"), newBrowser(t)
		answer := w.typed(b, "x@plain.test").signIn("alice")
		dumps := in.dump()
		_, _, fields := answer.form("/sso/saml/acs/")
		answer.submit("/sso/saml/acs/").must(http.StatusOK, "Alice Liddell").submit("approve-external")
		message, err := base64.StdEncoding.DecodeString(fields.Get("SAMLResponse"))
		if err != nil {
			t.Fatal(err)
		}
		signature := between(string(message), "<ds:SignatureValue>", "</")
		known := secrets{"SAMLResponse": fields.Get("SAMLResponse"), "message": string(message), "signature": signature, "RelayState": fields.Get("RelayState")}
		for what, value := range known {
			if len(value) < 40 {
				t.Fatalf("no %s came up", what)
			}
		}
		for where, text := range map[string]string{"stores": dumps + in.dump(), "logs": in.logs()} {
			for _, found := range known.in(text) {
				t.Errorf("the %s hold: %s", where, found)
			}
			if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, "<saml") {
				t.Errorf("the %s hold a key in clear or a message", where)
			}
		}
	})
	t.Run("SSO-50 SAML-31 RelayState and answer of two logins, in both browsers, both ways", func(t *testing.T) { crossedSAML(t, in) })
	t.Run("SSO-61 the provider signs with a key that is new: its metadata is read again, once", func(t *testing.T) { rolled(t, in, php) })
	t.Run("SSO-51 SSO-61 the provider's metadata changes in mid-login: what serves when the answer comes judges it", func(t *testing.T) { changedMeanwhile(t, in, php) })
	t.Run("SSO-63 SAML-58 our key is staged, promoted and retired while the provider checks requests", func(t *testing.T) { staged(t, in, php) })
}

// between gives what stands between two texts.
func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}

// crossedSAML gives two people each other's answers, with the one's RelayState or the
// other's.
func crossedSAML(t *testing.T, in *install) {
	for _, how := range []string{"SAMLResponse", "RelayState"} {
		for _, whose := range []int{0, 1} {
			people := []string{"alice", "bob"}
			browsers, clients := []*browser{newBrowser(t), newBrowser(t)}, []*waiting{in.client("one"), in.client("other")}
			var answers []*page
			var fields []url.Values
			for i, w := range clients {
				p := w.typed(browsers[i], "x@plain.test").signIn(people[i])
				_, _, values := p.form("/sso/saml/acs/")
				answers, fields = append(answers, p), append(fields, values)
			}
			mixed := url.Values{}
			maps.Copy(mixed, fields[whose])
			mixed.Set(how, fields[1-whose].Get(how))
			p := browsers[whose].travel(answers[whose], http.MethodPost, in.consumer("plain"), mixed, 20)
			if !strings.Contains(p.body, notAcceptable) && !strings.Contains(p.body, "begun in another browser") {
				t.Errorf("%s of the other: %s\n%s", how, p.url.Redacted(), p.body)
			}
			in.explained(p, "saml_in_response_to")
			// The whole answer of the other login signs nobody in here.
			if how == "SAMLResponse" {
				browsers[whose].travel(answers[whose], http.MethodPost, in.consumer("plain"), fields[1-whose], 20)
			}
			for i, w := range clients {
				w.pending()
				for _, name := range []string{"Alice Liddell", "Bob"} {
					if p := browsers[i].open(in.core.url + approvalPage); strings.Contains(p.body, name) {
						t.Errorf("%s: browser %d may approve as %s", how, i, name)
					}
				}
			}
		}
	}
}

// rolled changes the provider's key behind our back. One in place of the pinned one waits
// for an administrator; a further one is taken by itself.
func rolled(t *testing.T, in *install, php *simplesamlphp) {
	signIn := func(label, id string) (*waiting, *page) {
		w := in.client(label)
		return w, w.typed(newBrowser(t), "x@"+id+".test").signIn("alice").submit("/sso/saml/acs/")
	}
	// Each bridge counts for itself.
	in.pin(0, 1)
	defer in.pin(0, 0)
	signIn("before", "rolled")
	asked := php.asked("rolled")
	fresh := php.key("fresh")
	php.providers["rolled"] = settings{"privatekey": fresh + ".key", "certificate": fresh + ".crt"}
	php.write()
	w, p := signIn("another key", "rolled")
	in.explained(p.must(http.StatusOK, notAcceptable), "saml_signature_invalid")
	w.pending()
	if told := in.operate("connection", "metadata", "rolled"); !strings.Contains(told, "Waits for your decision") {
		t.Errorf("a key in place of the pinned one does not wait: %s", told)
	}
	signIn("again", "rolled")
	if now := php.asked("rolled"); now != asked+1 {
		t.Errorf("two answers of an unknown key had the metadata read %d times", now-asked)
	}
	in.operate("connection", "metadata", "accept", "rolled")
	_, p = signIn("accepted", "rolled")
	p.must(http.StatusOK, "Alice Liddell")

	signIn("before", "further")
	php.providers["further"] = settings{"privatekey": fresh + ".key", "certificate": fresh + ".crt", "new_privatekey": "idp.key", "new_certificate": "idp.crt"}
	php.write()
	_, p = signIn("a further key", "further")
	p.must(http.StatusOK, "Alice Liddell")
}

// changedMeanwhile changes the provider's metadata between the request and the answer. It
// is no part of the revision, so it ends no login by itself.
func changedMeanwhile(t *testing.T, in *install, php *simplesamlphp) {
	const id = "meanwhile"
	in.pin(0, 1)
	defer in.pin(0, 0)
	leave := func(label string) *page { return in.client(label).typed(newBrowser(t), "x@"+id+".test") }
	answered := leave("before").signIn("alice")
	answered.submit("/sso/saml/acs/").must(http.StatusOK, "Alice Liddell")

	second, third := php.key("second"), php.key("third")
	away := leave("a key is added")
	php.providers[id] = settings{"privatekey": second + ".key", "certificate": second + ".crt", "new_privatekey": "idp.key", "new_certificate": "idp.crt"}
	php.write()
	away.signIn("alice").submit("/sso/saml/acs/").must(http.StatusOK, "Alice Liddell")

	held, over := leave("a key is taken away").signIn("alice"), leave("and that is accepted").signIn("alice")
	php.providers[id] = settings{"privatekey": third + ".key", "certificate": third + ".crt"}
	php.write()
	if told := in.operate("connection", "metadata", "refresh", id); !strings.Contains(told, "Waits for your decision") {
		t.Fatalf("it does not wait: %s", told)
	}
	held.submit("/sso/saml/acs/").must(http.StatusOK, "Alice Liddell")
	in.operate("connection", "metadata", "accept", id)
	in.explained(over.submit("/sso/saml/acs/").must(http.StatusOK, notAcceptable), "saml_signature_invalid")
	leave("afterwards").signIn("alice").submit("/sso/saml/acs/").must(http.StatusOK, "Alice Liddell")
}

// staged goes through the life of our signing key at a provider that checks requests.
func staged(t *testing.T, in *install, php *simplesamlphp) {
	const id = "checked"
	check := func(certificates ...string) {
		php.serves(in, id, settings{"validate.authnrequest": true, "keys": trust(certificates...)})
	}
	signIn := func(label string) {
		t.Helper()
		w := in.client(label)
		w.typed(newBrowser(t), "x@"+id+".test").signIn("alice").submit("/sso/saml/acs/").must(http.StatusOK, "Alice Liddell")
	}
	first := in.published(id)
	check(first...)
	signIn("the first key")
	in.operate("connection", "keys", "stage", id)
	check(first...) // the staged key signs nothing
	signIn("the next key is staged")
	promote := func() (string, error) {
		return try(t, in.bridgeEnviron, "", program(t, "sso-bridge"), "connection", "keys", "promote", id)
	}
	// Nobody has read our metadata since; whoever is given the certificate by hand shows by
	// a test that the key is known there.
	if out, err := promote(); err == nil || !strings.Contains(out, "--next-key") {
		t.Errorf("a key is promoted that nobody was seen to have: %s", out)
	}
	var keys struct {
		Data []struct{ State, Certificate string }
	}
	if out := in.operate("connection", "keys", id, "-o", "json"); json.Unmarshal([]byte(out), &keys) != nil || len(keys.Data) != 2 {
		t.Fatal(out)
	}
	added := keys.Data[slices.IndexFunc(keys.Data, func(k struct{ State, Certificate string }) bool { return k.State == "next" })].Certificate
	check(added)
	var test struct {
		URL string `json:"test_url"`
	}
	if out := in.operate("connection", "test", id, "--next-key", "-o", "json"); json.Unmarshal([]byte(out), &test) != nil {
		t.Fatal(out)
	}
	newBrowser(t).open(test.URL).signIn("alice").submit("/sso/saml/acs/").must(http.StatusOK, "Alice Liddell")
	if out, err := promote(); err != nil {
		t.Fatalf("a key that a test has proven is not promoted: %s", out)
	}
	signIn("the next key is promoted") // and signs
	if both := in.published(id); len(first) != 1 || len(both) != 2 {
		t.Errorf("published %d, then %d", len(first), len(both))
	}
	check(first...)
	if p := in.client("the former key").typed(newBrowser(t), "x@"+id+".test"); strings.Contains(p.body, "AuthState") {
		t.Error("the provider takes a request of the key that was succeeded, or checks none")
	}
	if now := in.published(id); len(now) != 2 {
		t.Errorf("%d keys are published after the promotion: the former one stays 30 days", len(now))
	}
	der, err := base64.StdEncoding.DecodeString(first[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	in.operate("connection", "keys", "retire", id, hex.EncodeToString(sum[:4]))
	if now := in.published(id); len(now) != 1 || now[0] != added {
		t.Errorf("%d keys are published after the former one was retired", len(now))
	}
	check(added)
	signIn("the former key is retired")
	in.operate("connection", "keys", "stage", id)
	if now := in.published(id); len(now) != 2 {
		t.Errorf("%d keys are published while one is staged", len(now))
	}
}
