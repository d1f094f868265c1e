// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// confirmationMethod is that of the web browser SSO profile (SAML profiles, section 3.3).
const confirmationMethod = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

// subjectParts are the children of a Subject; that there is one NameID is for S14.
var subjectParts = []part{{assertionSpace, "NameID", true}, {assertionSpace, "SubjectConfirmation", true}}

// confirmed finds a bearer confirmation that is complete (S11) and gives its end; of
// several the latest, for until then somebody would take it. What every one of them must
// say without exception is which request it answers (S10).
func (r *reader) confirmed(v verified, at times) (time.Time, error) {
	subject, ok := v.only(assertionSpace, "Subject")
	if !ok {
		return time.Time{}, unconfirmed("subject")
	}
	var until time.Time
	var first error
	for _, c := range subject.children(assertionSpace, "SubjectConfirmation") {
		if c.value("Method") != confirmationMethod {
			continue
		}
		end, err := r.confirmation(c, at)
		if coded(err, failure.SAMLInResponseTo) {
			return time.Time{}, err
		}
		if err != nil && first == nil {
			first = err
		}
		if err == nil && end.After(until) {
			until = end
		}
	}
	switch {
	case !until.IsZero():
		return until, nil
	case first != nil:
		return time.Time{}, first
	}
	return time.Time{}, unconfirmed("bearer")
}

// confirmation judges one bearer confirmation (SAML profiles, section 4.1.4.2).
func (r *reader) confirmation(c verified, at times) (time.Time, error) {
	data, ok := c.only(assertionSpace, "SubjectConfirmationData")
	if !ok {
		return time.Time{}, unconfirmed("data")
	}
	var answered value
	answered.text, answered.there = data.attribute("InResponseTo")
	if err := r.answers(answered); err != nil {
		return time.Time{}, err
	}
	if c.holds(part{assertionSpace, "SubjectConfirmationData", false}) != "" || data.holds() != "" {
		return time.Time{}, unconfirmed("children")
	}
	if got := data.value("Recipient"); got != r.e.Consumer {
		return time.Time{}, failure.New(failure.SAMLRecipient).Showing(r.e.Consumer, got)
	}
	if _, there := data.attribute("NotBefore"); there {
		return time.Time{}, unconfirmed("not_before")
	}
	raw, there := data.attribute("NotOnOrAfter")
	if !there {
		return time.Time{}, unconfirmed("not_on_or_after")
	}
	const condition = "confirmation_not_on_or_after"
	end, ok := parseTime(raw)
	if !ok {
		return time.Time{}, at.unreadable(condition)
	}
	if at.past(end) {
		return time.Time{}, at.off(condition, end)
	}
	return end, at.life(condition, end)
}

func unconfirmed(rule string) error {
	return failure.New(failure.SAMLConfirmation).With("rule", rule)
}

// conditionParts are the conditions that are understood. OneTimeUse is met by the replay
// marks, which every assertion leaves (S16). ProxyRestriction is not among them: what core
// is told of a person rests on the assertion.
var conditionParts = []part{{assertionSpace, "AudienceRestriction", true}, {assertionSpace, "OneTimeUse", false}}

// conditions judges the Conditions and the times of the assertion (S12).
func (r *reader) conditions(v verified, at times) error {
	c, ok := v.only(assertionSpace, "Conditions")
	if !ok {
		return unconditional("missing")
	}
	if rule := c.holds(conditionParts...); rule != "" {
		return unconditional(rule)
	}
	restrictions := c.children(assertionSpace, "AudienceRestriction")
	if len(restrictions) == 0 {
		return unconditional("audience_restriction")
	}
	for _, a := range restrictions {
		if err := r.audience(a); err != nil {
			return err
		}
	}
	if err := window(c, at); err != nil {
		return err
	}
	return at.age()
}

// audience judges one restriction: any of its audiences is enough, and every restriction
// must hold (SAML core, section 2.5.1.4).
func (r *reader) audience(restriction verified) error {
	if rule := restriction.holds(part{assertionSpace, "Audience", true}); rule != "" {
		return unconditional(rule)
	}
	var got []string
	for _, a := range restriction.children(assertionSpace, "Audience") {
		s, ok := a.text()
		if !ok {
			return unconditional("audience")
		}
		got = append(got, s)
	}
	if !slices.Contains(got, r.e.Audience) {
		return failure.New(failure.SAMLAudience).Showing(r.e.Audience, strings.Join(got, ", "))
	}
	return nil
}

// window judges the beginning and the end of the conditions, where they are given.
func window(c verified, at times) error {
	var begins, ends time.Time
	if raw, there := c.attribute("NotBefore"); there {
		t, ok := parseTime(raw)
		if !ok {
			return at.unreadable("not_before")
		}
		if at.future(t) {
			return at.off("not_before", t)
		}
		begins = t
	}
	if raw, there := c.attribute("NotOnOrAfter"); there {
		t, ok := parseTime(raw)
		if !ok {
			return at.unreadable("not_on_or_after")
		}
		if at.past(t) {
			return at.off("not_on_or_after", t)
		}
		ends = t
	}
	if ends.IsZero() {
		return nil
	}
	if !begins.Before(ends) { // also of one that has no beginning: its zero is long before
		return unconditional("window")
	}
	return at.life("not_on_or_after", ends)
}

func unconditional(rule string) error {
	return failure.New(failure.SAMLConditions).With("rule", rule)
}
