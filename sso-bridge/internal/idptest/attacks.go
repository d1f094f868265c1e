// SPDX-License-Identifier: Apache-2.0

package idptest

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// Attack is one way to misbehave, by the ids of the attack corpus.
type Attack struct {
	Name string
	Arm  func(*Provider)
	// Want is the cause of the refusal; empty for what has to be accepted.
	Want failure.Code
}

// Attacks lists what a relying party is tried with whose connection takes the default
// algorithms, asks for sub, email, email_verified, name and groups, and does not ask for
// a fresh sign-in. None of them may reach the canary.
func Attacks() []Attack {
	var all []Attack
	for _, list := range [][]Attack{algorithms(), keys(), issuers(), audiences(), times(), subjects(), shapes(), callbacks(), answers(), infos(), documents()} {
		all = append(all, list...)
	}
	return all
}

func claim(name string, value any) func(*Provider) {
	return func(p *Provider) { p.Claim(name, value) }
}

func head(name string, value any) func(*Provider) {
	return func(p *Provider) { p.Token(func(t *Token) { t.Header[name] = value }) }
}

func token(f func(*Token)) func(*Provider) { return func(p *Provider) { p.Token(f) } }

func algorithms() []Attack {
	hmac := func(secret func(*Provider) []byte) func(*Provider) {
		return func(p *Provider) {
			p.Token(func(t *Token) { t.Header["alg"], t.Secret = "HS256", secret(p) })
		}
	}
	return []Attack{
		{"OIDC-01 alg none", head("alg", "none"), failure.OIDCAlgorithm},
		{"OIDC-01 alg None", head("alg", "None"), failure.OIDCAlgorithm},
		{"OIDC-01 alg NONE", head("alg", "NONE"), failure.OIDCAlgorithm},
		{"OIDC-01 alg nOnE", head("alg", "nOnE"), failure.OIDCAlgorithm},
		{"OIDC-01 alg of another type", head("alg", 5), failure.OIDCAlgorithm},
		{"OIDC-01 no alg", token(func(t *Token) { delete(t.Header, "alg") }), failure.OIDCAlgorithm},
		{"OIDC-01 alg rs256", head("alg", "rs256"), failure.OIDCAlgorithm},
		{"OIDC-01 no signature", token(func(t *Token) { t.Text = func(s string) string { return s[:strings.LastIndex(s, ".")+1] } }), failure.OIDCSignature},
		{"OIDC-01 another signature", token(func(t *Token) {
			t.Text = func(s string) string { return s[:strings.LastIndex(s, ".")+1] + enc(make([]byte, 256)) }
		}), failure.OIDCSignature},
		{"OIDC-01 another payload under the signature", token(func(t *Token) {
			t.Text = func(s string) string {
				parts := strings.Split(s, ".")
				payload := must(base64.RawURLEncoding.DecodeString(parts[1]))
				parts[1] = enc([]byte(strings.Replace(string(payload), Subject, "mallory", 1)))
				return strings.Join(parts, ".")
			}
		}), failure.OIDCSignature},
		{"OIDC-02 HS256 with the client secret", hmac(func(*Provider) []byte { return []byte(ClientSecret) }), failure.OIDCAlgorithm},
		{"OIDC-02 HS256 with the public key", hmac(func(*Provider) []byte { return must(json.Marshal(RSA().JWK())) }), failure.OIDCAlgorithm},
		{"OIDC-02 RS512, which the connection does not take", head("alg", "RS512"), failure.OIDCAlgorithm},
		{"OIDC-02 PS256 by a key for RS256", head("alg", "PS256"), failure.OIDCSignature},
		{"OIDC-02 ES256 under the kid of an RSA key", func(p *Provider) {
			k := EC("other")
			p.Token(func(t *Token) { t.Header["alg"], t.Key = "ES256", k })
		}, failure.OIDCSignature},
		{"OIDC-02 PS256 by a key for any", func(p *Provider) {
			p.Keys(func(list []map[string]any) []map[string]any { delete(list[0], "alg"); return list })
			p.Token(func(t *Token) { t.Header["alg"] = "PS256" })
		}, ""},
	}
}

