// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"crypto/x509"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// Expected is what a response is held against. All of it comes from configuration and
// from the attempt, nothing from the message.
type Expected struct {
	// Issuer is the provider's entity id, Certificates those that it signs with.
	Issuer       string
	Certificates []*x509.Certificate
	// Audience is our entity id, Consumer the address of our consumer service.
	Audience string
	Consumer string
	// RequestID is the ID of the request that is answered, RequestedAt when it was made.
	RequestID   string
	RequestedAt time.Time
	ForceAuthn  bool
	// Signed is one of connection.SignedEither and its kin.
	Signed string
	Skew   time.Duration
	// Contexts are the authentication context classes of which one must be named; nil for
	// no demand.
	Contexts []string
	// RefuseExpired refuses a signature of a certificate that is over.
	RefuseExpired bool
}

// Assertion is what the verified bytes of a response say of a person.
type Assertion struct {
	ID     string
	Issuer string
	NameID NameID
	// Attributes stand in the order of the message; one Name may come again.
	Attributes   []Attribute
	AuthnInstant time.Time
	Context      string // AuthnContextClassRef, may be empty
	// Until is the end of the bearer confirmation, from which on nobody takes it.
	Until time.Time
}

// NameID is the subject's name, as it came.
type NameID struct{ Value, Format, NameQualifier, SPNameQualifier string }

// Attribute is one Attribute element. The values are its texts; FriendlyName is for
// nobody's decision.
type Attribute struct {
	Name   string
	Values []string
	// Nested: a value is an element and no text, such as the NameID that Shibboleth puts
	// into eduPersonTargetedID. Values has none of those.
	Nested bool
}

// Read judges one SAMLResponse, base64 as it stood in the form, by the rules S1 to S15,
// and gives what its verified bytes say. Every error is a *failure.Error; a panic of a
// library is one as well. What a trace may know is noted in t, of a refused message too.
func Read(response string, e Expected, now time.Time, t *login.Trace) (a Assertion, err error) {
	defer func() {
		if v := recover(); v != nil {
			// The value may hold something of the message; its type and the stack do not.
			a, err = Assertion{}, failure.New(failure.Internal).Because(fmt.Errorf("samlsp: a panic of type %T\n%s", v, debug.Stack()))
		}
	}()
	if e.Issuer == "" || e.Audience == "" || e.Consumer == "" || e.RequestID == "" {
		// An empty expectation would be met by an empty attribute.
		return Assertion{}, failure.New(failure.Internal).Because(errors.New("samlsp: something that is expected is empty"))
	}
	r := reader{e: e, now: now, trace: t}
	return r.read(response)
}

// reader is one reading. Each method is a rule or part of one and gives the first failure.
type reader struct {
	e     Expected
	now   time.Time
	trace *login.Trace
}

// read goes through the rules in their order.
func (r *reader) read(response string) (Assertion, error) {
	root, err := r.message(response) // S1, S2
	if err != nil {
		return Assertion{}, err
	}
	seen, err := r.structure(root) // S3
	if err != nil {
		return Assertion{}, err
	}
	signatures, err := r.signatures(seen) // S4
	if err != nil {
		return Assertion{}, err
	}
	m, err := r.verify(seen, signatures) // S5, S6
	if err != nil {
		return Assertion{}, err
	}
	if err := r.outside(m); err != nil { // S7 to S10
		return Assertion{}, err
	}
	return r.inside(m.assertion) // S11 to S15
}

// inside reads the assertion, whose issuer is the right one.
func (r *reader) inside(v verified) (Assertion, error) {
	a := Assertion{ID: v.value("ID"), Issuer: r.e.Issuer}
	issued, err := r.issued(v)
	if err != nil {
		return Assertion{}, err
	}
	if a.Until, err = r.confirmed(v, issued); err != nil { // S11
		return Assertion{}, err
	}
	if err := r.conditions(v, issued); err != nil { // S12
		return Assertion{}, err
	}
	if a.AuthnInstant, a.Context, err = r.authenticated(v); err != nil { // S13
		return Assertion{}, err
	}
	if a.NameID, err = r.nameID(v); err != nil { // S14
		return Assertion{}, err
	}
	if a.Attributes, err = attributes(v); err != nil { // S15
		return Assertion{}, err
	}
	return a, nil
}
