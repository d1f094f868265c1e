// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

const persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"

// read is what the reader notes of a good response.
func read(t *login.Trace) {
	ends, skew := start.Add(1000*time.Hour), 0.5
	t.ProviderHost, t.Algorithms, t.SignedParts, t.XMLElements = "idp.example", []string{"rsa-sha256", "sha256"}, []string{"assertion"}, 40
	t.CertificateFingerprint, t.CertificateNotAfter = strings.Repeat("ab", 32), &ends
	t.NameIDFormat, t.ClockSkew, t.Issuer = persistent, &skew, "https://idp.example"
}

func TestWhatChangedAtASAMLProvider(t *testing.T) {
	skew := func(s float64) *float64 { return &s }
	for name, c := range map[string]struct {
		change func(t *login.Trace, c *identity.Claims)
		f      *failure.Error
		want   string
	}{
		"nothing": {func(*login.Trace, *identity.Claims) {}, failure.New(failure.SAMLReplay), ""},
		"the certificate, by which a response was signed that is refused for something else": {func(t *login.Trace, _ *identity.Claims) {
			t.CertificateFingerprint = strings.Repeat("cd", 32)
		}, failure.New(failure.SAMLAuthnStatement), "certificate"},
		"the certificate, which is not known here": {func(t *login.Trace, c *identity.Claims) {
			*t, *c = login.Trace{Algorithms: t.Algorithms, SignedParts: t.SignedParts}, identity.Claims{}
		}, failure.New(failure.SAMLSignatureInvalid).With("keyinfo_fingerprint", strings.Repeat("cd", 32)), "certificate"},
		"nothing but the message, which was altered": {func(t *login.Trace, c *identity.Claims) {
			*t, *c = login.Trace{Algorithms: t.Algorithms}, identity.Claims{}
		}, failure.New(failure.SAMLSignatureInvalid).With("keyinfo_fingerprint", strings.Repeat("ab", 32)), ""},
		"the format of the NameID": {func(t *login.Trace, c *identity.Claims) {
			t.NameIDFormat, *c = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient", identity.Claims{}
		}, failure.New(failure.SAMLNameID), "format"},
		"an attribute is gone":        {func(_ *login.Trace, c *identity.Claims) { c.Seen = c.Seen[:1] }, failure.New(failure.EmailMissing), "claim gone: email"},
		"our address at the provider": {func(*login.Trace, *identity.Claims) {}, failure.New(failure.SAMLRecipient), "address"},
		"the destination":             {func(*login.Trace, *identity.Claims) {}, failure.New(failure.SAMLDestination), "address"},
		"the audience":                {func(*login.Trace, *identity.Claims) {}, failure.New(failure.SAMLAudience), "audience"},
		"the clock":                   {func(t *login.Trace, _ *identity.Claims) { t.ClockSkew = skew(120) }, failure.New(failure.SAMLTime), "skew"},
		"the algorithm": {func(t *login.Trace, _ *identity.Claims) {
			t.Algorithms = []string{"rsa-sha1", "sha1"}
		}, failure.New(failure.SAMLWeakAlgorithm), "algorithm"},
		"the tenant": {func(t *login.Trace, _ *identity.Claims) { t.Issuer = "https://other.example" }, failure.New(failure.SAMLIssuer), "issuer"},
		"what is signed": {func(t *login.Trace, _ *identity.Claims) {
			t.SignedParts = []string{"response"}
		}, failure.New(failure.SAMLSignatureMissing), "signed parts"},
	} {
		t.Run("SSO-93 "+name, func(t *testing.T) {
			w := newWorld(t)
			w.saml.verify = func(_ login.Answer, t *login.Trace) (identity.Claims, error) { read(t); return ada(), nil }
			b, handle := w.leave("corp")
			w.assertion(w.Finish(t.Context(), response("corp", handle, "bWVzc2FnZQ==")))
			w.clock.Advance(time.Minute)
			w.saml.verify = func(_ login.Answer, t *login.Trace) (identity.Claims, error) {
				read(t)
				claims := ada()
				c.change(t, &claims)
				return claims, c.f
			}
			_, handle = w.leave("corp")
			r, err := w.Show(t.Context(), w.refused(w.Finish(t.Context(), response("corp", handle, "bWVzc2FnZQ==")), c.f.Code))
			if err != nil || r.LastGood == nil || r.LastGood.Reference != b.Reference || strings.Join(r.LastGood.Diff, ", ") != c.want {
				t.Errorf("%+v, %v", r.LastGood, err)
			}
		})
	}
}

