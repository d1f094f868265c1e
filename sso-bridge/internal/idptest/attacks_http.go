// SPDX-License-Identifier: Apache-2.0

package idptest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

func callbacks() []Attack {
	with := func(f func(*Provider, url.Values)) func(*Provider) {
		return func(p *Provider) { p.Callback(func(v url.Values) { f(p, v) }) }
	}
	refusal := func(code string) func(*Provider) {
		return with(func(_ *Provider, v url.Values) {
			v.Del("code")
			v.Set("error", code)
			v.Set("error_description", "because of \x1b[31m"+strings.Repeat("d", 300))
		})
	}
	return []Attack{
		{"OIDC-18 iss of the callback absent though announced", with(func(_ *Provider, v url.Values) { v.Del("iss") }), failure.OIDCIssuer},
		{"OIDC-18 iss of the callback wrong", with(func(_ *Provider, v url.Values) { v.Set("iss", "https://evil.example") }), failure.OIDCIssuer},
		{"OIDC-18 iss of the callback empty", with(func(_ *Provider, v url.Values) { v.Set("iss", "") }), failure.OIDCIssuer},
		{"OIDC-18 iss of the callback with a slash", with(func(p *Provider, v url.Values) { v.Set("iss", p.URL+"/") }), failure.OIDCIssuer},
		{"OIDC-18 iss wrong though not announced", func(p *Provider) {
			p.Discovery(func(d map[string]any) { delete(d, "authorization_response_iss_parameter_supported") })
			p.Callback(func(v url.Values) { v.Set("iss", "https://evil.example") })
		}, failure.OIDCIssuer},
		{"OIDC-18 iss absent and not announced", func(p *Provider) {
			p.Discovery(func(d map[string]any) { delete(d, "authorization_response_iss_parameter_supported") })
			p.Callback(func(v url.Values) { v.Del("iss") })
		}, ""},
		{"OIDC-18 iss right though not announced", func(p *Provider) {
			p.Discovery(func(d map[string]any) { delete(d, "authorization_response_iss_parameter_supported") })
		}, ""},
		{"OIDC-18 a refusal with the iss of another", func(p *Provider) {
			refusal("access_denied")(p)
			p.Callback(func(v url.Values) { v.Set("iss", "https://evil.example") })
		}, failure.OIDCIssuer},
		{"OIDC-19 access_denied", refusal("access_denied"), failure.OIDCDenied},
		{"OIDC-19 login_required", refusal("login_required"), failure.OIDCDenied},
		{"OIDC-19 interaction_required", refusal("interaction_required"), failure.OIDCDenied},
		{"OIDC-19 consent_required", refusal("consent_required"), failure.OIDCDenied},
		{"OIDC-19 invalid_scope", refusal("invalid_scope"), failure.OIDCProviderError},
		{"OIDC-19 ACCESS_DENIED", refusal("ACCESS_DENIED"), failure.OIDCProviderError},
		{"OIDC-16 a code of nobody", with(func(_ *Provider, v url.Values) { v.Set("code", "stolen") }), failure.TokenEndpoint},
	}
}

func plain(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func replace(e Endpoint, h http.HandlerFunc) func(*Provider) {
	return func(p *Provider) { p.Replace(e, h) }
}

func redirect(e Endpoint, status int) func(*Provider) {
	return func(p *Provider) {
		p.Replace(e, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, p.canary.URL, status) })
	}
}

// flood answers 200 MB of white space before an object, so that a reader without limit
// would accept it.
func flood(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	block := []byte(strings.Repeat(" ", 1<<16))
	for range 3200 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
	_, _ = io.WriteString(w, "{}")
}

func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
}

