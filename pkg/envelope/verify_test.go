// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestOnlyTheDiagonalVerifies(t *testing.T) {
	for _, from := range audiences {
		for _, to := range audiences {
			t.Run(fmt.Sprintf("SSO-38 JWS-03 %s at the verifier of %s", from, to), func(t *testing.T) {
				c := codecOf(t, to, at)
				message := signed(t, from, at)
				if from == to {
					if got := mustVerify(t, c, message); !reflect.DeepEqual(got, aNote) {
						t.Errorf("%+v", got)
					}
					return
				}
				mustRefuse(t, c, message, envelope.Type)
				// Nor with the header, or header and audience, of the one that is expected: the
				// key differs.
				_, payload := parts(t, message)
				header := `{"alg":"HS256","kid":"new","typ":"` + string(to) + `+jwt"}`
				mustRefuse(t, c, forged(t, "new", from, header, payload), envelope.MAC)
				mustRefuse(t, c, forged(t, "new", from, header, strings.Replace(payload, string(from), string(to), 1)), envelope.MAC)
				// And with the right key the audience still does.
				mustRefuse(t, c, forged(t, "new", to, header, payload), envelope.For)
			})
		}
	}
}

func TestOwnersKeysAreApart(t *testing.T) {
	for name, c := range map[string]struct {
		of    envelope.Audience
		other secret.Text
	}{
		"an envelope signed by core":             {envelope.StateEnvelope, coreKey},
		"an approval grant signed by the bridge": {envelope.ApprovalGrant, bridgeKey},
	} {
		t.Run("JWS-04 "+name, func(t *testing.T) {
			forge, err := envelope.New[note](envelope.Deps{
				Keys: keyset.NewRing(keyset.Fixed("new", ringSecrets)), Audience: c.of, Issuer: issuer, Owner: c.other, Now: func() time.Time { return at },
			})
			if err != nil {
				t.Fatal(err)
			}
			message, _, err := forge.Sign(aNote)
			if err != nil {
				t.Fatal(err)
			}
			mustRefuse(t, codecOf(t, c.of, at), message, envelope.MAC)
		})
		t.Run("JWS-04 "+name+" without a salt is not even made", func(t *testing.T) {
			_, err := envelope.New[note](envelope.Deps{
				Keys: keyset.NewRing(keyset.Fixed("new", ringSecrets)), Audience: c.of, Issuer: issuer, Now: func() time.Time { return at },
			})
			if err == nil {
				t.Error("it was")
			}
			_, key, err := keyset.Fixed("new", ringSecrets).Sign(string(c.of), secret.Text{})
			if err != nil {
				t.Fatal(err)
			}
			three := strings.Split(signed(t, c.of, at), ".")
			mustRefuse(t, codecOf(t, c.of, at), sealed(key, three[0]+"."+three[1]), envelope.MAC)
		})
	}
}

const of = envelope.ExternalSubject

