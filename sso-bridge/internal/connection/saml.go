// SPDX-License-Identifier: Apache-2.0

package connection

import "github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"

// SAMLConfig is a SAML 2.0 identity provider and what is asked of it.
type SAMLConfig struct {
	// EntityID is ours; empty for the address of our metadata.
	EntityID string `json:"entity_id,omitempty"`
	// MetadataURL is where the provider publishes its metadata. Without it IdP has what
	// was pasted or typed.
	MetadataURL string `json:"metadata_url,omitempty"`
	// IdPEntityID is the provider's entity id, where the metadata's address alone is not
	// trusted to say it.
	IdPEntityID string           `json:"idp_entity_id,omitempty"`
	IdP         *idpmetadata.IdP `json:"idp,omitempty"`
	// Signed says what must be signed: SignedEither, SignedAssertion, SignedResponse or
	// SignedBoth.
	Signed string `json:"signed"`
	// NameIDFormat is asked for in requests; empty asks for none. SubjectFormats are the
	// formats of a NameID that may be the subject, when Claims.Subject is SubjectNameID.
	NameIDFormat   string   `json:"name_id_format,omitempty"`
	SubjectFormats []string `json:"subject_formats,omitempty"`
	// Contexts are authentication context classes to ask for; Comparison is
	// ComparisonExact, which is checked in the answer too, or ComparisonMinimum. None are
	// asked for unless configured.
	Contexts   []string `json:"authn_contexts,omitempty"`
	Comparison string   `json:"authn_context_comparison,omitempty"`
	// ExpiredCertificates is ExpiredWarn or ExpiredRefuse: trust is in the configured key.
	ExpiredCertificates string `json:"expired_certificates"`
	// Skew is how far the provider's clock may be off, in seconds, 0 to MaxSkew; 0 is
	// DefaultSkew.
	Skew int `json:"skew,omitempty"`
}

// SubjectNameID as Claims.Subject takes the NameID for the subject.
const SubjectNameID = "name_id"

// The formats of a NameID that may be the subject (SAML core section 8.3). A transient
// one is another at each sign-in, so it is none of them.
const (
	FormatPersistent  = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	FormatUnspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
	FormatEmail       = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
)

// What of a response must be signed. In any case every signature that is there must
// verify, and one must cover the assertion.
const (
	SignedEither    = "either"
	SignedAssertion = "assertion"
	SignedResponse  = "response"
	SignedBoth      = "both"
)

// How authentication context classes are asked for.
const (
	ComparisonExact   = "exact"
	ComparisonMinimum = "minimum"
)

// What becomes of a provider's certificate that is over.
const (
	ExpiredWarn   = "warn"
	ExpiredRefuse = "refuse"
)

// The clock skew of a provider, in seconds.
const (
	DefaultSkew = 60
	MaxSkew     = 300
)