func keys() []Attack {
	stranger := func(set func(*Provider, *Token)) func(*Provider) {
		k := EC("stranger")
		return func(p *Provider) {
			p.Token(func(t *Token) {
				t.Header["alg"], t.Header["kid"], t.Key = "ES256", k.ID, k
				set(p, t)
			})
		}
	}
	weak := func(change func(map[string]any)) func(*Provider) {
		return func(p *Provider) {
			p.Keys(func(list []map[string]any) []map[string]any {
				for _, k := range list {
					change(k)
				}
				return list
			})
		}
	}
	return []Attack{
		{"OIDC-03 jku", stranger(func(p *Provider, t *Token) { t.Header["jku"] = p.canary.URL }), failure.OIDCSignature},
		{"OIDC-03 x5u", stranger(func(p *Provider, t *Token) { t.Header["x5u"] = p.canary.URL }), failure.OIDCSignature},
		{"OIDC-03 embedded jwk", stranger(func(_ *Provider, t *Token) { t.Header["jwk"] = t.Key.JWK() }), failure.OIDCSignature},
		{"OIDC-03 x5c", stranger(func(_ *Provider, t *Token) { t.Header["x5c"] = []string{"MIIB"} }), failure.OIDCSignature},
		{"OIDC-03 jku beside a good key", func(p *Provider) { p.Token(func(t *Token) { t.Header["jku"] = p.canary.URL }) }, ""},
		{"OIDC-04 unknown kid", head("kid", "nobody"), failure.OIDCSignature},
		{"OIDC-04 kid like a path", head("kid", "../../etc/passwd"), failure.OIDCSignature},
		{"OIDC-04 kid of 10 KB", head("kid", strings.Repeat("k", 10<<10)), failure.OIDCSignature},
		{"OIDC-04 empty kid", head("kid", ""), failure.OIDCSignature},
		{"OIDC-04 kid is a number", head("kid", 1), failure.OIDCTokenShape},
		{"OIDC-04 no kid", token(func(t *Token) { delete(t.Header, "kid") }), ""},
		{"OIDC-05 the key is for encryption", weak(func(k map[string]any) { k["use"] = "enc" }), failure.OIDCSignature},
		{"OIDC-05 the key is for other operations", weak(func(k map[string]any) { k["key_ops"] = []string{"encrypt"} }), failure.OIDCSignature},
		{"OIDC-05 symmetric key", weak(func(k map[string]any) { clear(k); k["kty"], k["kid"], k["k"] = "oct", "rsa-1", enc([]byte("secret")) }), failure.OIDCSignature},
		{"OIDC-05 RSA of 512 bits", weak(func(k map[string]any) { k["n"] = k["n"].(string)[:86] }), failure.OIDCSignature},
		{"OIDC-05 doubled kid", func(p *Provider) {
			k := EC("rsa-1")
			p.Keys(func(list []map[string]any) []map[string]any { return append(list, k.JWK()) })
		}, failure.OIDCSignature},
		{"OIDC-05 bad keys beside a good one", func(p *Provider) {
			p.Keys(func(list []map[string]any) []map[string]any {
				return append(list, map[string]any{"kty": "oct", "k": "AA"}, map[string]any{"kty": "new"}, map[string]any{"kty": "RSA", "n": "!", "e": 1})
			})
		}, ""},
		{"OIDC-05 no keys", func(p *Provider) { p.Keys(func([]map[string]any) []map[string]any { return nil }) }, failure.OIDCSignature},
	}
}

