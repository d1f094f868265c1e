// SPDX-License-Identifier: Apache-2.0

package identity

import "github.com/dify-sso/dify-sso/sso-bridge/internal/failure"

// Verdict is how one check ended.
type Verdict string

// The verdicts. A check is skipped when one before it left nothing to look at.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// The checks, in the order in which they are made. A rule that the connection does not
// have is no check.
const (
	CheckIssuer        = "issuer_owner"
	CheckSubject       = "subject"
	CheckEmail         = "email"
	CheckEmailOwner    = "email_domain_owner"
	CheckEmailDomain   = "email_domain"
	CheckEmailVerified = "email_verified"
	CheckDenied        = "deny.subjects"
	CheckSubjects      = "allow.subjects"
	CheckDomains       = "allow.domains"
	CheckGroups        = "allow.groups"
	CheckOrganizations = "allow.organizations"
	CheckTenants       = "allow.tenants"
	CheckGuests        = "guests"
	CheckHosted        = "hosted"
)

// Check is one line of the page of a connection test. Got may hold what the person's
// provider said of them: it is for the one who tests, for no log and no trace.
type Check struct {
	Name     string
	Expected string
	Got      string
	Verdict  Verdict
	Code     failure.Code // of a failed one
}

// Mapped is a claim and the labels that are taken from it, such as email.
type Mapped struct {
	Claim
	To []string
}

// Report is a whole judgement.
type Report struct {
	Checks []Check
	Claims []Mapped
	// Identity is what results; it admits nobody while Failure is set, and its members
	// are as far as the walk came.
	Identity Identity
	// Failure is the first refusal, nil for a person who is admitted.
	Failure *failure.Error
}
