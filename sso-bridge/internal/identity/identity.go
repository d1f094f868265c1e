// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// Owners tells whose a domain and whose an issuer is. An error is a store that cannot be
// asked, never an answer.
type Owners interface {
	// Owner gives the id of the connection that owns exactly this domain, or nothing.
	Owner(ctx context.Context, domain string) (connectionID string, err error)
	// IssuerOwner gives the id of the connection that exactly this issuer belongs to, be it
	// deleted, or nothing.
	IssuerOwner(ctx context.Context, issuer string) (connectionID string, err error)
}

const (
	maxKey       = 255 // characters of issuer and subject id
	maxName      = 128
	maxGroups    = 1000
	maxGroupSize = 255
	maxACR       = 255 // bytes
	maxMethods   = 8
	maxMethod    = 32 // bytes
)

// Map gives the identity that verified claims make under a connection's configuration.
// Every error is a *failure.Error and carries nothing of the person.
func Map(ctx context.Context, c Claims, connectionID string, cfg connection.Config, owners Owners) (Identity, error) {
	r := Explain(ctx, c, connectionID, cfg, owners)
	if r.Failure != nil {
		return Identity{}, r.Failure
	}
	return r.Identity, nil
}

// Explain judges as Map does and gives each check.
func Explain(ctx context.Context, c Claims, connectionID string, cfg connection.Config, owners Owners) Report {
	w := walk{claims: c, id: connectionID, cfg: cfg}
	w.issuer(ctx, owners)
	w.subject()
	w.email(ctx, owners)
	w.name()
	w.admission()
	w.signIn()
	w.report.Claims = mapped(c.Seen, cfg.Claims)
	return w.report
}

// walk is one judgement under way.
type walk struct {
	claims Claims
	id     string
	cfg    connection.Config
	report Report
}

// check notes one check; a nil refusal passes it.
func (w *walk) check(name, expected, got string, refusal *failure.Error) bool {
	line := Check{Name: name, Expected: expected, Got: got, Verdict: Passed}
	if refusal != nil {
		line.Verdict, line.Code = Failed, refusal.Code
		if w.report.Failure == nil {
			w.report.Failure = refusal
		}
	}
	w.report.Checks = append(w.report.Checks, line)
	return refusal == nil
}

func (w *walk) skip(name string) {
	w.report.Checks = append(w.report.Checks, Check{Name: name, Verdict: Skipped})
}

// issuer holds the verified issuer against the configured one once more, so that no
// provider of ours can hand on another connection's subjects.
func (w *walk) issuer(ctx context.Context, owners Owners) {
	expected, got := w.cfg.Issuer(w.id), w.claims.Issuer
	if w.cfg.OIDC != nil && w.cfg.OIDC.Entra {
		expected = strings.ReplaceAll(expected, connection.TenantPlaceholder, w.claims.Tenant)
	}
	var refusal *failure.Error
	fits := got == expected
	if w.cfg.SAML != nil && expected == "" {
		// The provider's metadata has named it, and what was read first is pinned.
		expected = pinnedIssuer
		owner, err := owners.IssuerOwner(ctx, got)
		if err != nil {
			refusal = failure.New(failure.StoreUnavailable).With("op", "issuer owner").Because(err)
		}
		fits = owner == w.id && w.id != ""
	}
	if refusal == nil && (!fits || !connection.ValidIssuer(got, w.cfg.Protocol)) {
		refusal = foreignIssuer(w.cfg.Protocol).Showing(expected, got).With("expected", expected).With("got", got)
	}
	if w.check(CheckIssuer, expected, got, refusal) {
		w.report.Identity.Issuer = got
	}
}

// pinnedIssuer stands for an issuer that no configuration names.
const pinnedIssuer = "an issuer of this connection"

func foreignIssuer(p connection.Protocol) *failure.Error {
	if p == connection.SAML {
		return failure.New(failure.SAMLIssuer)
	}
	return failure.New(failure.OIDCIssuer).With("where", "identity")
}

func (w *walk) subject() {
	s, claim := w.claims.Subject, w.cfg.Claims.Subject
	var refusal *failure.Error
	switch {
	case s == "":
		refusal = failure.New(failure.SubjectMissing)
	case !validSubject(s):
		refusal = failure.New(failure.SubjectMalformed)
	}
	if refusal != nil {
		refusal = refusal.With("claim", claim).With("length", strconv.Itoa(len(s)))
	}
	if w.check(CheckSubject, claim+": 1 to 255 printable ASCII characters", s, refusal) {
		w.report.Identity.Subject = s
	}
}

