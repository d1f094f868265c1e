// SPDX-License-Identifier: Apache-2.0

package webui

import (
	"time"

	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

// Chooser asks whether an account or a company's sign-in decides about a code.
type Chooser struct{ UserCode string }

// SSOConnection is a company sign-in that can be chosen. Text is what an administrator
// wrote on its button.
type SSOConnection struct{ ID, Text string }

// SSOChoose asks which company sign-in is meant: Connections are offered as links, Email
// offers to find it by an address. At is the route that both lead to; it knows the code
// by its cookie.
type SSOChoose struct {
	At          string
	Connections []SSOConnection
	Email       bool
}

// SSOContinue leads to the company's sign-in by a link: no form of ours may end on another
// origin, for browsers hold every hop of one to form-action (CSP Level 3 section 6.4.1).
type SSOContinue struct{ Start string }

// SSOError tells why a company sign-in failed. Reference may be empty. Again begins it
// once more and is empty where that cannot help; Other leads to the other ways.
type SSOError struct {
	Code      ssocode.Code
	Reference string
	Again     string
	Other     string
}

// AuthorizeSSO is the page that decides for somebody whom a company's sign-in named.
// What the company, the client or the device named is foreign text.
type AuthorizeSSO struct {
	// CSRFToken is that of the approval grant: whoever decides here has no session.
	CSRFToken string
	UserCode  string
	// Name may be empty.
	Name, Email string
	// Connection and Issuer are those that have been verified.
	Connection, Issuer string
	ClientID           string
	Label              string
	Address            string
	StartedAt          time.Time
	// ExpiresAt is when the page can no longer decide.
	ExpiresAt time.Time
	TokenEnds time.Time
	// Linked asks for a tick beside the decision: nobody has typed the code. Unticked
	// tells that it was missing.
	Linked, Unticked bool
}

func (Chooser) template() string      { return "device_chooser" }
func (SSOChoose) template() string    { return "sso_choose" }
func (SSOContinue) template() string  { return "sso_continue" }
func (SSOError) template() string     { return "sso_error" }
func (AuthorizeSSO) template() string { return "sso_authorize" }
