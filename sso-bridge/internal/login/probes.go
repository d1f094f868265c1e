// SPDX-License-Identifier: Apache-2.0

package login

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// probe is one check of a protocol: the refusals by which it fails, in their order.
type probe struct {
	name  string
	of    []connection.Protocol // nil for all
	codes []failure.Code
}

// The protocols of the probes that not all of them have.
var (
	ofOIDC = []connection.Protocol{connection.OIDC}
	ofSAML = []connection.Protocol{connection.SAML}
	ofCode = []connection.Protocol{connection.OIDC, connection.OAuth2}
)

var probes = []probe{
	{"the answer is this attempt's", nil, []failure.Code{failure.AttemptExpired, failure.AttemptAlreadyUsed, failure.AttemptEnvelope, failure.ConnectionChanged, failure.CallbackMalformed, failure.CallbackMismatch}},
	{"the provider agreed", ofCode, []failure.Code{failure.OIDCDenied, failure.OIDCProviderError}},
	{"the provider can be reached", nil, []failure.Code{failure.SAMLMetadata, failure.OIDCDiscovery, failure.OIDCKeys, failure.ProviderUnreachable, failure.ProviderCircuitOpen}},
	{"the code was exchanged", ofCode, []failure.Code{failure.TokenEndpoint}},
	{"an ID token came", ofOIDC, []failure.Code{failure.IDTokenMissing, failure.OIDCTokenShape}},
	{algorithmCheck, ofOIDC, []failure.Code{failure.OIDCAlgorithm}},
	{"signature", ofOIDC, []failure.Code{failure.OIDCSignature}},
	{issuerCheck, ofOIDC, []failure.Code{failure.OIDCIssuer}},
	{"audience", ofOIDC, []failure.Code{failure.OIDCAudience}},
	{timeCheck, ofOIDC, []failure.Code{failure.OIDCTime}},
	{"nonce", ofOIDC, []failure.Code{failure.OIDCNonce}},
	{"hashes", ofOIDC, []failure.Code{failure.OIDCHash}},
	{"age of the sign-in", ofOIDC, []failure.Code{failure.OIDCStale}},
	{strengthCheck, ofOIDC, []failure.Code{failure.OIDCACR}},

	// The strict reader's, in the order of its rules.
	{"message", ofSAML, []failure.Code{failure.SAMLMalformed}},
	{"nothing is encrypted", ofSAML, []failure.Code{failure.SAMLEncryptionDisabled}},
	{"status", ofSAML, []failure.Code{failure.SAMLStatus}},
	{"structure", ofSAML, []failure.Code{failure.SAMLStructure}},
	{"form of the signature", ofSAML, []failure.Code{failure.SAMLSignatureShape}},
	{algorithmCheck, ofSAML, []failure.Code{failure.SAMLWeakAlgorithm}},
	{signedCheck, ofSAML, []failure.Code{failure.SAMLSignatureMissing}},
	{"signature", ofSAML, []failure.Code{failure.SAMLSignatureInvalid}},
	{certificateCheck, ofSAML, []failure.Code{failure.SAMLCertificateExpired}},
	{issuerCheck, ofSAML, []failure.Code{failure.SAMLIssuer}},
	{"destination", ofSAML, []failure.Code{failure.SAMLDestination}},
	{"the request that is answered", ofSAML, []failure.Code{failure.SAMLInResponseTo}},
	{"recipient and confirmation", ofSAML, []failure.Code{failure.SAMLRecipient, failure.SAMLConfirmation}},
	{"audience and conditions", ofSAML, []failure.Code{failure.SAMLAudience, failure.SAMLConditions}},
	{timeCheck, ofSAML, []failure.Code{failure.SAMLTime, failure.SAMLLifetime}},
	{"age of the sign-in", ofSAML, []failure.Code{failure.SAMLAuthnStatement, failure.SAMLStale}},
	{strengthCheck, ofSAML, []failure.Code{failure.SAMLContext}},
	{nameIDCheck, ofSAML, []failure.Code{failure.SAMLNameID}},
	{"attributes", ofSAML, []failure.Code{failure.SAMLAttribute}},
	{"used for the first time", ofSAML, []failure.Code{failure.SAMLReplay}},

	{"profile", ofCode, []failure.Code{failure.UserinfoFailed, failure.OAuth2Profile, failure.UserinfoSubject}},
}

// The checks of which connection and trace tell what was compared.
const (
	issuerCheck      = "issuer"
	algorithmCheck   = "algorithm"
	strengthCheck    = "strength of the sign-in"
	timeCheck        = "time"
	signedCheck      = "what is signed"
	certificateCheck = "certificate"
	nameIDCheck      = "NameID"
)

