// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// authenticated finds the sign-in that an assertion tells of (S13): when it was and of
// which class. Of several statements the first that meets the demands is taken; a session
// that is over spoils all.
func (r *reader) authenticated(v verified) (time.Time, string, error) {
	var when time.Time
	var class string
	var first error
	found := false
	for _, s := range v.children(assertionSpace, "AuthnStatement") {
		t, c, err := r.statement(s)
		if coded(err, failure.SAMLAuthnStatement) || coded(err, failure.SAMLTime) {
			return time.Time{}, "", err
		}
		if err != nil && first == nil {
			first = err
		}
		if err == nil && !found {
			found, when, class = true, t, c
		}
	}
	switch {
	case found:
		r.noteSignIn(when, class)
		return when, class, nil
	case first != nil:
		return time.Time{}, "", first
	}
	return time.Time{}, "", unauthenticated("missing")
}

// statement judges one AuthnStatement.
func (r *reader) statement(s verified) (time.Time, string, error) {
	at := times{now: r.now, skew: r.e.Skew}
	when, ok := parseTime(s.value("AuthnInstant"))
	if !ok {
		return time.Time{}, "", at.unreadable("authn_instant")
	}
	if at.future(when) {
		at.issued = when
		return time.Time{}, "", at.off("authn_instant", when)
	}
	if raw, there := s.attribute("SessionNotOnOrAfter"); there {
		end, ok := parseTime(raw)
		if !ok {
			return time.Time{}, "", at.unreadable("session_not_on_or_after")
		}
		if at.past(end) {
			return time.Time{}, "", unauthenticated("session_over")
		}
	}
	class, ok := contextClass(s)
	if !ok {
		return time.Time{}, "", unauthenticated("context")
	}
	r.noteSignIn(when, class)
	if r.e.ForceAuthn && when.Before(r.e.RequestedAt.Add(-r.e.Skew)) {
		return time.Time{}, "", failure.New(failure.SAMLStale).With("authn_age_s", seconds(r.now.Sub(when)))
	}
	if r.e.Contexts != nil && !slices.Contains(r.e.Contexts, class) {
		return time.Time{}, "", failure.New(failure.SAMLContext).Showing(strings.Join(r.e.Contexts, " "), class)
	}
	return when, class, nil
}

// noteSignIn keeps when and how the person signed in, of a refused message too.
func (r *reader) noteSignIn(when time.Time, class string) {
	age := int64(r.now.Sub(when) / time.Second)
	r.trace.AuthAge, r.trace.ACR = &age, shown(class)
}

// contextClass gives the AuthnContextClassRef of a statement, empty for none.
func contextClass(s verified) (string, bool) {
	rule := s.holds(part{assertionSpace, "SubjectLocality", false}, part{assertionSpace, "AuthnContext", false})
	c, ok := s.only(assertionSpace, "AuthnContext")
	if rule != "" || !ok {
		return "", false
	}
	rule = c.holds(part{assertionSpace, "AuthnContextClassRef", false}, part{assertionSpace, "AuthnContextDecl", false},
		part{assertionSpace, "AuthnContextDeclRef", false}, part{assertionSpace, "AuthenticatingAuthority", true})
	if rule != "" {
		return "", false
	}
	ref, ok := c.only(assertionSpace, "AuthnContextClassRef")
	if !ok {
		return "", true
	}
	return ref.text()
}

func unauthenticated(rule string) error {
	return failure.New(failure.SAMLAuthnStatement).With("rule", rule)
}

// coded reports an error of a code.
func coded(err error, code failure.Code) bool { return errors.Is(err, &failure.Error{Code: code}) }
