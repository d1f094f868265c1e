// SPDX-License-Identifier: Apache-2.0

package login

import (
	"encoding/hex"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// traceInfo is the info of the key under which a trace names people and domains.
const traceInfo = "sso.trace.subject"

// hashSize is how much of a hash a trace keeps, in hexadecimal digits: enough to see
// that two attempts were one person's, too little to be looked up elsewhere.
const hashSize = 16

// hasher names people for a trace. Only this installation can say whose a name is.
type hasher []byte

func newHasher(key secret.Text) (hasher, error) { return secret.Derive(key, traceInfo) }

func (h hasher) of(text string) string {
	if text == "" {
		return ""
	}
	d := secret.MACOf(h, text)
	return hex.EncodeToString(d[:])[:hashSize]
}

// subject joins issuer and subject by a byte that neither holds.
func (h hasher) subject(issuer, subject string) string {
	if issuer == "" || subject == "" {
		return ""
	}
	return h.of(issuer + "\x1f" + subject)
}

// The bounds of what a provider's claims may write into a trace.
const (
	maxClaims    = 64
	maxClaimName = 64
	maxACR       = 200
)

// seen notes what came, without a value of it.
func (h hasher) seen(t *Trace, c identity.Claims, now time.Time) {
	if t.Issuer == "" {
		t.Issuer = shown(c.Issuer, maxACR)
	}
	if t.ACR == "" { // else the protocol has noted it, of an answer that was refused too
		t.ACR = shown(c.ACR, maxACR)
	}
	if t.AuthAge == nil && c.AuthTime > 0 {
		age := now.Unix() - c.AuthTime
		t.AuthAge = &age
	}
	for _, claim := range c.Seen[:min(len(c.Seen), maxClaims)] {
		t.ClaimNames = append(t.ClaimNames, shown(claim.Name, maxClaimName))
		t.ClaimSizes = append(t.ClaimSizes, len(claim.Value))
	}
	if c.GroupsPresent {
		n := len(c.Groups)
		t.GroupCount = &n
	}
	t.Overage = c.Overage
	t.SubjectHash = h.subject(c.Issuer, c.Subject)
	if len(c.Emails) == 1 {
		if _, domain, ok := strings.Cut(strings.ToLower(c.Emails[0]), "@"); ok {
			t.EmailDomain = h.of(domain)
		}
	}
}

// shown bounds a provider's text and takes what would confuse a reader out of it.
func shown(s string, most int) string {
	out := make([]rune, 0, min(len(s), most))
	for _, r := range s {
		if len(out) == most {
			break
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}

// families are the browsers that a trace tells apart, each before those that it claims
// to be as well.
var families = []struct {
	name  string
	shape *regexp.Regexp
}{
	{"Edge", regexp.MustCompile(`Edg(?:e|A|iOS)?/(\d{1,4})`)},
	{"Opera", regexp.MustCompile(`OPR/(\d{1,4})`)},
	{"Firefox", regexp.MustCompile(`(?:Firefox|FxiOS)/(\d{1,4})`)},
	{"Chrome", regexp.MustCompile(`(?:Chrome|CriOS)/(\d{1,4})`)},
	{"Safari", regexp.MustCompile(`Version/(\d{1,4})[.\d]* .*Safari/`)},
}

// maxUserAgent is how much of a User-Agent is looked at, in bytes.
const maxUserAgent = 512

// browserOf reads a user agent coarsely: nothing in a trace tells one person's browser
// from another's.
func browserOf(userAgent string) *Browser {
	if userAgent == "" {
		return nil
	}
	userAgent = userAgent[:min(len(userAgent), maxUserAgent)]
	for _, f := range families {
		if m := f.shape.FindStringSubmatch(userAgent); m != nil {
			return &Browser{Family: f.name, Major: m[1]}
		}
	}
	return &Browser{Family: "other"}
}

// The prefixes to which addresses are cut, in bits.
const (
	cutV4 = 24
	cutV6 = 48
)

// NetworkOf cuts an address to its network, /24 or /48. What is no address gives nothing.
func NetworkOf(address string) string {
	text, _, _ := strings.Cut(address, "/")
	a, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	bits := cutV6
	if a.Is4() {
		bits = cutV4
	}
	return netip.PrefixFrom(a, bits).Masked().String()
}

// skewMatters is the difference between two measured skews that is worth naming, in
// seconds.
const skewMatters = 30

// differences names what changed between a connection's last success and a failure, of
// which facts are the catalogue's. It names only what the failed attempt came far enough
// to show.
func differences(good, now Attempt, facts map[string]string) []string {
	diff := []string{}
	say := func(what string, changed bool) {
		if changed && !slices.Contains(diff, what) {
			diff = append(diff, what)
		}
	}
	g, n := good.Trace, now.Trace
	other := func(g, n string) bool { return g != "" && n != "" && g != n }
	others := func(g, n []string) bool { return len(g) > 0 && len(n) > 0 && !slices.Equal(g, n) }
	if about, ok := aspects[now.Code]; ok {
		say(about, true)
	}
	say("configuration", good.Revision != now.Revision)
	say("address", other(g.ProviderHost, n.ProviderHost))
	say("issuer", other(g.Issuer, n.Issuer))
	say("certificate", other(g.CertificateFingerprint, n.CertificateFingerprint) || anotherKey(g, now.Code, facts))
	say("signed parts", others(g.SignedParts, n.SignedParts))
	say("algorithm", others(g.Algorithms, n.Algorithms))
	say("format", other(g.NameIDFormat, n.NameIDFormat))
	say("skew", g.ClockSkew != nil && n.ClockSkew != nil && abs(*n.ClockSkew-*g.ClockSkew) >= skewMatters)
	say("acr", len(n.ClaimNames) > 0 && g.ACR != n.ACR)
	if len(n.ClaimNames) > 0 {
		for _, name := range g.ClaimNames {
			say("claim gone: "+name, !slices.Contains(n.ClaimNames, name))
		}
	}
	return diff
}

// aspects are the codes that say by themselves what is different.
var aspects = map[failure.Code]string{
	failure.CallbackMismatch: "address", failure.SAMLDestination: "address", failure.SAMLRecipient: "address",
	failure.OIDCIssuer: "issuer", failure.SAMLIssuer: "issuer", failure.OIDCAudience: "audience", failure.SAMLAudience: "audience",
	failure.SAMLCertificateExpired: "certificate", failure.SAMLSignatureMissing: "signed parts",
	failure.OIDCAlgorithm: "algorithm", failure.SAMLWeakAlgorithm: "algorithm",
	failure.OIDCTime: "skew", failure.SAMLTime: "skew", failure.SAMLContext: "acr",
	failure.OIDCTokenShape: "format", failure.SubjectMalformed: "format", failure.EmailMalformed: "format", failure.EmailAmbiguous: "format",
	failure.SAMLNameID: "format", failure.SAMLAttribute: "format",
}

// anotherKey reports whether a signature that does not verify is by another key than the
// last good one. Its KeyInfo says so, which is no reason to trust anything and does to
// explain; without one a new key is likelier than an altered message.
func anotherKey(good Trace, code failure.Code, facts map[string]string) bool {
	named := strings.ToLower(facts["keyinfo_fingerprint"])
	return code == failure.SAMLSignatureInvalid && good.CertificateFingerprint != "" && (named == "" || !strings.HasPrefix(good.CertificateFingerprint, named))
}

func abs(f float64) float64 { return max(f, -f) }
