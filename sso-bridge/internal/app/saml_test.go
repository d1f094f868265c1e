// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

var act = connection.Act{Actor: "cli:ada"}

// moment is when a refusal was, which its page says.
var moment = regexp.MustCompile(`<time [^<]*</time>`)

func secretOf(text string) secret.Text { return secret.New(text) }

func TestALoginBySAML(t *testing.T) {
	b := newBridge(t, "")
	t.Run("SSO-56 SSO-90 from the start to core: redirect, answer, assertion", func(t *testing.T) {
		reference, to := b.leave()
		q, err := url.Parse(to.URL)
		if err != nil || !strings.HasPrefix(to.URL, "https://idp.example/sso?") || q.Query().Get("Signature") == "" || len(q.Query().Get("RelayState")) != 43 || to.Post != nil {
			t.Fatalf("%s, %v", to.URL, err)
		}
		form := b.idp.form(b.idp.answered(to))
		who := b.admitted(b.post("/sso/saml/acs/corp", form))
		if who.Issuer != entityOfIdP || who.Subject != "ada-1" || who.Email != "ada@corp.example" || who.Attempt != reference || who.Connection != "corp" || who.Nonce != strings.Repeat("n", 22) {
			t.Errorf("%+v", who)
		}
		r, err := b.Logins.Show(t.Context(), reference)
		if err != nil || r.State != "succeeded" || r.Protocol != "saml" || len(r.SignedParts) == 0 || r.CertificateFingerprint == "" || r.XMLElements == 0 || r.ClockSkew == nil {
			t.Errorf("%+v, %v", r, err)
		}
		log := b.log.taken()
		for _, text := range []string{form.Get("SAMLResponse"), form.Get("RelayState"), "ada@corp.example"} {
			if strings.Contains(log, text) {
				t.Error("the log holds what nobody may read")
			}
		}
		again := b.refused(b.post("/sso/saml/acs/corp", form), failure.AttemptAlreadyUsed)
		if again.PublicCode != "sso_already_used" {
			t.Errorf("%+v", again)
		}
	})
	t.Run("SAML-30 50 posts at once", func(t *testing.T) {
		_, to := b.leave()
		form := b.idp.form(b.idp.answered(to))
		var mu sync.Mutex
		var all []got
		var posts sync.WaitGroup
		for range 50 {
			posts.Go(func() {
				g := b.post("/sso/saml/acs/corp", form)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, g)
			})
		}
		posts.Wait()
		won := 0
		for _, g := range all {
			if strings.Contains(g.header.Get("Location"), "sso_assertion=") {
				won++
				continue
			}
			b.refused(g, failure.AttemptAlreadyUsed)
		}
		if won != 1 {
			t.Errorf("%d won", won)
		}
	})
	t.Run("SAML-31 SAML-33 SSO-50 the answers of two logins, crossed", func(t *testing.T) {
		_, one := b.leave()
		_, two := b.leave()
		a, c := b.idp.form(b.idp.answered(one)), b.idp.form(b.idp.answered(two))
		a["RelayState"], c["RelayState"] = c["RelayState"], a["RelayState"]
		b.refused(b.post("/sso/saml/acs/corp", a), failure.SAMLInResponseTo)
		b.refused(b.post("/sso/saml/acs/corp", c), failure.SAMLInResponseTo)
	})
	t.Run("SAML-32 SAML-34 a portal's answer is nobody's, and its RelayState no address", func(t *testing.T) {
		_, to := b.leave()
		form := b.idp.form(b.idp.answered(to))
		for _, state := range []string{"", "https://evil.example/", "//evil.example"} {
			g := b.post("/sso/saml/acs/corp", url.Values{"SAMLResponse": form["SAMLResponse"], "RelayState": {state}})
			b.refused(g, failure.SAMLUnsolicited)
			if !strings.HasPrefix(g.header.Get("Location"), bridgeAt+"/sso/error/") {
				t.Error(g.header.Get("Location"))
			}
		}
		b.admitted(b.post("/sso/saml/acs/corp", form)) // the handle was not touched
	})
	t.Run("SAML-57 SSO-92 refusals of one public code are equal but for the reference", func(t *testing.T) {
		text := func(element *etree.Element, path, to string) {
			if found := element.FindElement(path); found != nil {
				found.SetText(to)
			}
		}
		var first string
		for code, edit := range map[failure.Code]func(root *etree.Element){
			failure.SAMLSignatureInvalid: func(root *etree.Element) { text(root, ".//NameID", "eve") },
			failure.SAMLStructure:        func(root *etree.Element) { root.CreateAttr("Version", "1.1") },
			failure.SAMLMalformed:        func(root *etree.Element) { root.CreateComment("x") },
			failure.SAMLEncryptionDisabled: func(root *etree.Element) {
				el := root.CreateElement("EncryptedAssertion")
				el.CreateAttr("xmlns", "urn:oasis:names:tc:SAML:2.0:assertion")
			},
		} {
			_, to := b.leave()
			g := b.post("/sso/saml/acs/corp", altered(t, b.idp.form(b.idp.answered(to)), edit))
			r := b.refused(g, code)
			for _, header := range []string{"Date", "X-Request-Id", "Ratelimit-Remaining", "Ratelimit-Reset"} {
				g.header.Del(header)
			}
			var wire strings.Builder
			if err := g.header.Write(&wire); err != nil {
				t.Fatal(err)
			}
			page := b.ask("GET", "/sso/error/"+r.Reference, "")
			whole := moment.ReplaceAllString(strings.ReplaceAll(wire.String()+g.body+page.body, r.Reference, "REFERENCE"), "TIME")
			if first == "" {
				first = whole
			}
			if whole != first || page.status != 200 {
				t.Errorf("%s: %s\n%s", code, whole, first)
			}
		}
	})
	t.Run("SSO-93 a provider that signs with another key: last_good names the certificate, and nothing else", func(t *testing.T) {
		other := rotated()
		b.idp.idp.Key, b.idp.idp.Certificate = other.key, other.cert
		defer func() { b.idp.idp.Key, b.idp.idp.Certificate = signing().key, signing().cert }()
		_, to := b.leave()
		r := b.refused(b.post("/sso/saml/acs/corp", b.idp.form(b.idp.answered(to))), failure.SAMLSignatureInvalid)
		if r.LastGood == nil || strings.Join(r.LastGood.Diff, ", ") != "certificate" {
			t.Errorf("%+v", r.LastGood)
		}
	})
	t.Run("SSO-93 another format of the NameID", func(t *testing.T) {
		b.idp.session.NameIDFormat = ""
		defer func() { b.idp.session.NameIDFormat = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent" }()
		_, to := b.leave()
		r := b.refused(b.post("/sso/saml/acs/corp", b.idp.form(b.idp.answered(to))), failure.SAMLNameID)
		if r.LastGood == nil || strings.Join(r.LastGood.Diff, ", ") != "format" {
			t.Errorf("%+v", r.LastGood)
		}
	})
	t.Run("SSO-95 SSO-93 clocks that differ by 2 and 10 minutes are a matter of time, and measured", func(t *testing.T) {
		for _, c := range []struct {
			ahead time.Duration // the provider's clock
			code  failure.Code  // empty where the answer's own life is long enough
		}{
			{2 * time.Minute, failure.SAMLTime}, {-2 * time.Minute, ""}, {10 * time.Minute, failure.SAMLTime}, {-10 * time.Minute, failure.SAMLTime},
		} {
			reference, to := b.leave()
			g := b.post("/sso/saml/acs/corp", b.idp.form(moved(b.idp.answered(to), c.ahead)))
			if c.code == "" {
				b.admitted(g)
			} else {
				b.refused(g, c.code)
			}
			r, err := b.Logins.Show(t.Context(), reference)
			if err != nil || r.ClockSkew == nil || *r.ClockSkew > c.ahead.Seconds()+30 || *r.ClockSkew < c.ahead.Seconds()-30 {
				t.Errorf("%s: measured %v, %v", c.ahead, r.ClockSkew, err)
			}
			if c.code != "" && (r.LastGood == nil || strings.Join(r.LastGood.Diff, ", ") != "skew") {
				t.Errorf("%s: %+v", c.ahead, r.LastGood)
			}
		}
	})
	ofStagedKey(b)
	t.Run("SAML-54 SSO-63 the jobs of certificates, keys and metadata end well", func(t *testing.T) {
		b.log.taken()
		for _, job := range b.Jobs() {
			if _, err := job.Do(t.Context()); err != nil {
				t.Errorf("%s: %v", job.Name, err)
			}
		}
		if text := b.log.taken(); strings.Contains(text, "level=WARN") {
			t.Error(text)
		}
	})
	ofMetadata(b)
}