func answers() []Attack {
	answer := func(f func(map[string]any)) func(*Provider) { return func(p *Provider) { p.Answer(f) } }
	return []Attack{
		{"OIDC-09 token endpoint 307", redirect(TokenEndpoint, http.StatusTemporaryRedirect), failure.TokenEndpoint},
		{"OIDC-09 token endpoint 302", redirect(TokenEndpoint, http.StatusFound), failure.TokenEndpoint},
		{"OIDC-32 error with 200", replace(TokenEndpoint, plain(200, "application/json", `{"error":"bad_verification_code"}`)), failure.TokenEndpoint},
		{"OIDC-32 error beside tokens", answer(func(m map[string]any) { m["error"] = "x" }), failure.TokenEndpoint},
		{"OIDC-32 400", replace(TokenEndpoint, plain(400, "application/json", `{"error":"invalid_grant"}`)), failure.TokenEndpoint},
		{"OIDC-32 401 that is no JSON", replace(TokenEndpoint, plain(401, "text/html", `<html>`)), failure.TokenEndpoint},
		{"OIDC-33 502", replace(TokenEndpoint, plain(502, "text/html", `<html>`)), failure.TokenEndpoint},
		{"OIDC-32 HTML", replace(TokenEndpoint, plain(200, "text/html", `<html>`)), failure.TokenEndpoint},
		{"OIDC-32 JSON that is none", replace(TokenEndpoint, plain(200, "application/json", `{"id_token":`)), failure.TokenEndpoint},
		{"OIDC-32 no id_token", answer(func(m map[string]any) { delete(m, "id_token") }), failure.IDTokenMissing},
		{"OIDC-32 id_token null", answer(func(m map[string]any) { m["id_token"] = nil }), failure.IDTokenMissing},
		{"OIDC-32 id_token is an object", answer(func(m map[string]any) { m["id_token"] = map[string]any{} }), failure.TokenEndpoint},
		{"OIDC-32 id_token twice", replace(TokenEndpoint, plain(200, "application/json", `{"token_type":"Bearer","access_token":"a","id_token":"a","id_token":"b"}`)), failure.TokenEndpoint},
		{"OIDC-32 mac", answer(func(m map[string]any) { m["token_type"] = "mac" }), failure.TokenEndpoint},
		{"OIDC-32 no token_type", answer(func(m map[string]any) { delete(m, "token_type") }), failure.TokenEndpoint},
		{"OIDC-32 bearer in other case", answer(func(m map[string]any) { m["token_type"] = "bearer" }), ""},
		{"OIDC-32 negative life", answer(func(m map[string]any) { m["expires_in"] = -1 }), failure.TokenEndpoint},
		{"OIDC-07 token answer of 200 MB", replace(TokenEndpoint, flood), failure.TokenEndpoint},
		{"OIDC-07 token answer in gzip", replace(TokenEndpoint, bomb), failure.TokenEndpoint},
	}
}

func infos() []Attack {
	thin := func(arm func(*Provider)) func(*Provider) {
		return func(p *Provider) {
			// The ID token's e-mail goes, so that userinfo is asked.
			p.Claim("email", nil)
			if arm != nil {
				arm(p)
			}
		}
	}
	info := func(name string, value any) func(*Provider) {
		return thin(func(p *Provider) { p.Userinfo(func(m map[string]any) { m[name] = value }) })
	}
	return []Attack{
		{"OIDC-27 userinfo adds what the ID token lacks", thin(nil), ""},
		{"OIDC-27 userinfo of another person", info("sub", "mallory"), failure.UserinfoSubject},
		{"OIDC-27 userinfo sub in other case", info("sub", strings.ToUpper(Subject)), failure.UserinfoSubject},
		{"OIDC-27 userinfo without sub", thin(func(p *Provider) { p.Userinfo(func(m map[string]any) { delete(m, "sub") }) }), failure.UserinfoSubject},
		{"OIDC-27 userinfo sub is a number", info("sub", 7), failure.UserinfoSubject},
		{"OIDC-28 signed userinfo", thin(replace(Userinfo, plain(200, "application/jwt", `eyJ`))), failure.UserinfoFailed},
		{"OIDC-28 HTML", thin(replace(Userinfo, plain(200, "text/html", `{"sub":"`+Subject+`"}`))), failure.UserinfoFailed},
		{"OIDC-28 no JSON", thin(replace(Userinfo, plain(200, "application/json", `[]`))), failure.UserinfoFailed},
		{"OIDC-28 401", thin(replace(Userinfo, plain(401, "application/json", `{}`))), failure.UserinfoFailed},
		{"OIDC-30 userinfo with a doubled email", thin(replace(Userinfo, plain(200, "application/json", `{"sub":"`+Subject+`","email":"a@b.example","email":"c@d.example"}`))), failure.UserinfoFailed},
		{"OIDC-09 userinfo 302", thin(redirect(Userinfo, http.StatusFound)), failure.UserinfoFailed},
		{"OIDC-07 userinfo of 200 MB", thin(replace(Userinfo, flood)), failure.UserinfoFailed},
		{"OIDC-07 userinfo in gzip", thin(replace(Userinfo, bomb)), failure.UserinfoFailed},
		{"OIDC-07 userinfo nested deeply", info("x", json.RawMessage(strings.Repeat("[", 5000)+strings.Repeat("]", 5000))), failure.UserinfoFailed},
		{"OIDC-08 claim sources are not followed", func(p *Provider) {
			p.Claim("groups", nil)
			p.Claim("_claim_names", map[string]any{"groups": "src1"})
			p.Claim("_claim_sources", map[string]any{"src1": map[string]any{"endpoint": p.canary.URL}})
		}, ""},
	}
}

