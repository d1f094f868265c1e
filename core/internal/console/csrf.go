// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Refusals of a write whose origin or token does not fit.
var (
	ErrOriginNotAllowed = fault.New(fault.Forbidden, "origin_not_allowed", "This request did not come from this site's own pages.")
	ErrCSRFMismatch     = fault.New(fault.Forbidden, "csrf_mismatch", "This page is out of date. Load it again.")
)

// CSRFToken is bound to a session, or before sign-in to a pre-session: an HMAC of
// its digest, so that nothing is stored and another session's token does not fit.
func (s *Service) CSRFToken(session secret.Digest) string {
	return csrfToken(s.CSRFKey, session)
}

func csrfToken(key []byte, session secret.Digest) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(session[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// CheckCSRF compares a presented token in constant time and returns
// ErrCSRFMismatch.
func (s *Service) CheckCSRF(session secret.Digest, presented string) error {
	fits := subtle.ConstantTimeCompare([]byte(presented), []byte(s.CSRFToken(session)))
	if s.CSRFKeyPrevious != nil {
		fits |= subtle.ConstantTimeCompare([]byte(presented), []byte(csrfToken(s.CSRFKeyPrevious, session)))
	}
	if fits != 1 {
		return ErrCSRFMismatch
	}
	return nil
}

// Provenance is what a request says of where it came from.
type Provenance struct {
	FetchSite string // Sec-Fetch-Site
	Origin    string
	Referer   string
	// TokenInHeader: the CSRF token came in a header, which no form can set.
	TokenInHeader bool
	// Embedder: the route takes requests from pages of other origins, and Origin is one
	// that the installation lists.
	Embedder bool
}

// CheckProvenance judges a write on a cookie route: the headers that are sent must
// name public, and unless only what is sent counts, one of them must be there or
// the token stand in a header. An embedder passes when the browser says that its page
// is of the same site: from elsewhere the cookie would not have come, and a browser that
// says nothing cannot be told from one that hides it. It returns ErrOriginNotAllowed.
func CheckProvenance(p Provenance, public string, onlyWhatIsSent bool) error {
	if p.Embedder && p.FetchSite == "same-site" {
		return nil
	}
	if p.FetchSite != "" && p.FetchSite != "same-origin" {
		return ErrOriginNotAllowed
	}
	if p.Origin != "" && p.Origin != public {
		return ErrOriginNotAllowed
	}
	if onlyWhatIsSent || p.FetchSite != "" || p.Origin != "" || p.TokenInHeader || refererIs(p.Referer, public) {
		return nil
	}
	return ErrOriginNotAllowed
}

func refererIs(referer, public string) bool {
	u, err := url.Parse(referer)
	return err == nil && u.Host != "" && u.Scheme+"://"+u.Host == public
}
