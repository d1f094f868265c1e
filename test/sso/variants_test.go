// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// clientKey is a key for private_key_jwt: as PEM for the bridge, as JWKS for the provider.
func clientKey(t testing.TB) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "client", "x": b64(point[1:33]), "y": b64(point[33:])},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), string(set)
}

// Every way in which the provider can be set up, each with a connection of its own.
func TestProviderVariants(t *testing.T) {
	t.Parallel()
	in := newInstall(t, plan{})
	private, public := clientKey(t)
	pem := in.file("client.pem", private)
	variants := []struct {
		id      string
		environ []string
		oidc    []string
	}{
		{"plain", nil, nil},
		{"thin", []string{"THIN=yes"}, nil},
		{"post", []string{"AUTH=client_secret_post"}, []string{"auth: client_secret_post"}},
		{"jwt", []string{"AUTH=private_key_jwt", "JWKS=" + public}, []string{"auth: private_key_jwt", "private_key_file: " + pem, "key_id: client", "key_algorithm: ES256", "assertion_audience: issuer"}},
		{"form", nil, []string{"response_mode: form_post"}},
	}
	var all []string
	for _, v := range variants {
		idp := newProvider(t, []string{in.callback(v.id)}, v.environ...)
		all = append(all, idp.connection(in, v.id, v.oidc, "domains: ["+v.id+".test]", "restrict_to_domains: false"))
	}
	in.configure(all...)
	for _, v := range variants {
		t.Run("SSO-68 "+v.id+" signs in", func(t *testing.T) {
			w, b := in.client(v.id), newBrowser(t)
			p := w.chooser(b).click("sso-initiate").must(http.StatusOK, "connection="+v.id)
			p = p.click("connection=" + v.id)
			if v.id == "form" { // the provider's page posts by script
				p = p.submit("/sso/oidc/callback")
			}
			p.must(http.StatusOK, "Alice Liddell").submit("approve-external")
			if tok := w.token(); !strings.HasPrefix(tok.AccessToken, "dfoe_") {
				t.Error("no external token")
			}
			for _, hop := range b.visited {
				if q := hop.Query(); q.Get("code_challenge") != "" {
					t.Errorf("the last act went to the provider: %s", hop.Redacted())
				}
			}
		})
	}
	t.Run("SSO-68 OIDC-16 the authorization address has S256, a nonce and the handle, and no verifier", func(t *testing.T) {
		w, b := in.client("addresses"), newBrowser(t)
		w.chooser(b).click("sso-initiate").click("connection=plain").must(http.StatusOK, "Alice Liddell")
		var seen bool
		for _, hop := range b.visited {
			q := hop.Query()
			if q.Get("response_type") != "code" {
				continue
			}
			seen = true
			for name, shape := range map[string]string{
				"code_challenge_method": `^S256$`, "code_challenge": `^[A-Za-z0-9_-]{43}$`, "nonce": `^[A-Za-z0-9_-]{22,}$`, "state": `^[A-Za-z0-9_-]{43}$`,
				"redirect_uri": `^` + regexp.QuoteMeta(in.callback("plain")) + `$`,
			} {
				if !regexp.MustCompile(shape).MatchString(q.Get(name)) {
					t.Errorf("%s is %q", name, q.Get(name))
				}
			}
			if q.Has("code_verifier") {
				t.Error("the verifier stands in the address")
			}
		}
		if !seen {
			t.Fatal("no authorization address was visited")
		}
	})
}

