// SPDX-License-Identifier: Apache-2.0

package identity

// Stated is what a provider says about an e-mail address.
type Stated int

// The three answers. Unstated is not False: a connection may own the address's domain.
const (
	Unstated Stated = iota
	StatedTrue
	StatedFalse
)

// Claims is what a provider has said of a person. All of it comes out of bytes that were
// verified; none of it has been judged.
type Claims struct {
	// Issuer is exactly the verified one; with several tenants it has the person's.
	Issuer string
	// Subject is the value of the claim that identifies the person; empty when absent.
	Subject string
	// Emails are the values found, as they came; more than one is ambiguous.
	Emails []string
	// Verified is what the same document says of the e-mail; VerifiedRaw is its word for
	// the trace of a test: true, false, a text in quotes, or nothing.
	Verified    Stated
	VerifiedRaw string
	Name        string
	GivenName   string
	FamilyName  string
	// Groups is meaningful with GroupsPresent; Overage says that a link came in place of
	// the groups, which is never "none".
	Groups        []string
	GroupsPresent bool
	Overage       bool
	// Organizations are those of the allowed ones in which the person is an active
	// member.
	Organizations []string
	// Tenant and Guest are Entra ID's. Hosted is the organisation's domain (Google).
	Tenant string
	Guest  bool
	Hosted string
	// AuthTime is in seconds since 1970, 0 when absent.
	AuthTime int64
	AMR      []string
	ACR      string
	// Seen lists every claim with where it stood, for the trace (names and sizes) and,
	// with values, for the page of a connection test.
	Seen []Claim
}

// Claim is one claim as it came.
type Claim struct {
	Name   string
	Value  string // its JSON, or the text
	Source string // "id_token", "userinfo", "profile"
}

// Identity is a person of an identity provider. (Issuer, Subject) is the key, everything
// else a label.
type Identity struct {
	Issuer        string
	Subject       string
	Email         string // canonical
	EmailVerified bool   // the provider says so; false for an owned domain alone
	Name          string // at most 128 characters, may be empty
	AuthTime      int64
	AMR           []string
	ACR           string
}