func TestATraceOfSAML(t *testing.T) {
	w := newWorld(t)
	over := start.Add(-time.Hour)
	w.saml.verify = func(_ login.Answer, t *login.Trace) (identity.Claims, error) {
		read(t)
		t.CertificateExpired, t.CertificateNotAfter, t.MetadataDigest = true, &over, strings.Repeat("e", 64)
		return ada(), nil
	}
	b, handle := w.leave("corp")
	w.assertion(w.Finish(t.Context(), response("corp", handle, "bWVzc2FnZS1vZi1hZGE=")))
	t.Run("SSO-90 SSO-48 a login by SAML keeps what was noted, and nothing of the message", func(t *testing.T) {
		r, err := w.Show(t.Context(), b.Reference)
		if err != nil || r.Protocol != "saml" || r.ResponseBytes != 4567 || r.XMLElements != 40 || r.SignedParts[0] != "assertion" || r.NameIDFormat != persistent || r.MetadataDigest == "" || r.CertificateFingerprint == "" {
			t.Errorf("%+v, %v", r.Trace, err)
		}
		for _, text := range []string{"bWVzc2FnZS1vZi1hZGE=", handle, "ada@acme.example"} {
			if strings.Contains(w.log.String(), text) {
				t.Errorf("the log has %s", text)
			}
		}
	})
	t.Run("SAML-54 a certificate that is over lets people in, and is said in trace and log", func(t *testing.T) {
		r, _ := w.Show(t.Context(), b.Reference)
		if !r.CertificateExpired || !r.CertificateNotAfter.Equal(over) || r.State != "succeeded" {
			t.Errorf("%+v", r.Trace)
		}
		if !strings.Contains(w.log.String(), `"level":"WARN"`) || !strings.Contains(w.log.String(), `"code":"saml_certificate_expired","not_after":"2026-03-01T11:00:00Z"`) {
			t.Error(w.log)
		}
	})
}

// testedBySAML runs a test of corp and gives its page.
func (w *world) testedBySAML() login.Result {
	w.t.Helper()
	b, err := w.BeginTest(w.t.Context(), login.TestOrder{Connection: "corp", Actor: "cli:ada"})
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := w.Start(w.t.Context(), ticketOf(b), firefox)
	if err != nil {
		w.t.Fatal(err)
	}
	opener, _ := strings.CutPrefix(w.Finish(w.t.Context(), response("corp", stateOf(w.t, d.URL), "bWVzc2FnZQ==")), public+"/sso/test/")
	r, err := w.TestResult(w.t.Context(), secret.New(opener), d.TestCookie)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestThePageOfASAMLTest(t *testing.T) {
	w := newWorld(t)
	w.registry.change("corp", func(c *connection.Serving) {
		c.Config.SAML.SubjectFormats, c.Config.SAML.Contexts, c.Config.SAML.Skew = []string{persistent}, []string{"urn:mfa"}, 120
	})
	checks := func(r login.Result) (names []string, by map[string]login.Check) {
		by = map[string]login.Check{}
		for _, c := range r.Checks {
			names = append(names, c.Name)
			if _, known := by[c.Name]; !known { // the judge looks at the issuer too
				by[c.Name] = c
			}
		}
		return names, by
	}
	t.Run("SSO-80 each check of the reader in its order, with what was compared", func(t *testing.T) {
		w.saml.verify = func(_ login.Answer, t *login.Trace) (identity.Claims, error) { read(t); return ada(), nil }
		r := w.testedBySAML()
		names, by := checks(r)
		const want = "the answer is this attempt's, the provider can be reached, message, nothing is encrypted, status, structure, form of the signature, algorithm, " +
			"what is signed, signature, certificate, issuer, destination, the request that is answered, recipient and confirmation, audience and conditions, " +
			"time, age of the sign-in, strength of the sign-in, NameID, attributes, used for the first time, issuer_owner, subject"
		if got := strings.Join(names, ", "); !strings.HasPrefix(got, want) || !r.Passed {
			t.Errorf("%t: %s", r.Passed, got)
		}
		for name, want := range map[string][2]string{
			"issuer": {"https://idp.example", "https://idp.example"}, "what is signed": {"either", "assertion"}, "algorithm": {"", "rsa-sha256 sha256"},
			"certificate": {"", strings.Repeat("ab", 32) + ", until 2026-04-12T04:00:00Z"}, "NameID": {persistent, persistent},
			"strength of the sign-in": {"urn:mfa", "urn:plain"}, "time": {"at most 120 s", "0.5 s"}, "status": {"", ""},
		} {
			if c := by[name]; c.Verdict != login.Passed || c.Expected != want[0] || c.Got != want[1] {
				t.Errorf("%s: %+v", name, c)
			}
		}
	})
	t.Run("SSO-80 one that refuses: those before it passed, those after it were not reached", func(t *testing.T) {
		w.saml.verify = func(_ login.Answer, t *login.Trace) (identity.Claims, error) {
			read(t)
			return identity.Claims{}, failure.New(failure.SAMLAudience).Showing("ours", "theirs")
		}
		r := w.testedBySAML()
		_, by := checks(r)
		if c := by["audience and conditions"]; r.Passed || c.Verdict != login.Refused || c.Expected != "ours" || c.Got != "theirs" {
			t.Errorf("%+v", c)
		}
		if by["signature"].Verdict != login.Passed || by["recipient and confirmation"].Verdict != login.NotReached || by["status"].Verdict != login.Passed || by["NameID"].Verdict != login.NotReached || by["identity"].Verdict != login.NotReached {
			t.Errorf("%+v", by)
		}
	})
	t.Run("SSO-80 each refusal of SAML is one of a check", func(t *testing.T) {
		for _, code := range failure.Codes() {
			if !strings.HasPrefix(string(code), "saml_") || code == failure.SAMLUnsolicited {
				continue
			}
			w.saml.verify = func(login.Answer, *login.Trace) (identity.Claims, error) {
				return identity.Claims{}, failure.New(code)
			}
			refused := 0
			for _, c := range w.testedBySAML().Checks {
				if c.Verdict == login.Refused {
					refused++
				}
			}
			if refused != 1 {
				t.Errorf("%s: %d", code, refused)
			}
		}
	})
}