func issuers() []Attack {
	return []Attack{
		{"OIDC-10 iss of another", claim("iss", "https://evil.example"), failure.OIDCIssuer},
		{"OIDC-10 iss with a final slash", func(p *Provider) { p.Claim("iss", p.URL+"/") }, failure.OIDCIssuer},
		{"OIDC-10 iss in other case", func(p *Provider) { p.Claim("iss", strings.ToUpper(p.URL)) }, failure.OIDCIssuer},
		{"OIDC-10 iss without scheme", func(p *Provider) { p.Claim("iss", strings.TrimPrefix(p.URL, "https://")) }, failure.OIDCIssuer},
		{"OIDC-10 iss is a template", claim("iss", "https://login.example/{tenantid}/v2.0"), failure.OIDCIssuer},
		{"OIDC-10 no iss", claim("iss", nil), failure.OIDCIssuer},
		{"OIDC-10 iss is a list", func(p *Provider) { p.Claim("iss", []string{p.URL}) }, failure.OIDCIssuer},
	}
}

func audiences() []Attack {
	return []Attack{
		{"OIDC-11 aud of another client", claim("aud", "other"), failure.OIDCAudience},
		{"OIDC-11 no aud", claim("aud", nil), failure.OIDCAudience},
		{"OIDC-11 empty aud", claim("aud", []string{}), failure.OIDCAudience},
		{"OIDC-11 aud begins alike", claim("aud", ClientID+"2"), failure.OIDCAudience},
		{"OIDC-11 aud with a number", claim("aud", []any{ClientID, 1}), failure.OIDCAudience},
		{"OIDC-11 several without azp", claim("aud", []string{ClientID, "other"}), failure.OIDCAudience},
		{"OIDC-11 several with the azp of another", func(p *Provider) {
			p.Claim("aud", []string{ClientID, "other"})
			p.Claim("azp", "other")
		}, failure.OIDCAudience},
		{"OIDC-11 several with our azp", func(p *Provider) {
			p.Claim("aud", []string{"other", ClientID})
			p.Claim("azp", ClientID)
		}, ""},
		{"OIDC-11 azp of another", claim("azp", "other"), failure.OIDCAudience},
		{"OIDC-11 azp is a list", claim("azp", []string{ClientID}), failure.OIDCAudience},
		{"OIDC-11 our azp", claim("azp", ClientID), ""},
		{"OIDC-11 aud is a list of one", claim("aud", []string{ClientID}), ""},
	}
}

func times() []Attack {
	at := func(name string, off time.Duration) func(*Provider) {
		return func(p *Provider) { p.Token(func(t *Token) { t.Claims[name] = p.now().Add(off).Unix() }) }
	}
	raw := func(name, value string) func(*Provider) { return claim(name, json.RawMessage(value)) }
	both := func(a, b func(*Provider)) func(*Provider) { return func(p *Provider) { a(p); b(p) } }
	return []Attack{
		{"OIDC-12 exp past", at("exp", -2*time.Minute), failure.OIDCTime},
		{"OIDC-12 exp past within the skew", at("exp", -30*time.Second), ""},
		{"OIDC-12 exp far", at("exp", 25*time.Hour), failure.OIDCTime},
		{"OIDC-12 exp in a day", at("exp", 24*time.Hour-time.Minute), ""},
		{"OIDC-12 no exp", claim("exp", nil), failure.OIDCTime},
		{"OIDC-12 exp null", raw("exp", "null"), failure.OIDCTime},
		{"OIDC-12 exp is a text", claim("exp", "1900000000"), failure.OIDCTime},
		{"OIDC-12 exp 1e30", raw("exp", "1e30"), failure.OIDCTime},
		{"OIDC-12 exp is a fraction", raw("exp", "1900000000.5"), failure.OIDCTime},
		{"OIDC-12 exp overflows", raw("exp", "9223372036854775808"), failure.OIDCTime},
		{"OIDC-12 exp is the largest number", raw("exp", "9223372036854775807"), failure.OIDCTime},
		{"OIDC-12 no iat", claim("iat", nil), failure.OIDCTime},
		{"OIDC-12 iat future", at("iat", 2*time.Minute), failure.OIDCTime},
		{"OIDC-12 iat future within the skew", at("iat", 30*time.Second), ""},
		{"OIDC-12 iat old", at("iat", -11*time.Minute), failure.OIDCTime},
		{"OIDC-12 iat of nine minutes ago", at("iat", -9*time.Minute), ""},
		{"OIDC-12 iat is the least number", raw("iat", "-9223372036854775808"), failure.OIDCTime},
		{"OIDC-12 iat is a text", claim("iat", "now"), failure.OIDCTime},
		{"OIDC-12 nbf future", at("nbf", 2*time.Minute), failure.OIDCTime},
		{"OIDC-12 nbf within the skew", at("nbf", 30*time.Second), ""},
		{"OIDC-12 nbf is a text", claim("nbf", "0"), failure.OIDCTime},
		{"OIDC-12 a life of a day and a minute around now", both(at("iat", -5*time.Minute), at("exp", 24*time.Hour-4*time.Minute)), failure.OIDCTime},
		{"OIDC-12 auth_time is a fraction", raw("auth_time", "1.5"), failure.OIDCTime},
	}
}

