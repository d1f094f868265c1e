// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// ApprovalLifetime is how long an approval grant lets its holder decide.
const ApprovalLifetime = 5 * time.Minute

// approvalClaims are the claims of an approval grant.
type approvalClaims struct {
	Connection     string   `json:"connection"`
	ConnectionName string   `json:"connection_name"`
	Attempt        string   `json:"attempt"`
	Issuer         string   `json:"subject_issuer"`
	Subject        string   `json:"subject_id"`
	Email          string   `json:"subject_email"`
	EmailVerified  bool     `json:"email_verified"`
	Name           string   `json:"subject_name,omitempty"`
	AuthTime       int64    `json:"auth_time,omitempty"`
	AMR            []string `json:"amr,omitempty"`
	ACR            string   `json:"acr,omitempty"`
	UserCode       string   `json:"user_code"`
	GrantID        string   `json:"gid"`
	Epoch          int64    `json:"epoch"`
	CSRF           string   `json:"csrf_token"`
}

// Approval is an approval grant that verified: who came back from their identity
// provider, and for which device.
type Approval struct {
	claims approvalClaims
	// Until is the end of its life.
	Until time.Time
}

// UserCode is the code that the grant lets decide about, canonical.
func (a Approval) UserCode() string { return a.claims.UserCode }

// CSRFToken is the token of the forms and scripts of this grant.
func (a Approval) CSRFToken() string { return a.claims.CSRF }

// ConnectionName is what the connection is called for people.
func (a Approval) ConnectionName() string { return a.claims.ConnectionName }

// Subject is the person.
func (a Approval) Subject() token.Subject {
	return token.Subject{Issuer: a.claims.Issuer, ID: a.claims.Subject, Email: a.claims.Email, ConnectionID: a.claims.Connection}
}

// Name is the person's display name; it may be empty.
func (a Approval) Name() string { return a.claims.Name }

// Reference is that of the login attempt.
func (a Approval) Reference() string { return a.claims.Attempt }

// FitsCSRF compares a presented token in constant time.
func (a Approval) FitsCSRF(presented string) bool { return same(presented, a.claims.CSRF) }

func (a Approval) external(ip string) devicegrant.External {
	c := a.claims
	return devicegrant.External{
		Issuer: c.Issuer, ID: c.Subject, Email: c.Email, EmailVerified: c.EmailVerified, Name: c.Name, ConnectionID: c.Connection, Attempt: c.Attempt,
		AuthTime: c.AuthTime, AMR: c.AMR, ACR: c.ACR, Epoch: c.Epoch, IP: ip,
	}
}

// gidBytes of a device code's digest name its grant in an approval grant.
const gidBytes = 16

func gid(ref secret.Digest) string { return b64.EncodeToString(ref[:gidBytes]) }

// Open verifies an approval grant. Absent, forged and expired ones are all false.
func (s *Service) Open(cookie secret.Text) (Approval, bool) {
	claims, r, err := s.grants.Verify(cookie.Reveal())
	if err != nil && s.former != nil {
		claims, r, err = s.former.grants.Verify(cookie.Reveal())
	}
	if err != nil {
		return Approval{}, false
	}
	return Approval{claims: claims, Until: r.Until()}, true
}