func TestHeaders(t *testing.T) {
	c := codecOf(t, of, at)
	header, payload := parts(t, signed(t, of, at))
	list := members(t, header)
	if mustVerify(t, c, forged(t, "new", of, header, payload)); t.Failed() {
		t.Fatal("the forger's own hand is wrong")
	}
	for name, h := range map[string]struct {
		header string
		reason envelope.Reason
	}{
		"alg none":           {object(with(list, "alg", `"none"`)), envelope.Algorithm},
		"alg HS384":          {object(with(list, "alg", `"HS384"`)), envelope.Algorithm},
		"alg RS256":          {object(with(list, "alg", `"RS256"`)), envelope.Algorithm},
		"alg in other case":  {object(with(list, "alg", `"hs256"`)), envelope.Algorithm},
		"alg with a blank":   {object(with(list, "alg", `"HS256 "`)), envelope.Algorithm},
		"alg a number":       {object(with(list, "alg", `256`)), envelope.Header},
		"alg a list":         {object(with(list, "alg", `["HS256"]`)), envelope.Header},
		"alg null":           {object(with(list, "alg", `null`)), envelope.Header},
		"alg absent":         {object(with(list, "alg", "")), envelope.Header},
		"alg doubled":        {object(append(list[:3:3], list[0])), envelope.Header},
		"alg doubled, none":  {object(append(list[:3:3], [2]string{"alg", `"none"`})), envelope.Header},
		"name in other case": {strings.Replace(header, `"alg"`, `"ALG"`, 1), envelope.Header},
		"kid doubled":        {object(append(list[:3:3], list[1])), envelope.Header},
		"typ doubled":        {object(append(list[:3:3], list[2])), envelope.Header},
		"kid absent":         {object(with(list, "kid", "")), envelope.Header},
		"typ absent":         {object(with(list, "typ", "")), envelope.Header},
		"typ JWT":            {object(with(list, "typ", `"JWT"`)), envelope.Type},
		"typ in other case":  {object(with(list, "typ", `"`+strings.ToUpper(string(of))+`+JWT"`)), envelope.Type},
		"typ a number":       {object(with(list, "typ", `1`)), envelope.Header},
		"no object":          {`[]`, envelope.Header},
		"a text":             {`"HS256"`, envelope.Header},
		"nothing":            {`{}`, envelope.Header},
		"no JSON":            {`{`, envelope.Header},
		"trailing data":      {header + `{}`, envelope.Header},
		"trailing bytes":     {header + "x", envelope.Header},
		"not UTF-8":          {strings.Replace(header, "new", "n\xffw", 1), envelope.Header},
	} {
		t.Run("SSO-39 JWS-01 "+name, func(t *testing.T) { mustRefuse(t, c, forged(t, "new", of, h.header, payload), h.reason) })
	}
	for _, extra := range []string{"crit", "b64", "zip", "jku", "jwk", "x5u", "x5c", "cty", "x"} {
		for _, value := range []string{`[]`, `["b64"]`, `true`, `false`, `"https://evil.example"`, `{}`, `null`} {
			t.Run("SSO-39 JWS-11 a header with "+extra+" "+value, func(t *testing.T) {
				mustRefuse(t, c, forged(t, "new", of, object(with(list, extra, value)), payload), envelope.Header)
			})
		}
	}
	t.Run("JWS-16 a deeply nested header", func(t *testing.T) {
		for _, nest := range []string{strings.Repeat("[", 1000), strings.Repeat(`{"a":`, 500), strings.Repeat("[", 500) + strings.Repeat("]", 500)} {
			mustRefuse(t, c, forged(t, "new", of, nest, payload), envelope.Header)
			mustRefuse(t, c, forged(t, "new", of, object(with(list, "kid", nest)), payload), envelope.Header)
		}
	})
}