func subjects() []Attack {
	return []Attack{
		{"OIDC-13 no sub", claim("sub", nil), failure.SubjectMissing},
		{"OIDC-13 sub null", claim("sub", json.RawMessage("null")), failure.SubjectMissing},
		{"OIDC-13 empty sub", claim("sub", ""), failure.SubjectMalformed},
		{"OIDC-13 sub of 256 bytes", claim("sub", strings.Repeat("s", 256)), failure.SubjectMalformed},
		{"OIDC-13 sub of 255 bytes", claim("sub", strings.Repeat("s", 255)), ""},
		{"OIDC-13 sub of 10 KB", claim("sub", strings.Repeat("s", 10<<10)), failure.SubjectMalformed},
		{"OIDC-13 sub with a line break", claim("sub", "a\nb"), failure.SubjectMalformed},
		{"OIDC-13 sub with a NUL", claim("sub", "a\x00"), failure.SubjectMalformed},
		{"OIDC-13 sub with DEL", claim("sub", "a\x7f"), failure.SubjectMalformed},
		{"OIDC-13 sub not ASCII", claim("sub", "аlice"), failure.SubjectMalformed},
		{"OIDC-13 sub is a number", claim("sub", 7), failure.SubjectMalformed},
		{"OIDC-14 no nonce", claim("nonce", nil), failure.OIDCNonce},
		{"OIDC-14 empty nonce", claim("nonce", ""), failure.OIDCNonce},
		{"OIDC-14 wrong nonce", claim("nonce", "AAAAAAAAAAAAAAAAAAAAAA"), failure.OIDCNonce},
		{"OIDC-14 nonce is a list", claim("nonce", []string{"a"}), failure.OIDCNonce},
		{"OIDC-14 nonce with more behind it", token(func(t *Token) { t.Claims["nonce"] = t.Claims["nonce"].(string) + "A" }), failure.OIDCNonce},
		{"OIDC-25 wrong at_hash", claim("at_hash", enc(make([]byte, 16))), failure.OIDCHash},
		{"OIDC-25 empty at_hash", claim("at_hash", ""), failure.OIDCHash},
		{"OIDC-25 at_hash of the whole digest", token(func(t *Token) { t.Claims["at_hash"] = HalfHash("RS512", t.Access) }), failure.OIDCHash},
		{"OIDC-25 wrong c_hash", claim("c_hash", enc(make([]byte, 16))), failure.OIDCHash},
		{"OIDC-25 right c_hash", token(func(t *Token) { t.Claims["c_hash"] = HalfHash("RS256", t.Code) }), ""},
		{"OIDC-25 no at_hash", claim("at_hash", nil), ""},
		{"OIDC-26 logout token", token(func(t *Token) {
			t.Header["typ"] = "logout+jwt"
			delete(t.Claims, "nonce")
			t.Claims["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
		}), failure.OIDCTokenShape},
		{"OIDC-26 logout token without a type", token(func(t *Token) {
			delete(t.Claims, "nonce")
			t.Claims["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
		}), failure.OIDCNonce},
		{"OIDC-26 access token at+jwt", head("typ", "at+jwt"), failure.OIDCTokenShape},
		{"OIDC-26 typ is a list", head("typ", []string{"JWT"}), failure.OIDCTokenShape},
		{"OIDC-26 no typ", token(func(t *Token) { delete(t.Header, "typ") }), ""},
	}
}

func shapes() []Attack {
	payload := func(change func(string) string) func(*Provider) {
		return token(func(t *Token) { t.Payload = []byte(change(string(must(json.Marshal(t.Claims))))) })
	}
	more := func(member string) func(*Provider) {
		return payload(func(s string) string { return strings.TrimSuffix(s, "}") + "," + member + "}" })
	}
	text := func(f func(string) string) func(*Provider) { return token(func(t *Token) { t.Text = f }) }
	return []Attack{
		{"OIDC-30 doubled sub", more(`"sub":"mallory"`), failure.OIDCTokenShape},
		{"OIDC-30 doubled sub, escaped", more(`"\u0073ub":"mallory"`), failure.OIDCTokenShape},
		{"OIDC-30 doubled member inside", more(`"address":{"a":1,"a":2}`), failure.OIDCTokenShape},
		{"OIDC-30 SUB in the place of sub", token(func(t *Token) { t.Claims["SUB"] = t.Claims["sub"]; delete(t.Claims, "sub") }), failure.SubjectMissing},
		{"OIDC-30 SUB beside sub", claim("SUB", "mallory"), ""},
		{"OIDC-30 EMAIL beside email", claim("EMAIL", "mallory@corp.example"), ""},
		{"OIDC-30 claims are a list", payload(func(s string) string { return "[" + s + "]" }), failure.OIDCTokenShape},
		{"OIDC-30 claims with more behind them", payload(func(s string) string { return s + "{}" }), failure.OIDCTokenShape},
		{"OIDC-30 claims are not UTF-8", more("\"x\":\"\xff\""), failure.OIDCTokenShape},
		{"OIDC-07 claims nested deeply", more(`"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000)), failure.OIDCTokenShape},
		{"OIDC-30 doubled alg", token(func(t *Token) { t.Head = []byte(`{"alg":"RS256","alg":"none","kid":"rsa-1"}`) }), failure.OIDCTokenShape},
		{"OIDC-31 JSON serialization", text(func(s string) string {
			p := strings.Split(s, ".")
			return `{"payload":"` + p[1] + `","protected":"` + p[0] + `","signature":"` + p[2] + `"}`
		}), failure.OIDCTokenShape},
		{"OIDC-31 b64 false", head("b64", false), failure.OIDCTokenShape},
		{"OIDC-31 crit", head("crit", []string{"exp"}), failure.OIDCTokenShape},
		{"OIDC-31 crit null", head("crit", nil), failure.OIDCTokenShape},
		{"OIDC-31 detached", text(func(s string) string { p := strings.Split(s, "."); return p[0] + ".." + p[2] }), failure.OIDCTokenShape},
		{"OIDC-31 JWE", text(func(s string) string { return s + ".AAAA.AAAA" }), failure.OIDCTokenShape},
		{"OIDC-31 line break in the serialization", text(func(s string) string { return s + "\n" }), failure.OIDCTokenShape},
		{"OIDC-31 padding", text(func(s string) string { return s + "==" }), failure.OIDCTokenShape},
		{"OIDC-31 33 KB", claim("x", strings.Repeat("x", 33<<10)), failure.OIDCTokenShape},
		{"OIDC-31 empty", text(func(string) string { return "" }), failure.OIDCTokenShape},
	}
}
