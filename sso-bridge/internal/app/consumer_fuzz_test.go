// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"encoding/base64"
	"flag"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/attacktest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

const (
	// handleMark stands in a form for the handle, which is another in every process.
	handleMark = "HANDLE"
	// largestForm is what the consumer service reads, in bytes.
	largestForm = 384 << 10
)

// What may come of a form. Whatever else it is, it is our fault.
var (
	answers = []int{http.StatusSeeOther, http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}
	faults  = []failure.Code{failure.Internal, failure.StoreUnavailable, failure.AuditUnavailable, failure.AttemptEnvelope}
)

// person is what core is told of somebody, without what is drawn anew for each login.
type person struct {
	issuer, subject, email, name, acr, amr string
	verified                               bool
	authTime                               int64
}

func personOf(c envelope.ExternalSubjectClaims) person {
	return person{c.Issuer, c.Subject, c.Email, c.Name, c.ACR, strings.Join(c.AMR, " "), c.EmailVerified, c.AuthTime}
}

// FuzzConsumerService posts forms to the whole consumer service, each to an attempt that
// waits for its answer: no panic, no failure of ours, and nobody is vouched for but the
// people of the messages that the provider has signed, to the last claim.
//
// how chooses the address, and whether what is given is a message or a whole form.
func FuzzConsumerService(f *testing.F) {
	attempts := &oneAttempt{}
	c := newConsumer(f, slog.New(slog.DiscardHandler), func(s *app.Stores) { s.Attempts = attempts })
	// What was declared stays as it is from here on.
	cached := &asked{Store: c.Connections.Store}
	c.Connections.Store = cached
	paths := []string{"/sso/saml/acs/corp", "/sso/saml/acs", "/sso/saml/acs/other"}
	form := func(message []byte, rest string, how uint8) (path, body string) {
		path = paths[min(int(how>>1), len(paths)-1)]
		if body = string(message); how&1 == 0 {
			body = "SAMLResponse=" + url.QueryEscape(base64.StdEncoding.EncodeToString(message))
		}
		return path, strings.ReplaceAll(body+rest, handleMark, c.handle)
	}
	// vouched posts to the attempt as it was at its start, and says who signed in.
	vouched := func(t testing.TB, path, body string) (status int, who person, in bool) {
		c.again(t)
		status, location := c.post(path, body)
		_, assertion, in := strings.Cut(location, "sso_assertion=")
		if !in {
			return status, who, false
		}
		claims, _, err := c.codec.Verify(assertion)
		if err != nil || claims.Attempt != c.started.Reference || claims.Connection != "corp" || claims.Nonce != strings.Repeat("n", 22) || claims.Binding != strings.Repeat("b", 43) {
			t.Fatalf("%+v, %v", claims, err)
		}
		return status, personOf(claims), true
	}
	const relay = "&RelayState=" + handleMark
	fuzzing := flag.Lookup("test.fuzz").Value.String() != ""
	var people []person
	genuine := attacktest.One()
	for i, a := range attacktest.Corpus("http://127.0.0.1:9") {
		if strings.Contains(a.Name, " at ") && i%5 != 0 {
			continue // one offset stands for its neighbours
		}
		// The reader's own tests read all of them; without a fuzzer some are enough here.
		if !fuzzing && a.Want != "" && i%4 != 0 {
			continue
		}
		text, err := base64.StdEncoding.DecodeString(a.Form)
		if len(a.Form) > 64<<10 {
			continue
		}
		if err != nil { // a form that is wrong in its base64
			f.Add([]byte("SAMLResponse="+url.QueryEscape(a.Form)), relay, uint8(1))
			continue
		}
		f.Add(text, relay, uint8(0))
		// Some are refused by what another connection asks for alone, and are good here.
		if a.Want != "" && reflect.DeepEqual(a.Terms, genuine.Terms) {
			continue
		}
		path, body := form(text, relay, 0)
		if _, who, in := vouched(f, path, body); in && (a.Want == "" || who.subject == genuine.NameID) {
			people = append(people, who)
		}
	}
	text, err := base64.StdEncoding.DecodeString(genuine.Form)
	if err != nil || len(people) < 10 || !slices.ContainsFunc(people, func(p person) bool { return p.subject == genuine.NameID }) {
		f.Fatalf("%d people, %v", len(people), err)
	}
	escaped := url.QueryEscape(genuine.Form)
	for how := range uint8(6) {
		f.Add(text, relay, how)
	}
	for _, rest := range []string{
		"", "&RelayState=", relay + relay, "&RelayState=x", "&RelayState=https%3A%2F%2Fevil.example%2F", "&RelayState=HANDLE%00", "&SAMLart=AAQ" + relay, relay + "&SAMLResponse=PHg%2B",
		relay + "&RelayState[]=x", ";RelayState=HANDLE", "&relaystate=HANDLE", relay + "&SAMLEncoding=x", relay + strings.Repeat("&a=b", 40), relay + "&%zz", relay + "&a=%ff", "%0a" + relay, "%20" + relay, "=" + relay,
	} {
		f.Add(text, rest, uint8(0))
	}
	for _, whole := range []string{
		"", "&", "=", "SAMLResponse", "RelayState=HANDLE", "RelayState=HANDLE&SAMLResponse=" + escaped, "SAMLResponse=" + escaped + "&SAMLResponse=" + escaped + relay, "%53AMLResponse=" + escaped + relay,
		"SAMLResponse=" + genuine.Form + relay, "SAMLResponse=" + escaped + "&RelayState=%48ANDLE", "SAMLResponse=PHg%2B" + relay, "SAMLart=AAQ" + relay, `{"SAMLResponse":"x"}`, "samlresponse=" + escaped + relay,
	} {
		f.Add([]byte(whole), "", uint8(1))
	}
	f.Fuzz(func(t *testing.T, message []byte, rest string, how uint8) {
		path, body := form(message, rest, how)
		if len(body) > largestForm+1024 {
			return // what is longer is refused by its length alone
		}
		attempts.taken()
		status, who, in := vouched(t, path, body)
		if !slices.Contains(answers, status) || (len(body) > largestForm) != (status == http.StatusRequestEntityTooLarge) {
			t.Fatalf("%d for %d bytes", status, len(body))
		}
		for _, code := range attempts.taken() {
			if slices.Contains(faults, failure.Code(code)) {
				t.Fatalf("%s", code)
			}
		}
		if !in {
			return
		}
		if path != paths[0] || status != http.StatusSeeOther {
			t.Fatalf("somebody signed in by %d at %s", status, path)
		}
		if !slices.Contains(people, who) {
			t.Fatalf("%+v was vouched for", who)
		}
	})
}
