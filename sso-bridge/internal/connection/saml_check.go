// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"slices"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// The limits of a SAML provider.
const (
	maxContexts = 10
	maxAddress  = 2048
)

func (c SAMLConfig) check(subject string, p *problems) {
	p.when(c.EntityID != "" && !ValidIssuer(c.EntityID, SAML), entityForm, "saml", "entity_id")
	p.when(c.IdPEntityID != "" && !ValidIssuer(c.IdPEntityID, SAML), entityForm, "saml", "idp_entity_id")
	p.when(c.MetadataURL != "" && (!isAddress(c.MetadataURL) || len(c.MetadataURL) > maxAddress), "an https address", "saml", "metadata_url")
	p.when(!oneOf(c.Signed, SignedEither, SignedAssertion, SignedResponse, SignedBoth), "either, assertion, response or both", "saml", "signed")
	p.when(!oneOf(c.ExpiredCertificates, ExpiredWarn, ExpiredRefuse), "warn or refuse", "saml", "expired_certificates")
	p.when(c.Skew < 0 || c.Skew > MaxSkew, "0 to 300 seconds", "saml", "skew")
	if c.IdP != nil {
		p.when(c.MetadataURL != "", "and facts of the provider are both there; keep one", "saml", "metadata_url")
		p.when(c.IdPEntityID != "", "goes with metadata_url; what is pasted or typed has its own", "saml", "idp_entity_id")
		checkFacts(*c.IdP, p)
	}
	c.checkFormats(subject, p)
	c.checkContexts(p)
}

const entityForm = "1 to 255 printable ASCII characters without a space, not beginning with dify: or oauth2:"

func (c SAMLConfig) checkFormats(subject string, p *problems) {
	known := func(format string) bool { return oneOf(format, FormatPersistent, FormatUnspecified, FormatEmail) }
	const form = "persistent, unspecified or emailAddress: a transient NameID is another one at each sign-in"
	p.when(c.NameIDFormat != "" && !known(c.NameIDFormat), form, "saml", "name_id_format")
	for i, format := range c.SubjectFormats {
		p.when(!known(format) || slices.Contains(c.SubjectFormats[:i], format), form+"; each once", "saml", "subject_formats", i)
	}
	if subject != SubjectNameID {
		p.when(len(c.SubjectFormats) > 0, "goes with subject: name_id alone", "saml", "subject_formats")
		return
	}
	p.when(len(c.SubjectFormats) == 0, "at least one with subject: name_id", "saml", "subject_formats")
	// Whoever is sent what was asked for would be refused.
	p.when(c.NameIDFormat != "" && known(c.NameIDFormat) && len(c.SubjectFormats) > 0 && !slices.Contains(c.SubjectFormats, c.NameIDFormat),
		"one of subject_formats", "saml", "name_id_format")
}

func (c SAMLConfig) checkContexts(p *problems) {
	p.when(len(c.Contexts) > maxContexts, "at most 10", "saml", "authn_contexts")
	for i, class := range c.Contexts {
		p.when(!isIssuer(class) || slices.Contains(c.Contexts[:i], class), "1 to 255 printable ASCII characters without a space, each once", "saml", "authn_contexts", i)
	}
	switch {
	case len(c.Contexts) > 0:
		p.when(!oneOf(c.Comparison, ComparisonExact, ComparisonMinimum), "exact or minimum", "saml", "authn_context_comparison")
	case c.Comparison != "":
		p.add("goes with authn_contexts", "saml", "authn_context_comparison")
	}
}

// checkFacts judges what was pasted or typed of a provider.
func checkFacts(f idpmetadata.IdP, p *problems) {
	address := func(s, member string) {
		p.when(s != "" && !idpmetadata.IsAddress(s), "an https address", "saml", "idp", member)
	}
	p.when(!ValidIssuer(f.EntityID, SAML), entityForm, "saml", "idp", "entity_id")
	p.when(f.Redirect == "" && f.Post == "", "is missing", "saml", "idp", "sso_url")
	address(f.Redirect, "sso_url")
	p.when(f.Redirect != "" && idpmetadata.Clashes(f.Redirect), "without what a SAML request sets: SAMLRequest, RelayState, SigAlg, Signature", "saml", "idp", "sso_url")
	if f.Post != f.Redirect {
		address(f.Post, "sso_url")
	}
	p.when(len(f.Certificates) == 0, "is missing", "saml", "idp", "certificates")
	p.when(len(f.Certificates) > idpmetadata.MaxCertificates, "at most 10", "saml", "idp", "certificates")
	for i, text := range f.Certificates {
		_, ok := idpmetadata.Kept(text)
		p.when(!ok || slices.Contains(f.Certificates[:i], text), certificateForm, "saml", "idp", "certificates", i)
	}
}

const certificateForm = "an X.509 certificate, each once, whose key is RSA of 2048 to 8192 bits or ECDSA on P-256 or P-384"