// validSubject takes printable ASCII. A blank end is refused and not trimmed: two
// subjects that look alike would be two people, or one.
func validSubject(s string) bool {
	if s == "" || len(s) > maxKey || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// email finds the one address that may be believed.
func (w *walk) email(ctx context.Context, owners Owners) {
	claim, values := w.cfg.Claims.Email, w.claims.Emails
	var address string
	var refusal *failure.Error
	switch {
	case len(values) == 0:
		refusal = failure.New(failure.EmailMissing)
	case len(values) > 1:
		refusal = failure.New(failure.EmailAmbiguous)
	default:
		var ok bool
		if address, ok = canon.PlainEmail(values[0]); !ok {
			refusal = failure.New(failure.EmailMalformed)
		}
	}
	if refusal != nil {
		refusal = refusal.With("claim", claim)
	}
	if !w.check(CheckEmail, claim+": one plain address in ASCII", strings.Join(values, ", "), refusal) {
		w.skip(CheckEmailOwner)
		if w.cfg.RestrictToDomains {
			w.skip(CheckEmailDomain)
		}
		w.skip(CheckEmailVerified)
		return
	}
	w.report.Identity.Email = address
	w.report.Identity.EmailVerified = w.claims.Verified == StatedTrue
	domain := Domain(address)
	owned := slices.Contains(w.cfg.Domains, domain)

	owner, err := owners.Owner(ctx, domain)
	switch {
	case err != nil:
		refusal = failure.New(failure.StoreUnavailable).With("op", "domain owner").Because(err)
	case owner != "" && owner != w.id:
		refusal = failure.New(failure.EmailDomainOfOther)
	}
	w.check(CheckEmailOwner, "this connection, or none", owner, refusal)

	if w.cfg.RestrictToDomains {
		refusal = nil
		if !owned {
			refusal = failure.New(failure.EmailDomainNotAllowed)
		}
		w.check(CheckEmailDomain, strings.Join(w.cfg.Domains, ", "), domain, refusal)
	}

	refusal = nil
	if w.claims.Verified == StatedFalse || w.claims.Verified == Unstated && !owned {
		refusal = failure.New(failure.EmailNotVerified).With("verified", stated(w.claims))
	}
	w.check(CheckEmailVerified, "stated true, or a domain of this connection and nothing that says false", stated(w.claims), refusal)
}

// stated is a provider's word for verified, as it may stand in a log: a foreign value
// could hold anything.
func stated(c Claims) string {
	switch c.VerifiedRaw {
	case "true", "false", `"true"`, `"false"`, "null":
		return c.VerifiedRaw
	case "":
		return "nothing"
	}
	return "something else"
}

// signIn keeps how the person signed in as far as an assertion has room for it. These are
// labels: what a provider says at greater length keeps nobody out, and has been compared
// with what the connection demands before.
func (w *walk) signIn() {
	c, id := w.claims, &w.report.Identity
	id.AuthTime = max(c.AuthTime, 0)
	if len(c.ACR) <= maxACR {
		id.ACR = c.ACR
	}
	for _, method := range c.AMR {
		if method != "" && len(method) <= maxMethod && len(id.AMR) < maxMethods {
			id.AMR = append(id.AMR, method)
		}
	}
}

func (w *walk) name() {
	name := canon.Label(w.claims.Name, maxName)
	if name == "" {
		name = canon.Label(w.claims.GivenName+" "+w.claims.FamilyName, maxName)
	}
	w.report.Identity.Name = name
}

// mapped says of each claim which labels are taken from it. A name that came twice
// counts where it came first: the ID token wins.
func mapped(seen []Claim, names connection.ClaimNames) []Mapped {
	labels := []struct{ label, name string }{
		{"subject", names.Subject}, {"email", names.Email}, {"email_verified", names.EmailVerified},
		{"name", names.Name}, {"given_name", names.GivenName}, {"family_name", names.FamilyName}, {"groups", names.Groups},
	}
	list := make([]Mapped, len(seen))
	first := map[string]bool{}
	for i, claim := range seen {
		list[i].Claim = claim
		if first[claim.Name] {
			continue
		}
		first[claim.Name] = true
		for _, l := range labels {
			if l.name != "" && l.name == claim.Name {
				list[i].To = append(list[i].To, l.label)
			}
		}
	}
	return list
}