func TestKeyIDs(t *testing.T) {
	c := codecOf(t, of, at)
	header, payload := parts(t, signed(t, of, at))
	list := members(t, header)
	for _, kid := range []string{"", "unknown", "NEW", "new ", "../new", "/etc/passwd", "new\\u0000", "*", strings.Repeat("n", 300)} {
		t.Run("JWS-05 kid "+kid[:min(len(kid), 20)], func(t *testing.T) {
			mustRefuse(t, c, forged(t, "new", of, object(with(list, "kid", `"`+kid+`"`)), payload), envelope.KeyID)
		})
	}
	t.Run("JWS-05 the kid of another entry is no fallback", func(t *testing.T) {
		mustRefuse(t, c, forged(t, "new", of, object(with(list, "kid", `"old"`)), payload), envelope.MAC)
		mustVerify(t, c, forged(t, "old", of, object(with(list, "kid", `"old"`)), payload))
	})
	t.Run("JWS-05 an entry that was removed", func(t *testing.T) {
		ring := keyset.NewRing(keyset.Fixed("new", ringSecrets))
		c, err := envelope.New[note](envelope.Deps{Keys: ring, Audience: of, Issuer: issuer, Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		message := signed(t, of, at)
		mustVerify(t, c, message)
		ring.Become(keyset.Fixed("old", map[string][]byte{"old": ringSecrets["old"]}))
		mustRefuse(t, c, message, envelope.KeyID)
	})
}

// others are values of each kind, as JSON, to stand in the place of another kind.
var others = []string{`null`, `true`, `1`, `1.5`, `"x"`, `""`, `[]`, `["x"]`, `{}`}

func kindOf(value string) string {
	switch value[0] {
	case '"':
		return "text"
	case 't', 'f':
		return "truth"
	case '[':
		return "list"
	case '{':
		return "object"
	case 'n':
		return "null"
	}
	if strings.Contains(value, ".") {
		return "fraction"
	}
	return "number"
}

func TestClaims(t *testing.T) {
	c := codecOf(t, of, at)
	header, payload := parts(t, signed(t, of, at))
	list := members(t, payload)
	forge := func(payload string) string { return forged(t, "new", of, header, payload) }
	optional := map[string]bool{"label": true, "nest": true}
	for i, m := range list {
		t.Run("SSO-39 JWS-02 without "+m[0], func(t *testing.T) {
			message := forge(object(with(list, m[0], "")))
			if optional[m[0]] {
				mustVerify(t, c, message)
				return
			}
			mustRefuse(t, c, message, envelope.Claims)
		})
		t.Run("SSO-39 JWS-11 "+m[0]+" twice", func(t *testing.T) {
			mustRefuse(t, c, forge(object(append(list[:len(list):len(list)], list[i]))), envelope.Claims)
		})
		t.Run("SSO-39 JWS-11 "+m[0]+" in other case", func(t *testing.T) {
			upper := append([][2]string(nil), list...)
			upper[i] = [2]string{strings.ToUpper(m[0]), m[1]}
			mustRefuse(t, c, forge(object(upper)), envelope.Claims)
			mustRefuse(t, c, forge(object(append(list[:len(list):len(list)], upper[i]))), envelope.Claims)
		})
		for _, value := range others {
			if kindOf(value) == kindOf(m[1]) {
				continue
			}
			t.Run("SSO-39 JWS-02 "+m[0]+" as "+kindOf(value)+" "+value, func(t *testing.T) {
				mustRefuse(t, c, forge(object(with(list, m[0], value))), envelope.Claims)
			})
		}
	}
	t.Run("SSO-39 JWS-02 a claim that may be absent, as null", func(t *testing.T) {
		mustRefuse(t, c, forge(object(with(list, "nest", "null"))), envelope.Claims)
	})
	for _, extra := range []string{"nbf", "sub", "scope", "admin", "TEXT", "téxt"} {
		t.Run("SSO-39 JWS-11 an unknown claim "+extra, func(t *testing.T) {
			mustRefuse(t, c, forge(object(with(list, extra, `"x"`))), envelope.Claims)
		})
	}
	for name, payload := range map[string]string{
		"no object": `[]`, "nothing": `{}`, "a text": `"x"`, "no JSON": payload[:len(payload)-1], "trailing object": payload + `{}`, "trailing byte": payload + "x",
		"a comment": strings.Replace(payload, "{", "{/**/", 1), "not UTF-8": strings.Replace(payload, "hello", "h\xffllo", 1),
		"half a surrogate": strings.Replace(payload, "hello", `h\ud800llo`, 1), "a byte order mark": "\ufeff" + payload,
	} {
		t.Run("SSO-39 JWS-11 claims that are "+name, func(t *testing.T) { mustRefuse(t, c, forge(payload), envelope.Claims) })
	}
	t.Run("JWS-16 JWS-11 claims four levels deep, and five", func(t *testing.T) {
		if got := mustVerify(t, c, forge(object(with(list, "nest", `[[["x"]]]`)))); len(got.Nest) != 1 {
			t.Errorf("%+v", got)
		}
		mustRefuse(t, c, forge(object(with(list, "nest", `[[[["x"]]]]`))), envelope.Claims)
		mustRefuse(t, c, forge(object(with(list, "nest", strings.Repeat("[", 1000)))), envelope.Claims)
	})
	for _, aud := range []string{`"` + string(of)[:10] + `"`, `"` + string(of) + `.x"`, `"` + strings.ToUpper(string(of)) + `"`, `"` + string(of) + ` "`, `"` + string(envelope.ConsoleLogin) + `"`} {
		t.Run("JWS-07 aud "+aud, func(t *testing.T) { mustRefuse(t, c, forge(object(with(list, "aud", aud))), envelope.For) })
	}
	for name, aud := range map[string]string{"a list": `["` + string(of) + `"]`, "two": `["` + string(of) + `","x"]`, "an object": `{}`} {
		t.Run("JWS-07 aud "+name, func(t *testing.T) { mustRefuse(t, c, forge(object(with(list, "aud", aud))), envelope.Claims) })
	}
	for _, iss := range []string{"", issuer + "/", "http://sso.example", "https://SSO.example", "https://core.example", issuer[:10]} {
		t.Run("JWS-02 iss "+iss, func(t *testing.T) { mustRefuse(t, c, forge(object(with(list, "iss", `"`+iss+`"`))), envelope.From) })
	}
	for name, jti := range map[string]string{
		"empty": "", "21 characters": strings.Repeat("A", 21), "23 characters": strings.Repeat("A", 23), "not canonical": strings.Repeat("A", 21) + "B",
		"of another alphabet": strings.Repeat("A", 21) + "+", "padded": strings.Repeat("A", 22) + "==", "with a line break": strings.Repeat("A", 22) + `\n`,
	} {
		t.Run("JWS-02 jti "+name, func(t *testing.T) { mustRefuse(t, c, forge(object(with(list, "jti", `"`+jti+`"`))), envelope.ID) })
	}
}

func TestTimes(t *testing.T) {
	for _, a := range audiences {
		c, life := codecOf(t, a, at), int64(a.Life()/time.Second)
		header, payload := parts(t, signed(t, a, at))
		list := members(t, payload)
		now := at.Unix()
		for name, v := range map[string]struct {
			iat, exp int64
			ok       bool
		}{
			"over 31 s ago":             {now - 60 - 1, now - 31, false},
			"over 30 s ago":             {now - 60, now - 30, true},
			"begins in 30 s":            {now + 30, now + 60, true},
			"begins in 31 s":            {now + 31, now + 60, false},
			"life at the cap":           {now, now + life, true},
			"life a second above it":    {now, now + life + 1, false},
			"no life":                   {now, now, false},
			"ends before it begins":     {now + 20, now - 20, false},
			"issued before 1970":        {-1, life - 1, false},
			"so long that it overflows": {-9223372036854775808, 9223372036854775807, false},
		} {
			t.Run("SSO-40 JWS-08 "+string(a)+": "+name, func(t *testing.T) {
				message := forged(t, "new", a, header, object(with(with(list, "iat", fmt.Sprint(v.iat)), "exp", fmt.Sprint(v.exp))))
				if v.ok {
					mustVerify(t, c, message)
					return
				}
				mustRefuse(t, c, message, envelope.Time)
			})
		}
		for _, value := range []string{"1e9", fmt.Sprintf("%d.0", now), fmt.Sprintf(`"%d"`, now), "9223372036854775808", "-0.5"} {
			for _, name := range []string{"iat", "exp"} {
				t.Run("SSO-40 JWS-08 "+string(a)+": "+name+" "+value, func(t *testing.T) {
					mustRefuse(t, c, forged(t, "new", a, header, object(with(list, name, value))), envelope.Claims)
				})
			}
		}
		t.Run("SSO-40 JWS-08 "+string(a)+": a signer cannot ask for more", func(t *testing.T) {
			message, r, err := c.SignFor(aNote, a.Life()+time.Hour)
			if err != nil || r.Until().Sub(r.At()) != a.Life() {
				t.Errorf("%+v, %v", r, err)
			}
			mustVerify(t, c, message)
		})
	}
}

func TestShapes(t *testing.T) {
	c := codecOf(t, of, at)
	message := signed(t, of, at)
	three := strings.Split(message, ".")
	for name, text := range map[string]string{
		"empty": "", "one part": three[0], "two parts": three[0] + "." + three[1], "four parts": message + ".", "five parts": message + ".x.y",
		"an empty header": "." + three[1] + "." + three[2], "an empty payload": three[0] + ".." + three[2], "an empty MAC": three[0] + "." + three[1] + ".",
		"padding": message + "=", "a blank in front": " " + message, "a line break behind": message + "\n", "a line break inside": three[0] + ".\n" + three[1] + "." + three[2],
		"the other alphabet": strings.Replace(message, "e", "+", 1), "not ASCII": "é" + message, "a null byte": message + "\x00",
		"a JSON serialization": `{"payload":"` + three[1] + `"}`,
	} {
		t.Run("SSO-39 JWS-11 "+name, func(t *testing.T) { mustRefuse(t, c, text, envelope.Shape) })
	}
	t.Run("SSO-39 JWS-11 another spelling of the last character of each part", func(t *testing.T) {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for i := range three {
			if len(three[i])%4 == 0 {
				continue // no bits are left over
			}
			last := three[i][len(three[i])-1]
			other := alphabet[strings.IndexByte(alphabet, last)|1]
			if other == last {
				other = alphabet[strings.IndexByte(alphabet, last)^1]
			}
			changed := append([]string(nil), three...)
			changed[i] = three[i][:len(three[i])-1] + string(other)
			mustRefuse(t, c, strings.Join(changed, "."), envelope.Shape)
		}
	})
	t.Run("SSO-39 4096 bytes are read and 4097 are not", func(t *testing.T) {
		header, payload := parts(t, message)
		list := members(t, payload)
		longest := ""
		for n := range 4000 {
			longer := forged(t, "new", of, header, object(with(list, "text", `"`+strings.Repeat("x", n)+`"`)))
			if len(longer) > envelope.MaxMessage {
				mustRefuse(t, c, longer, envelope.Shape)
				break
			}
			longest = longer
		}
		if len(longest) < envelope.MaxMessage-2 {
			t.Fatalf("%d bytes", len(longest))
		}
		mustVerify(t, c, longest)
	})
	t.Run("JWS-13 a MAC that differs in one bit anywhere, is cut or is longer", func(t *testing.T) {
		for i := range 32 {
			mac := []byte(three[2])
			mac[i] ^= 1
			if _, _, err := c.Verify(three[0] + "." + three[1] + "." + string(mac)); err == nil {
				t.Errorf("character %d", i)
			}
		}
		mustRefuse(t, c, three[0]+"."+three[1]+"."+three[2][:40], envelope.MAC)
		mustRefuse(t, c, three[0]+"."+three[1]+"."+three[2][:40]+b64("longer")+"AAAA", envelope.MAC)
	})
}

func TestMACsAreComparedInConstantTime(t *testing.T) {
	t.Run("JWS-13 by hmac.Equal, and bytes are compared in no other way", func(t *testing.T) {
		seen := false
		for _, pattern := range []string{"*.go", "../keyset/*.go"} {
			files, err := filepath.Glob(pattern)
			if err != nil || len(files) == 0 {
				t.Fatalf("%v, %v", files, err)
			}
			for _, file := range files {
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				source, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				seen = seen || strings.Contains(string(source), "hmac.Equal(parts[2], mac(key, signed))")
				for _, leaky := range []string{"bytes.Equal(", "bytes.Compare(", "string(parts[2]) ==", "reflect.DeepEqual("} {
					if strings.Contains(string(source), leaky) {
						t.Errorf("%s has %s", file, leaky)
					}
				}
			}
		}
		if !seen {
			t.Error("nothing compares a MAC")
		}
	})
}

// A signer that could set a registered claim would be believed.
func TestNoCallerSetsARegisteredClaim(t *testing.T) {
	deps := envelope.Deps{Keys: keyset.NewRing(keyset.Fixed("new", ringSecrets)), Audience: of, Issuer: issuer, Now: func() time.Time { return at }}
	t.Run("JWS-12 claims with a registered name are no claims", func(t *testing.T) {
		for name, make := range map[string]func() error{
			"iss": func() error {
				_, err := envelope.New[struct {
					X string `json:"iss"`
				}](deps)
				return err
			},
			"aud": func() error {
				_, err := envelope.New[struct {
					X string `json:"aud"`
				}](deps)
				return err
			},
			"iat": func() error {
				_, err := envelope.New[struct {
					X int `json:"iat"`
				}](deps)
				return err
			},
			"exp": func() error {
				_, err := envelope.New[struct {
					X int `json:"exp,omitempty"`
				}](deps)
				return err
			},
			"jti": func() error {
				_, err := envelope.New[struct {
					X string `json:"jti"`
				}](deps)
				return err
			},
		} {
			if make() == nil {
				t.Errorf("%s may be set", name)
			}
		}
	})
	t.Run("JWS-12 each message has an id of its own", func(t *testing.T) {
		c := codecOf(t, of, at)
		seen := map[string]bool{}
		for range 1000 {
			_, r, err := c.Sign(aNote)
			if err != nil || len(r.ID) != 22 || seen[r.ID] {
				t.Fatalf("%q, %v", r.ID, err)
			}
			seen[r.ID] = true
		}
	})
}