func TestALoginBySAMLThatIsPosted(t *testing.T) {
	b := newBridge(t, ", sso_binding: post")
	t.Run("SSO-96 a provider of the POST binding, and the shared consumer service", func(t *testing.T) {
		_, to := b.leave()
		if to.URL != "https://idp.example/sso" || len(to.Post) != 2 {
			t.Fatalf("%+v", to)
		}
		who := b.admitted(b.post("/sso/saml/acs", b.idp.form(b.idp.answered(to))))
		if who.Subject != "ada-1" {
			t.Errorf("%+v", who)
		}
		_, to = b.leave()
		b.refused(b.post("/sso/saml/acs/corp", b.idp.form(b.idp.answered(to))), failure.CallbackMismatch)
	})
}

// ofMetadata ends by disabling the connection.
func ofMetadata(b *bridge) {
	b.t.Run("SSO-63 SAML-56 of a connection that serves, that is disabled, and of none", func(t *testing.T) {
		g := b.ask("GET", "/sso/saml/metadata/corp", "")
		if g.status != 200 || !strings.Contains(g.body, bridgeAt+"/sso/saml/acs/corp") || strings.Contains(g.body, "encryption") || strings.Contains(g.body, "PRIVATE") {
			t.Errorf("%d %s", g.status, g.body)
		}
		if _, err := b.Connections.Disable(t.Context(), "corp", act, true); err != nil {
			t.Fatal(err)
		}
		if again := b.ask("GET", "/sso/saml/metadata/corp", ""); again.status != 200 || again.header.Get("ETag") != g.header.Get("ETag") {
			t.Errorf("%d, %+v", again.status, again.header)
		}
		for _, id := range []string{"nobody", "x%2fy", strings.Repeat("a", 300)} {
			if got := b.ask("GET", "/sso/saml/metadata/"+id, ""); got.status != 404 {
				t.Errorf("%s: %d", id, got.status)
			}
		}
	})
}

