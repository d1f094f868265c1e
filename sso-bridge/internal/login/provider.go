// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// Material is what an attempt draws at its creation, written once and sealed.
type Material struct {
	// Verifier is the PKCE code verifier (RFC 7636 section 4.1), 43 characters.
	Verifier secret.Text
	// Nonce is that of OpenID Connect, 22 characters.
	Nonce secret.Text
	// RequestID is the ID of a SAML AuthnRequest: an underscore and 32 hex digits, 128
	// random bits. It begins with no digit, as an XML ID must not.
	RequestID string
	// RequestedAt is when the provider is asked, for the age of a sign-in.
	RequestedAt time.Time
	ForceAuthn  bool
	Locale      string // en or zh-Hans
	LoginHint   string // the address that was typed, or empty
}

// Request is one question to a provider.
type Request struct {
	Serving connection.Serving
	// State is the handle, the only thing of ours that travels.
	State secret.Text
	// RedirectURI is our callback's address, exactly as published.
	RedirectURI string
	// Shared: other enabled connections have this callback too, so an answer that does not
	// name its issuer there is refused.
	Shared   bool
	Material Material
	// NextKey signs the request with the key that is staged, for the test of it.
	NextKey bool
}

// Destination is where a browser is sent: by a redirect, or with fields that its form
// posts.
type Destination struct {
	URL  string
	Post []Field // nil for a redirect
}

// Field is one field of a form.
type Field struct {
	Name  string
	Value secret.Text
}

// Answer is what came to the callback of a request that was claimed.
type Answer struct {
	Request
	// Code is the authorization code; Error and Description are the provider's refusal.
	// Exactly one of Code and Error is set.
	Code        secret.Text
	Error       string
	Description string
	// Issuer is the iss of the callback (RFC 9207), with IssuerSent when there was one.
	Issuer     string
	IssuerSent bool
	// Message is the SAMLResponse as it stood in the form: base64 that nobody has looked
	// at. With it there is neither Code nor Error.
	Message secret.Text
}

// Provider speaks one protocol. It takes values, never a request of the browser. Every
// refusal is a *failure.Error.
type Provider interface {
	// Address gives where the browser is sent.
	Address(ctx context.Context, r Request) (Destination, error)
	// Verify judges an answer and gives what its verified bytes say. Facts of the
	// exchange, such as the provider's host and the algorithm, are noted in t.
	Verify(ctx context.Context, a Answer, t *Trace) (identity.Claims, error)
}