var referenceText = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}`)

// explained asserts that a failed page shows a reference by which the administrator finds
// the cause, in trace, audit and log alike.
func (in *install) explained(p *page, code string) (reference string) {
	in.t.Helper()
	reference = referenceText.FindString(p.body)
	if reference == "" {
		in.t.Fatalf("the page shows no reference:\n%s", p.body)
	}
	// The address of the page, which its language switch repeats, has the public code.
	if strings.Contains(strings.ReplaceAll(p.body, "sso_"+code, ""), code) {
		in.t.Errorf("the page shows the cause %s", code)
	}
	shown := in.operate("attempts", "show", reference)
	if !strings.Contains(shown, code) {
		in.t.Errorf("attempts show does not name %s:\n%s", code, shown)
	}
	for what, text := range map[string]string{"log": in.logs(), "audit": in.operate("audit", "list", "-o", "json")} {
		if !strings.Contains(text, reference) || !strings.Contains(text, code) {
			in.t.Errorf("the %s does not join %s with %s", what, reference, code)
		}
	}
	return reference
}

// typed goes the way of the e-mail form.
func (w *waiting) typed(b *browser, email string) *page {
	w.in.t.Helper()
	choose := b.hop(w.chooser(b), http.MethodGet, w.in.core.url+"/openapi/v1/oauth/device/sso-initiate?user_code="+url.QueryEscape(w.auth.UserCode)+"&email="+url.QueryEscape(email), nil)
	if choose.status == http.StatusFound {
		return b.travel(choose, http.MethodGet, choose.header.Get("Location"), nil, 20)
	}
	return choose.must(http.StatusOK, "/sso/start/").click("/sso/start/")
}

// What a provider or a person does wrong is refused in words, with a reference.
func TestFailuresExplainThemselves(t *testing.T) {
	t.Parallel()
	in, idp := one(t, plan{}, nil)
	for _, tc := range []struct{ name, person, sentence, code string }{
		{"SSO-71 OIDC-20 mallory states alice's address unverified", "mallory", "did not send an e-mail address we can accept", "email_not_verified"},
		{"SSO-90 a person without an address", "nomail", "did not send an e-mail address we can accept", "email_missing"},
		{"SSO-90 a person whom the provider does not know", "nobody", "was cancelled", "oidc_denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, b := in.client(tc.code), newBrowser(t)
			p := w.typed(b, tc.person+"@corp.test").must(http.StatusOK, tc.sentence)
			in.explained(p, tc.code)
			w.pending()
		})
	}

	t.Run("SSO-46 a domain that nobody owns begins nothing", func(t *testing.T) {
		w, b := in.client("elsewhere"), newBrowser(t)
		w.typed(b, "eve@elsewhere.test").must(http.StatusOK, "could not find a company sign-in")
		w.pending()
	})
	t.Run("SSO-90 the client secret is wrong", func(t *testing.T) {
		right := idp.secret
		idp.secret = "another secret, of another application"
		in.configure(idp.connection(in, "corp", nil, "domains: [corp.test]"))
		w := in.client("wrong secret")
		in.explained(w.arrive(newBrowser(t)).must(http.StatusOK, "something we cannot accept"), "token_endpoint_failed")
		if strings.Contains(in.logs(), idp.secret) {
			t.Error("OIDC-34: the secret stands in the log")
		}
		idp.secret = right
		in.configure(idp.connection(in, "corp", nil, "domains: [corp.test]"))
		in.client("right again").arrive(newBrowser(t)).must(http.StatusOK, "Alice Liddell")
	})
	t.Run("SSO-92 two failures of one public code look alike but for the reference", func(t *testing.T) {
		var pages []string
		for _, person := range []string{"mallory", "nomail"} {
			p := in.client("alike").typed(newBrowser(t), person+"@corp.test")
			pages = append(pages, variable.ReplaceAllString(referenceText.ReplaceAllString(p.body, ""), ""))
		}
		if pages[0] != pages[1] {
			t.Errorf("they differ:\n%s\n%s", pages[0], pages[1])
		}
	})
	t.Run("SSO-90 OUT-04 the provider goes down before the code is redeemed", func(t *testing.T) {
		w, b := in.client("down"), newBrowser(t)
		callback := w.upTo(b, "/sso/oidc/callback")
		idp.kill()
		in.explained(b.travel(nil, http.MethodGet, callback, nil, 20).must(http.StatusOK, "did not answer"), "provider_unreachable")
		w.pending()
	})
}

// variable is what differs between any two pages of one kind.
var variable = regexp.MustCompile(`(?:csrf_token" value="[^"]*|<time[^>]*>[^<]*|request[^<]*|attempt=[^"]*)`)