// interleaved are checks that the reader makes in turns: of one of them that refuses the
// others in its line may not have been reached.
var interleaved = [][]string{
	{"nothing is encrypted", "status", "structure"},
	{"recipient and confirmation", "audience and conditions", timeCheck},
}

// identityCheck stands for the judge's checks where it was not asked.
const identityCheck = "identity"

// inTurns takes back what was said of the checks that go with the one that refused.
func inTurns(list []Check) {
	for _, names := range interleaved {
		refused := func(c Check) bool { return c.Verdict == Refused && slices.Contains(names, c.Name) }
		if !slices.ContainsFunc(list, refused) {
			continue
		}
		for i, c := range list {
			if c.Verdict == Passed && slices.Contains(names, c.Name) {
				list[i].Verdict = NotReached
			}
		}
	}
}

// checks lists the protocol's checks, those before the one that refused as passed and
// those after it as not reached, and then the judge's. A failure that is no check's,
// such as a store that is down, leaves open what was reached.
func (r *callback) checks(f *failure.Error) []Check {
	var list []Check
	verdict := Passed
	if !r.judged && !slices.ContainsFunc(probes, func(p probe) bool { return slices.Contains(p.codes, f.Code) }) {
		verdict = NotReached
	}
	c := r.serving.Config
	for _, p := range probes {
		if p.of != nil && !slices.Contains(p.of, c.Protocol) {
			continue
		}
		check := Check{Name: p.name, Verdict: verdict}
		check.Expected, check.Got = noted(p.name, c, r.attempt.Trace)
		if !r.judged && slices.Contains(p.codes, f.Code) {
			check.Verdict, verdict = Refused, NotReached
			if f.Expected != "" || f.Got != "" {
				check.Expected, check.Got = f.Expected, f.Got
			}
		}
		list = append(list, check)
	}
	if !r.judged {
		if c.Protocol == connection.SAML {
			inTurns(list)
		}
		return append(list, Check{Name: identityCheck, Verdict: NotReached})
	}
	for _, c := range r.report.Checks {
		check := Check{Name: c.Name, Expected: shown(c.Expected, maxShownValue), Got: shown(c.Got, maxShownValue), Verdict: Passed}
		switch c.Verdict {
		case identity.Failed:
			check.Verdict = Refused
		case identity.Skipped:
			check.Verdict = NotReached
		}
		list = append(list, check)
	}
	return list
}

// noted gives what a check compared, where connection and trace tell it.
func noted(check string, c connection.Config, t Trace) (expected, got string) {
	switch {
	case c.OIDC != nil:
		return notedOfOIDC(check, *c.OIDC, t)
	case c.SAML != nil:
		return notedOfSAML(check, *c.SAML, t)
	}
	return "", ""
}

func notedOfOIDC(check string, c connection.OIDCConfig, t Trace) (expected, got string) {
	switch check {
	case issuerCheck:
		return c.Issuer, t.Issuer
	case algorithmCheck:
		return strings.Join(c.Algorithms, " "), strings.Join(t.Algorithms, " ")
	case strengthCheck:
		return strings.Join(c.ACRValues, " "), t.ACR
	case timeCheck:
		return notedSkew(connection.DefaultSkew, t)
	}
	return "", ""
}

func notedOfSAML(check string, c connection.SAMLConfig, t Trace) (expected, got string) {
	switch check {
	case issuerCheck:
		if expected = c.IdPEntityID; c.IdP != nil {
			expected = c.IdP.EntityID
		}
		return expected, t.Issuer
	case algorithmCheck:
		return "", strings.Join(t.Algorithms, " ")
	case signedCheck:
		return c.Signed, strings.Join(t.SignedParts, " ")
	case certificateCheck:
		if t.CertificateNotAfter != nil {
			return "", t.CertificateFingerprint + ", until " + t.CertificateNotAfter.UTC().Format(time.RFC3339)
		}
	case strengthCheck:
		return strings.Join(c.Contexts, " "), t.ACR
	case nameIDCheck:
		return strings.Join(c.SubjectFormats, " "), t.NameIDFormat
	case timeCheck:
		skew := c.Skew
		if skew == 0 {
			skew = connection.DefaultSkew
		}
		return notedSkew(skew, t)
	}
	return "", ""
}

// notedSkew says how far a clock may be off, and how far it was.
func notedSkew(most int, t Trace) (expected, got string) {
	if t.ClockSkew == nil {
		return "", ""
	}
	return "at most " + strconv.Itoa(most) + " s", strconv.FormatFloat(*t.ClockSkew, 'f', -1, 64) + " s"
}
