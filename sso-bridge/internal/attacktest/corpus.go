// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// Terms are what a message is held against: the fields of samlsp.Expected, and the time.
type Terms struct {
	Issuer, Audience, Consumer, RequestID string
	Certificates                          []*x509.Certificate
	RequestedAt, Now                      time.Time
	ForceAuthn, RefuseExpired             bool
	Signed                                string
	Skew                                  time.Duration
	Contexts                              []string
}

// Library is what crewjam/saml does with a message when nobody stands before it.
type Library string

// Of an attack the first two say that our reader alone holds it; of a genuine message the
// third says that the library fails people who did nothing wrong.
const (
	Accepts Library = "accepts"
	Panics  Library = "panics"
	Refuses Library = "refuses"
)

// Attack is one message and what has to become of it.
type Attack struct {
	// Name begins with the ids of docs/specs/v1.0/server/security.md that it belongs to.
	Name string
	// Form is the field SAMLResponse.
	Form  string
	Terms Terms
	// Want is the cause of the refusal. None means that the message has to be accepted,
	// and NameID is then who signs in.
	Want   failure.Code
	NameID string
	// Library is what the library does alone where that is worth to be known, and is empty
	// elsewhere.
	Library Library
}

// row is one line of the tables: what is changed of the genuine login, and the outcome.
type row struct {
	name    string
	change  func(*attempt)
	want    failure.Code
	library Library
}

// attempt is a login on its way to an attack.
type attempt struct {
	Login
	Terms Terms
	// text is the message when no login makes it, form when no base64 of a text does.
	text, form string
}

const accepted failure.Code = ""

// One is the genuine login as an entry of the corpus, which has to be accepted.
func One() Attack { return row{name: "genuine"}.attack() }

func (r row) attack() Attack {
	defer func() {
		if e := recover(); e != nil {
			panic(fmt.Sprintf("%s: %v", r.name, e))
		}
	}()
	a := attempt{Login: Genuine(), Terms: Terms{
		Issuer: Issuer, Audience: Audience, Consumer: Consumer, RequestID: RequestID, Certificates: certificates(Provider()),
		RequestedAt: Now.Add(-time.Minute), Now: Now, Signed: "either", Skew: time.Minute,
	}}
	if r.change != nil {
		r.change(&a)
	}
	if a.text == "" && a.form == "" {
		a.text = a.Text()
	}
	if a.form == "" {
		a.form = Encode(a.text)
	}
	out := Attack{Name: r.name, Form: a.form, Terms: a.Terms, Want: r.want, Library: r.library}
	if r.want == accepted {
		out.NameID = a.NameID
	}
	return out
}

func certificates(keys ...Key) (all []*x509.Certificate) {
	for _, k := range keys {
		all = append(all, k.Certificate)
	}
	return all
}

// Corpus gives every message of the tables. Some of them name canary, an address that
// nobody may call.
func Corpus(canary string) []Attack {
	var all []Attack
	for _, table := range [][]row{
		genuine(), wrapping(), foreign(), texts(), canonicalizations(), signatures(), policies(), algorithms(), references(),
		outside(canary), names(), encodings(), answers(), addresses(), conditions(), times(), statements(), encrypted(canary), bombs(), roots(), identities(),
	} {
		for _, r := range table {
			all = append(all, r.attack())
		}
	}
	return all
}

// nobody is an address that answers nobody, for seeds.
const nobody = "http://127.0.0.1:9"

// Seeds are the fields SAMLResponse of the corpus, for fuzz targets.
func Seeds() (all [][]byte) {
	for _, a := range Corpus(nobody) {
		all = append(all, []byte(a.Form))
	}
	return all
}

// Changes of an attempt. edited is what the provider signs, altered what somebody does to
// the message on its way.

func edited(e ...edit) func(*attempt)  { return func(a *attempt) { a.Edit = all(e...) } }
func altered(e ...edit) func(*attempt) { return func(a *attempt) { a.After = all(e...) } }
func shaped(e ...edit) func(*attempt)  { return func(a *attempt) { a.Shape = all(e...) } }

func signing(s Signed) func(*attempt)        { return func(a *attempt) { a.Signed = s } }
func by(k Key) func(*attempt)                { return func(a *attempt) { a.Key = k } }
func terms(f func(*Terms)) func(*attempt)    { return func(a *attempt) { f(&a.Terms) } }
func text(s string) func(*attempt)           { return func(a *attempt) { a.text = s } }
func form(s string) func(*attempt)           { return func(a *attempt) { a.form = s } }
func named(n Names) func(*attempt)           { return func(a *attempt) { a.Names = n } }
func called(nameID string) func(*attempt)    { return func(a *attempt) { a.NameID = nameID } }
func listing(prefixes string) func(*attempt) { return func(a *attempt) { a.PrefixList = &prefixes } }
func algorithm(method, hash string) func(*attempt) {
	return func(a *attempt) { a.Method, a.Digest = method, hash }
}

func also(changes ...func(*attempt)) func(*attempt) {
	return func(a *attempt) {
		for _, c := range changes {
			c(a)
		}
	}
}

// shapes makes each row of a table with the assertion, the response and both signed.
func shapes(table []row) (all []row) {
	for _, s := range []Signed{Assertion, Response, Both} {
		for _, r := range table {
			library := r.library
			if s != Assertion { // the library is asked about the first
				library = ""
			}
			all = append(all, row{r.name + ", " + s.String(), also(signing(s), r.change), r.want, library})
		}
	}
	return all
}
