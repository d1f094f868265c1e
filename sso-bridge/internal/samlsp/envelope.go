// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"github.com/beevik/etree"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// outer is what of a Response can refuse it. It says nothing of a person, so it may come of
// an unverified one.
type outer struct {
	signed                    bool
	issuer                    value
	destination, inResponseTo value
	status                    status
}

// value is a text that may be absent, or in a form that nobody reads.
type value struct {
	text  string
	there bool
}

// outerOf reads a Response, which has each of its children once.
func outerOf(el *etree.Element) outer {
	o := outer{status: statusOf(el)}
	o.destination.text, o.destination.there = attribute(el, "Destination")
	o.inResponseTo.text, o.inResponseTo.there = attribute(el, "InResponseTo")
	for _, c := range el.ChildElements() {
		if is(c, assertionSpace, "Issuer") {
			o.issuer.text, _ = text(c)
			o.issuer.there = true
		}
	}
	return o
}

// outside holds the response and the assertion's issuer against the attempt (S7 to S10).
func (r *reader) outside(m message) error {
	if err := r.issuer(m); err != nil {
		return err
	}
	if d := m.outer.destination; (d.there || m.outer.signed) && d.text != r.e.Consumer {
		return failure.New(failure.SAMLDestination).Showing(r.e.Consumer, d.text)
	}
	if !m.outer.status.success() {
		return m.outer.status.failure()
	}
	return r.answers(m.outer.inResponseTo)
}

// issuer is S7: byte for byte, for an entity id is a name.
func (r *reader) issuer(m message) error {
	var got string
	if el, ok := m.assertion.only(assertionSpace, "Issuer"); ok {
		got, _ = el.text()
	}
	r.trace.Issuer = shown(got)
	if got != r.e.Issuer {
		return failure.New(failure.SAMLIssuer).Showing(r.e.Issuer, got)
	}
	if o := m.outer.issuer; o.there && o.text != r.e.Issuer {
		return failure.New(failure.SAMLIssuer).Showing(r.e.Issuer, o.text)
	}
	return nil
}

// answers is S10, of the Response and of the data of a confirmation.
func (r *reader) answers(v value) error {
	if v.there && v.text == r.e.RequestID {
		return nil
	}
	present := "false"
	if v.there {
		present = "true"
	}
	return failure.New(failure.SAMLInResponseTo).With("present", present)
}
