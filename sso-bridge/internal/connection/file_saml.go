// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

type samlShape struct {
	EntityID            *string       `json:"entity_id"`
	MetadataURL         *string       `json:"metadata_url"`
	Metadata            *string       `json:"metadata"`
	MetadataFile        *string       `json:"metadata_file"`
	IdPEntityID         *string       `json:"idp_entity_id"`
	IdP                 *idpShape     `json:"idp"`
	Signed              *string       `json:"signed"`
	Subject             *subjectShape `json:"subject"`
	SubjectFormats      []string      `json:"subject_formats"`
	NameIDFormat        *string       `json:"name_id_format"`
	AuthnContexts       []string      `json:"authn_contexts"`
	Comparison          *string       `json:"authn_context_comparison"`
	ExpiredCertificates *string       `json:"expired_certificates"`
	Skew                *int          `json:"skew"`
}

// idpShape is a provider whose console shows three things to copy and no address.
type idpShape struct {
	EntityID         *string  `json:"entity_id"`
	SSOURL           *string  `json:"sso_url"`
	SSOBinding       *string  `json:"sso_binding"`
	Certificates     []string `json:"certificates"`
	CertificatesFile *string  `json:"certificates_file"`
}

// subjectShape is name_id, or a mapping with the Name of an attribute.
type subjectShape struct{ claim string }

var errSubjectShape = errors.New("connection: neither name_id nor an attribute")

// UnmarshalJSON implements json.Unmarshaler.
func (s *subjectShape) UnmarshalJSON(raw []byte) error {
	var word string
	if json.Unmarshal(raw, &word) == nil {
		if word != SubjectNameID {
			return errSubjectShape
		}
		s.claim = word
		return nil
	}
	members, err := wire.Members(raw)
	if err != nil || len(members) != 1 || json.Unmarshal(members["attribute"], &word) != nil || word == SubjectNameID {
		return errSubjectShape
	}
	s.claim = word
	return nil
}

// The bindings of a typed address.
const (
	bindingRedirect = "redirect"
	bindingPost     = "post"
)

// formats are the short names of the formats of a NameID, beside their URNs.
var formats = map[string]string{"persistent": FormatPersistent, "unspecified": FormatUnspecified, "emailAddress": FormatEmail}

func formatNamed(name string) string {
	if urn, ok := formats[name]; ok {
		return urn
	}
	return name
}

func (r *resolver) saml(c *Config, all shape) {
	s := all.SAML
	if s == nil {
		r.add("is missing: the provider's settings", "saml")
		return
	}
	m := c.SAML
	for _, text := range []struct{ to, from *string }{
		{&m.EntityID, s.EntityID}, {&m.MetadataURL, s.MetadataURL}, {&m.IdPEntityID, s.IdPEntityID}, {&m.Signed, s.Signed},
		{&m.Comparison, s.Comparison}, {&m.ExpiredCertificates, s.ExpiredCertificates},
	} {
		set(text.to, text.from)
	}
	set(&m.Skew, s.Skew)
	setList(&m.Contexts, s.AuthnContexts)
	if len(m.Contexts) > 0 && m.Comparison == "" {
		m.Comparison = ComparisonExact
	}
	r.when(all.Claims.Subject != nil, "is saml.subject here", "claims", "subject")
	r.samlSubject(c, s)
	r.samlFacts(m, s)
}

// samlSubject settles what identifies people. The format that is asked for follows the
// subject unless it is said: what a preset asks for goes with the preset's own.
func (r *resolver) samlSubject(c *Config, s *samlShape) {
	m := c.SAML
	if s.Subject != nil {
		c.Claims.Subject = s.Subject.claim
	}
	if c.Claims.Subject == SubjectNameID {
		if len(m.SubjectFormats) == 0 {
			m.SubjectFormats, m.NameIDFormat = []string{FormatPersistent}, FormatPersistent
		}
		if len(s.SubjectFormats) > 0 {
			m.SubjectFormats = nil
			for _, name := range s.SubjectFormats {
				m.SubjectFormats = append(m.SubjectFormats, formatNamed(name))
			}
			m.NameIDFormat = m.SubjectFormats[0]
		}
		r.when(s.SubjectFormats != nil && len(s.SubjectFormats) == 0, "is empty; leave it out", "saml", "subject_formats")
	} else {
		r.when(s.SubjectFormats != nil, "goes with subject: name_id alone", "saml", "subject_formats")
		r.when(!plainText(c.Claims.Subject) || len(c.Claims.Subject) > maxEntry, "the Name of an attribute: printable ASCII", "saml", "subject", "attribute")
		r.when(changes(c.Claims.Subject), "never a name or an address, which change hands: the permanent id", "saml", "subject", "attribute")
		m.SubjectFormats, m.NameIDFormat = nil, ""
	}
	if s.NameIDFormat != nil {
		m.NameIDFormat = formatNamed(*s.NameIDFormat)
	}
}

// changingOIDs are attributes of X.500 and eduPerson that hold an address or a name:
// mail, emailAddress, eduPersonPrincipalName, displayName, cn.
var changingOIDs = []string{
	"urn:oid:0.9.2342.19200300.100.1.3", "urn:oid:1.2.840.113549.1.9.1", "urn:oid:1.3.6.1.4.1.5923.1.1.1.6", "urn:oid:2.16.840.1.113730.3.1.241", "urn:oid:2.5.4.3",
}