func ofStagedKey(b *bridge) {
	b.t.Run("SSO-63 a test signed with the staged key proves it", func(t *testing.T) {
		if _, err := b.Signers.Stage(t.Context(), "corp", "cli:ada"); err != nil {
			t.Fatal(err)
		}
		begun, err := b.Logins.BeginTest(t.Context(), login.TestOrder{Connection: "corp", Actor: "cli:ada", NextKey: true, Locale: "en"})
		if err != nil {
			t.Fatal(err)
		}
		g := b.ask("GET", strings.TrimPrefix(begun.StartURL, bridgeAt), "")
		req := b.idp.answered(login.Destination{URL: g.header.Get("Location")})
		back := b.post("/sso/saml/acs/corp", b.idp.form(req))
		if !strings.HasPrefix(back.header.Get("Location"), bridgeAt+"/sso/test/") {
			t.Fatalf("%s\n%s", back.header.Get("Location"), b.log.taken())
		}
		keys, err := b.Signers.List(t.Context(), "corp")
		if err != nil {
			t.Fatal(err)
		}
		tested := 0
		for _, k := range keys {
			if k.TestedAt != nil {
				tested++
				if k.State != "next" {
					t.Errorf("%+v", k)
				}
			}
		}
		if tested != 1 {
			t.Errorf("%d keys are proven", tested)
		}
	})
}