func documents() []Attack {
	doc := func(name string, value func(*Provider) any) func(*Provider) {
		return func(p *Provider) { p.Discovery(func(d map[string]any) { d[name] = value(p) }) }
	}
	is := func(v any) func(*Provider) any { return func(*Provider) any { return v } }
	deep := `{"keys":[],"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`
	return []Attack{
		{"OIDC-07 discovery of 200 MB", replace(Discovery, flood), failure.OIDCDiscovery},
		{"OIDC-07 discovery in gzip", replace(Discovery, bomb), failure.OIDCDiscovery},
		{"OIDC-07 discovery nested deeply", replace(Discovery, plain(200, "application/json", deep)), failure.OIDCDiscovery},
		{"OIDC-07 keys of 200 MB", replace(JWKS, flood), failure.OIDCKeys},
		{"OIDC-07 keys in gzip", replace(JWKS, bomb), failure.OIDCKeys},
		{"OIDC-07 keys nested deeply", replace(JWKS, plain(200, "application/json", deep)), failure.OIDCKeys},
		{"OIDC-09 discovery 302", redirect(Discovery, http.StatusFound), failure.OIDCDiscovery},
		{"OIDC-09 keys 302", redirect(JWKS, http.StatusFound), failure.OIDCKeys},
		{"OIDC-08 authorization endpoint by http", doc("authorization_endpoint", is("http://idp.example/authorize")), failure.OIDCDiscovery},
		{"OIDC-08 token endpoint by http", doc("token_endpoint", is("http://idp.example/token")), failure.OIDCDiscovery},
		{"OIDC-08 keys by http", doc("jwks_uri", is("http://idp.example/jwks")), failure.OIDCDiscovery},
		{"OIDC-08 userinfo by http", doc("userinfo_endpoint", is("http://idp.example/userinfo")), failure.OIDCDiscovery},
		{"OIDC-08 token endpoint in a private network", doc("token_endpoint", is("https://10.0.0.1/token")), failure.OIDCDiscovery},
		{"OIDC-08 keys at the metadata service", doc("jwks_uri", is("https://169.254.169.254/latest")), failure.OIDCDiscovery},
		{"OIDC-08 userinfo with user information", doc("userinfo_endpoint", is("https://a:b@idp.example/")), failure.OIDCDiscovery},
		{"OIDC-08 keys in a file", doc("jwks_uri", is("file:///etc/passwd")), failure.OIDCDiscovery},
		{"OIDC-08 authorization endpoint that runs a script", doc("authorization_endpoint", is("javascript:alert(1)")), failure.OIDCDiscovery},
		{"OIDC-16 authorization endpoint that sets code_challenge_method", doc("authorization_endpoint", func(p *Provider) any { return p.URL + "/authorize?code_challenge_method=plain" }), failure.OIDCDiscovery},
		{"OIDC-37 discovery of another issuer", doc("issuer", is("https://evil.example")), failure.OIDCIssuer},
		{"OIDC-37 issuer with a slash", doc("issuer", func(p *Provider) any { return p.URL + "/" }), failure.OIDCIssuer},
		{"OIDC-37 no issuer", doc("issuer", is(nil)), failure.OIDCIssuer},
		{"OIDC-37 issuer twice", replace(Discovery, plain(200, "application/json", `{"issuer":"a","issuer":"b"}`)), failure.OIDCDiscovery},
		{"OIDC-37 no token endpoint", doc("token_endpoint", is(nil)), failure.OIDCDiscovery},
		{"OIDC-37 no keys", doc("jwks_uri", is("")), failure.OIDCDiscovery},
		{"OIDC-37 discovery is HTML", replace(Discovery, plain(200, "text/html", `<html>`)), failure.OIDCDiscovery},
		{"OIDC-37 discovery 404", replace(Discovery, plain(404, "application/json", `{}`)), failure.OIDCDiscovery},
		{"OIDC-33 discovery 503", replace(Discovery, plain(503, "text/plain", ``)), failure.OIDCDiscovery},
		{"OIDC-33 keys 500", replace(JWKS, plain(500, "text/plain", ``)), failure.OIDCKeys},
		{"OIDC-37 keys are no set", replace(JWKS, plain(200, "application/json", `{}`)), failure.OIDCKeys},
		{"OIDC-30 keys twice", replace(JWKS, plain(200, "application/json", `{"keys":[],"keys":[]}`)), failure.OIDCKeys},
	}
}
