// SPDX-License-Identifier: Apache-2.0

package idpmetadata

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

const (
	maxEntityID  = 255
	maxAddress   = 2048
	notAnAddress = "A single sign-on address is no https address of at most 2 048 characters without user and fragment."
)

// Checked judges facts and gives them in the form in which they are kept: certificates,
// given as PEM or as DER in base64, each once. Every error is an *Error. Of what people
// type package connection lists every problem at once, by the predicates of this one.
func Checked(i IdP) (IdP, error) {
	if !isEntityID(i.EntityID) {
		return IdP{}, refuse("entity_id", "The entity id is not 1 to 255 printable ASCII characters without a space, not beginning with dify: or oauth2:.")
	}
	if i.Redirect == "" && i.Post == "" {
		return IdP{}, refuse("binding", "The provider has no single sign-on address for HTTP-Redirect or HTTP-POST.")
	}
	for _, address := range []string{i.Redirect, i.Post} {
		if address != "" && !IsAddress(address) {
			return IdP{}, refuse("address", notAnAddress)
		}
	}
	if i.Redirect != "" && Clashes(i.Redirect) {
		return IdP{}, refuse("address", "The address for HTTP-Redirect brings a parameter along that a SAML request sets.")
	}
	given := i.Certificates
	i.Certificates = make([]string, 0, len(given))
	for _, text := range given {
		c, err := certificate(text)
		if err != nil {
			return IdP{}, err
		}
		if err := strong(c); err != nil {
			return IdP{}, err
		}
		if kept := encode(c); !slices.Contains(i.Certificates, kept) {
			i.Certificates = append(i.Certificates, kept)
		}
	}
	switch n := len(i.Certificates); {
	case n == 0:
		return IdP{}, refuse("certificate", "The provider has no certificate for signing.")
	case n > MaxCertificates:
		return IdP{}, refuse("certificates", "The provider has more than 10 certificates for signing.")
	}
	return i, nil
}

// isEntityID keeps the name spaces of issuers apart: dify: is core's own, oauth2: is of
// connections that have no issuer.
func isEntityID(s string) bool {
	lower := strings.ToLower(s)
	return len(s) > 0 && len(s) <= maxEntityID && visible(s) && !strings.HasPrefix(lower, "dify:") && !strings.HasPrefix(lower, "oauth2:")
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// IsAddress reports a single sign-on address: https, and http on this machine, for
// development; at most 2 048 visible ASCII characters without user and fragment. It is
// where a browser is sent, so whatever is no web address is none.
func IsAddress(s string) bool {
	if len(s) > maxAddress || !visible(s) {
		return false
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(s, "#") {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && local
}

// Clashes reports an address that brings along what our request would have twice (SAML 2.0
// Bindings, section 3.4.4.1): which of the two a provider reads nobody knows. A query that
// cannot be read has whatever one fears.
func Clashes(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return true
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return true
	}
	for _, name := range []string{"SAMLRequest", "SAMLResponse", "SAMLEncoding", "RelayState", "SigAlg", "Signature"} {
		if q.Has(name) {
			return true
		}
	}
	return false
}
