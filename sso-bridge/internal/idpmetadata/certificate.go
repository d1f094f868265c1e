// SPDX-License-Identifier: Apache-2.0

package idpmetadata

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"unicode"
)

// The strength of a provider's keys. A longer RSA key makes every verification dearer and
// nothing safer.
const (
	minRSA = 2048
	maxRSA = 8192
)

// Certificates gives a provider's certificates in the order in which they are kept. It
// returns an *Error for one that is none.
func Certificates(i IdP) ([]*x509.Certificate, error) {
	all := make([]*x509.Certificate, 0, len(i.Certificates))
	for _, text := range i.Certificates {
		c, err := certificate(text)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// Kept reads one certificate in the form in which facts are kept, DER in base64 without
// white space; false for another form, or a key by which a response could not be trusted.
func Kept(text string) (*x509.Certificate, bool) {
	c, err := certificate(text)
	return c, err == nil && encode(c) == text && strong(c) == nil
}

// Fingerprint gives the lower-case hex SHA-256 of a certificate's DER.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func encode(c *x509.Certificate) string { return base64.StdEncoding.EncodeToString(c.Raw) }

// certificate reads PEM, or DER in base64 with whatever white space.
func certificate(text string) (*x509.Certificate, error) {
	unread := refuse("certificate", "A certificate for signing is none: it must be X.509, as PEM or as base64 of its DER.")
	var der []byte
	if block, rest := pem.Decode([]byte(text)); block != nil {
		if block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, unread
		}
		der = block.Bytes
	} else {
		packed := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, text)
		var err error
		if der, err = base64.StdEncoding.Strict().DecodeString(packed); err != nil {
			unread.cause = err
			return nil, unread
		}
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		unread.cause = err
		return nil, unread
	}
	return c, nil
}

// strong refuses a key by which a response could not be trusted, or not be verified.
func strong(c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n >= minRSA && n <= maxRSA {
			return nil
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() || key.Curve == elliptic.P384() {
			return nil
		}
	}
	return refuse("weak_key", "A certificate for signing has a key that is not taken: RSA of 2048 to 8192 bits, or ECDSA on P-256 or P-384.")
}

// leaves gives the certificates of one X509Data without those that have issued another of
// it: the rest is a chain in no given order (XML Signature, section 4.5.4), and its
// authority signs no response.
func leaves(chain []string) ([]string, error) {
	if len(chain) < 2 {
		return chain, nil
	}
	all, err := Certificates(IdP{Certificates: chain})
	if err != nil {
		return nil, err
	}
	var found []string
	for i, c := range all {
		issued := false
		for j, other := range all {
			issued = issued || i != j && !bytes.Equal(other.RawSubject, c.RawSubject) && bytes.Equal(other.RawIssuer, c.RawSubject)
		}
		if !issued {
			found = append(found, chain[i])
		}
	}
	return found, nil
}
