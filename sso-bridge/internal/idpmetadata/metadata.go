// SPDX-License-Identifier: Apache-2.0

package idpmetadata

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/xmlscan"
)

// Limits bound a document. Those of Entra ID and AD FS have about a thousand elements
// with as many namespace declarations; the metadata of a federation, which names many
// providers, is not what a connection needs.
var Limits = xmlscan.Limits{Bytes: 1 << 20, Elements: 20_000, Depth: 32, Attributes: 32, Namespaces: 8_000, Comments: true}

// MaxCertificates is how many keys of one provider are taken.
const MaxCertificates = 10

// IdP is what is known of a SAML identity provider: its metadata, reduced to what is
// used.
type IdP struct {
	EntityID string `json:"entity_id"`
	// Redirect and Post are the single sign-on addresses of the two bindings; one may be
	// empty.
	Redirect string `json:"redirect,omitempty"`
	Post     string `json:"post,omitempty"`
	// Certificates sign its responses: DER in standard base64, in the order of the
	// metadata, each once.
	Certificates []string `json:"certificates"`
}

// Digest gives the lower-case hex SHA-256 of the facts. It is the same for two documents
// that differ in nothing that is used, such as a signature or the order of certificates.
func (i IdP) Digest() string {
	i.Certificates = slices.Sorted(slices.Values(i.Certificates))
	b, err := json.Marshal(i)
	if err != nil {
		panic(err) // texts alone
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Terms are what a document says of its own life.
type Terms struct {
	ValidUntil    time.Time     // zero for none
	CacheDuration time.Duration // zero for none
}

// Error is a document that is not taken.
type Error struct {
	// Rule is a word for logs, Message a sentence for the administrator. Neither holds
	// anything of the document but names and numbers.
	Rule, Message string
	cause         error
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause != nil {
		return "idpmetadata: " + e.Rule + ": " + e.cause.Error()
	}
	return "idpmetadata: " + e.Rule
}

// Unwrap gives the cause, for the log.
func (e *Error) Unwrap() error { return e.cause }

func refuse(rule, message string) *Error { return &Error{Rule: rule, Message: message} }

const (
	metadataNS  = "urn:oasis:names:tc:SAML:2.0:metadata"
	signatureNS = "http://www.w3.org/2000/09/xmldsig#"
	protocol    = "urn:oasis:names:tc:SAML:2.0:protocol"
	redirect    = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	post        = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// mark begins the files of Entra ID and of Windows' editors. It says nothing, and trust
// in metadata does not hang on its bytes.
var mark = []byte("\xef\xbb\xbf")

// Parse reads the metadata of one identity provider (SAML 2.0 Metadata, section 2). Its
// entity id must be want unless that is empty. Every error is an *Error, which says in
// words what is wrong.
func Parse(text []byte, want string, now time.Time) (IdP, Terms, error) {
	doc, err := xmlscan.Scan(bytes.TrimPrefix(text, mark), Limits)
	if err != nil {
		e := refuse("xml", "The document is no plain XML of at most 1 MiB: no DOCTYPE, no entity, no processing instruction, UTF-8, and comments between elements alone.")
		e.cause = err
		return IdP{}, Terms{}, e
	}
	root, err := tree(doc)
	if err != nil {
		e := refuse("xml", "The document is no well-formed XML.")
		e.cause = err
		return IdP{}, Terms{}, e
	}
	switch {
	case root.is(metadataNS, "EntitiesDescriptor"):
		return IdP{}, Terms{}, refuse("entities", "The document describes several entities. Use the address, or paste the EntityDescriptor, of your provider alone.")
	case !root.is(metadataNS, "EntityDescriptor"):
		return IdP{}, Terms{}, refuse("root", "The document is no SAML 2.0 metadata: its root is no EntityDescriptor.")
	}
	role, err := provider(root)
	if err != nil {
		return IdP{}, Terms{}, err
	}
	terms, err := termsOf(now, root, role)
	if err != nil {
		return IdP{}, Terms{}, err
	}
	idp := IdP{EntityID: root.attr("entityID")}
	if idp.Redirect, idp.Post, err = endpoints(role); err != nil {
		return IdP{}, Terms{}, err
	}
	if idp.Certificates, err = signingKeys(role); err != nil {
		return IdP{}, Terms{}, err
	}
	if idp, err = Checked(idp); err != nil {
		return IdP{}, Terms{}, err
	}
	if want != "" && idp.EntityID != want {
		return IdP{}, Terms{}, refuse("entity_id_other", "The document is of another entity id than the connection names.")
	}
	return idp, terms, nil
}

// provider finds the one role of the document that signs people in by SAML 2.0. With a
// second one it would be open whose keys are meant.
func provider(root *node) (*node, error) {
	var found *node
	any := false
	for _, role := range root.all(metadataNS, "IDPSSODescriptor") {
		any = true
		if !slices.Contains(strings.Fields(role.attr("protocolSupportEnumeration")), protocol) {
			continue
		}
		if found != nil {
			return nil, refuse("several_idp", "The document has a second IDPSSODescriptor. Leave the one that the connection is to use.")
		}
		found = role
	}
	switch {
	case found != nil:
		return found, nil
	case any:
		return nil, refuse("protocol", "The provider of this document does not offer SAML 2.0.")
	}
	return nil, refuse("no_idp", "The document describes no identity provider: it has no IDPSSODescriptor. Metadata of a service provider, such as ours, does not fit here.")
}

// endpoints gives the first single sign-on address of each binding that is used. None of
// the two bindings may name what is no web address; the other bindings are not looked at.
func endpoints(role *node) (toRedirect, toPost string, err error) {
	for _, e := range role.all(metadataNS, "SingleSignOnService") {
		into := &toRedirect
		switch e.attr("Binding") {
		case redirect:
		case post:
			into = &toPost
		default:
			continue
		}
		location := e.attr("Location")
		if !IsAddress(location) {
			return "", "", refuse("address", notAnAddress)
		}
		if *into == "" {
			*into = location
		}
	}
	return toRedirect, toPost, nil
}

// signingKeys gives the certificates with which responses may be signed: those that are
// for signing, or for no use in particular (SAML 2.0 Metadata, section 2.4.1.1).
func signingKeys(role *node) ([]string, error) {
	var all []string
	for _, key := range role.all(metadataNS, "KeyDescriptor") {
		if use := key.attr("use"); use != "" && use != "signing" {
			continue
		}
		for _, info := range key.all(signatureNS, "KeyInfo") {
			for _, data := range info.all(signatureNS, "X509Data") {
				var chain []string
				for _, c := range data.all(signatureNS, "X509Certificate") {
					chain = append(chain, c.text.String())
				}
				found, err := leaves(chain)
				if err != nil {
					return nil, err
				}
				all = append(all, found...)
			}
		}
	}
	return all, nil
}
