// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"fmt"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// SAMLDocument is what people want to see of a SAML provider's configured facts. Those of
// a metadata address are with what was read there.
type SAMLDocument struct {
	// Source is "metadata_url", "configured" for facts that were pasted or typed, or empty
	// while there are none.
	Source       string                `json:"source"`
	EntityID     string                `json:"idp_entity_id,omitempty"`
	Redirect     string                `json:"redirect,omitempty"`
	Post         string                `json:"post,omitempty"`
	Certificates []CertificateDocument `json:"certificates,omitempty"`
}

// CertificateDocument is a certificate that a provider signs with.
type CertificateDocument struct {
	Fingerprint string    `json:"fingerprint"` // hex SHA-256 of the DER
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

// Where a SAML provider's facts come from.
const (
	SourceMetadataURL = "metadata_url"
	SourceConfigured  = "configured"
)

func (c SAMLConfig) document() *SAMLDocument {
	d := &SAMLDocument{EntityID: c.IdPEntityID}
	if c.MetadataURL != "" {
		d.Source = SourceMetadataURL
	}
	if c.IdP != nil {
		d.Source, d.EntityID, d.Redirect, d.Post, d.Certificates = SourceConfigured, c.IdP.EntityID, c.IdP.Redirect, c.IdP.Post, c.certificates()
	}
	return d
}

func (c SAMLConfig) certificates() []CertificateDocument {
	if c.IdP == nil {
		return nil
	}
	list := make([]CertificateDocument, 0, len(c.IdP.Certificates))
	for _, text := range c.IdP.Certificates {
		if one, ok := idpmetadata.Kept(text); ok {
			list = append(list, CertificateDocument{Fingerprint: idpmetadata.Fingerprint(one), NotBefore: one.NotBefore.UTC(), NotAfter: one.NotAfter.UTC()})
		}
	}
	return list
}

// expiryWarning is how long before its end a certificate is spoken of.
const expiryWarning = 30 * 24 * time.Hour

// warnings are the sentences about a configuration that holds and may not do what people
// expect of it.
func (c Config) warnings(now time.Time) (list []string) {
	if c.SAML == nil {
		return nil
	}
	if c.Claims.Subject == SubjectNameID && slices.ContainsFunc(c.SAML.SubjectFormats, func(f string) bool { return f != FormatPersistent }) {
		list = append(list, "A person is a NameID that may be an address or a name: whoever gets another one is a new person, and whoever gets it next is the same.")
	}
	if len(c.Domains) == 0 && c.Claims.EmailVerified == "" {
		list = append(list, "No e-mail will be accepted: the connection owns no domain, and no attribute says that an address is verified.")
	}
	for _, one := range c.SAML.certificates() {
		list = append(list, one.warnings(now, c.SAML.ExpiredCertificates)...)
	}
	return list
}

func (d CertificateDocument) warnings(now time.Time, expired string) []string {
	left := d.NotAfter.Sub(now)
	name := "The provider's certificate " + d.Fingerprint[:ShownFingerprint]
	switch {
	case left >= expiryWarning:
		return nil
	case left > 0:
		return []string{fmt.Sprintf("%s ends on %s, %s. Add the provider's next one here.", name, d.NotAfter.Format(time.DateOnly), days(left))}
	case expired == ExpiredRefuse:
		return []string{fmt.Sprintf("%s ended on %s: what it signs is refused.", name, d.NotAfter.Format(time.DateOnly))}
	}
	return []string{fmt.Sprintf("%s ended on %s: what it signs is accepted, for trust is in its key.", name, d.NotAfter.Format(time.DateOnly))}
}

func days(left time.Duration) string {
	switch n := int(left / (24 * time.Hour)); n {
	case 0:
		return "in less than a day"
	case 1:
		return "in 1 day"
	default:
		return fmt.Sprintf("in %d days", n)
	}
}