// changes reports whether the Name of an attribute says that it holds what a person, or
// somebody after them, can be called.
func changes(name string) bool {
	last := strings.ToLower(name[strings.LastIndexAny(name, "/:#.")+1:])
	return slices.Contains(changing, last) || slices.Contains(changingOIDs, name)
}

// samlFacts takes the provider's facts out of the one member that has them. An
// administrator may add it later.
func (r *resolver) samlFacts(m *SAMLConfig, s *samlShape) {
	var from []string
	for _, source := range []struct {
		name  string
		there bool
	}{
		{"metadata_url", s.MetadataURL != nil}, {"metadata", s.Metadata != nil}, {"metadata_file", s.MetadataFile != nil}, {"idp", s.IdP != nil},
	} {
		if source.there {
			from = append(from, source.name)
		}
	}
	if len(from) > 1 {
		r.add("and "+from[0]+" are both there; keep one of metadata_url, metadata, metadata_file and idp", "saml", from[1])
		return
	}
	switch {
	case s.MetadataURL != nil:
		r.when(*s.MetadataURL == "", "is empty", "saml", "metadata_url")
	case s.Metadata != nil:
		r.metadata(m, *s.Metadata, "metadata")
	case s.MetadataFile != nil:
		if text, ok := r.file(*s.MetadataFile, maxMetadata, "metadata", "saml", "metadata_file"); ok {
			r.metadata(m, text, "metadata_file")
		}
	case s.IdP != nil:
		r.typed(m, s.IdP)
	}
}

// What is read of a provider, in bytes.
const (
	maxMetadata = 1 << 20
	maxPEM      = 64 << 10
)

// metadata reduces a document to what is used of it. A document that was given by hand is
// the administrator's word: its own end ends nothing here, for a bridge that starts again
// has to find what it served with before.
func (r *resolver) metadata(m *SAMLConfig, text, member string) {
	if len(text) > maxMetadata {
		r.add("at most 1 MiB", "saml", member)
		return
	}
	facts, _, err := r.parse([]byte(text), m.IdPEntityID, time.Time{})
	if err != nil {
		why := "is no metadata of an identity provider"
		if e, ok := errors.AsType[*idpmetadata.Error](err); ok {
			why = e.Message
		}
		r.add(why, "saml", member)
		return
	}
	m.IdP, m.IdPEntityID = &facts, "" // which stands in the facts
}

// typed takes what was copied out of a provider's console, one field after the other.
func (r *resolver) typed(m *SAMLConfig, s *idpShape) {
	facts := idpmetadata.IdP{Certificates: []string{}}
	set(&facts.EntityID, s.EntityID)
	binding := bindingRedirect
	set(&binding, s.SSOBinding)
	switch binding {
	case bindingRedirect:
		set(&facts.Redirect, s.SSOURL)
	case bindingPost:
		set(&facts.Post, s.SSOURL)
	default:
		r.add("redirect or post", "saml", "idp", "sso_binding")
	}
	for i, text := range s.Certificates {
		r.certificates(&facts, text, "saml", "idp", "certificates", i)
	}
	if s.CertificatesFile != nil {
		at := []any{"saml", "idp", "certificates_file"}
		r.when(s.Certificates != nil, "and certificates are both there; keep one", at...)
		if text, ok := r.file(*s.CertificatesFile, maxPEM, "certificates", at...); ok {
			r.certificates(&facts, text, at...)
		}
	}
	m.IdP = &facts
}

// certificates reads PEM, which may hold several, or the base64 alone that metadata has.
func (r *resolver) certificates(facts *idpmetadata.IdP, text string, at ...any) {
	var found []string
	if rest := []byte(strings.TrimSpace(text)); strings.Contains(text, "-----BEGIN") {
		for len(rest) > 0 {
			block, after := pem.Decode(rest)
			if block == nil || block.Type != "CERTIFICATE" {
				r.add(certificateForm, at...)
				return
			}
			found, rest = append(found, base64.StdEncoding.EncodeToString(block.Bytes)), []byte(strings.TrimSpace(string(after)))
		}
	} else {
		found = []string{strings.Join(strings.Fields(text), "")}
	}
	for _, one := range found {
		if _, ok := idpmetadata.Kept(one); !ok || slices.Contains(facts.Certificates, one) {
			r.add(certificateForm, at...)
			return
		}
		facts.Certificates = append(facts.Certificates, one)
	}
}

// file reads a file that a member of the connections file names; instead is the member
// that an administrator's order has in its place.
func (r *resolver) file(name string, most int, instead string, at ...any) (string, bool) {
	if r.readFile == nil {
		r.add("is for the connections file alone; send "+instead, at...)
		return "", false
	}
	content, err := r.readFile(name)
	switch {
	case err != nil:
		r.add("names a file that cannot be read", at...)
	case len(content) == 0:
		r.add("names an empty file", at...)
	case len(content) > most:
		r.add("names a file that is too large", at...)
	default:
		return string(content), true
	}
	return "", false
}
