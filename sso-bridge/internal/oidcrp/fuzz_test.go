// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// members counts the members of an object with the standard decoder.
func members(raw []byte) (names []string) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return names
		}
		text, _ := name.(string)
		names = append(names, text)
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return names
		}
	}
	return names
}

func FuzzIDTokenClaims(f *testing.F) {
	for _, seed := range []string{
		`{"iss":"https://idp.example","sub":"a","aud":["bridge"],"exp":1900000000,"iat":1900000000,"nonce":"n"}`,
		`{"sub":"a","sub":"b"}`, `{"sub":"a","\u0073ub":"b"}`, `{"SUB":"a"}`, `{"exp":1e30}`, `{"exp":-0}`, `{"exp":null}`, `{"aud":["a",null]}`, `{"aud":[]}`,
		`[]`, `null`, `{}{}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		`{"_claim_names":{"groups":"src1"},"hasgroups":"true","groups":{"a":["b"]}}`, `{"alg":"RS256","kid":"k","typ":"JWT"}`, `{"alg":"none","crit":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseClaims(raw)
		if _, headErr := parseHeader(b64.EncodeToString(raw) + ".e30.AA"); headErr == nil && err != nil {
			t.Fatal("a header was taken that is no strict object")
		}
		if err != nil {
			return
		}
		names := members(raw)
		slices.Sort(names)
		if len(slices.Compact(slices.Clone(names))) != len(names) || len(names) != len(c) {
			t.Fatalf("members %q became %d claims", names, len(c))
		}
		var standard map[string]any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if d.Decode(&standard) != nil {
			t.Fatal("the standard decoder refuses it")
		}
		for name, value := range standard {
			if s, ok := c.text(name); ok && s != value {
				t.Fatalf("%q is %q, the standard decoder reads %v", name, s, value)
			}
			if n, ok := c.whole(name); ok {
				number, _ := value.(json.Number)
				if m, err := number.Int64(); err != nil || m != n {
					t.Fatalf("%q is %d, the standard decoder reads %v", name, n, value)
				}
			}
			if list, ok := c.list(name); ok {
				for i, item := range list {
					if many, isList := value.([]any); isList && many[i] != item {
						t.Fatalf("%q is %q, the standard decoder reads %v", name, list, value)
					}
				}
			}
		}
		overage(c, "groups")
		guest(c)
		seen(c, fromIDToken)
	})
}

func FuzzDiscovery(f *testing.F) {
	const issuer = "https://idp.example"
	for _, seed := range []string{
		`{"issuer":"https://idp.example","authorization_endpoint":"https://idp.example/a","token_endpoint":"https://idp.example/t","jwks_uri":"https://idp.example/k","authorization_response_iss_parameter_supported":true}`,
		`{"issuer":"https://idp.example","issuer":"https://evil.example"}`, `{"ISSUER":"https://idp.example"}`, `{"issuer":"https://idp.example/"}`,
		`{"issuer":"https://idp.example","token_endpoint":null}`, `{"issuer":"https://idp.example","token_endpoint":5}`, `{"issuer":["https://idp.example"]}`,
		`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"OKP","crv":"Ed25519","x":"AA"},{"kty":"oct","k":"AA"}]}`,
		`{"keys":null}`, `{"keys":[null,1,"a",[]]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if set, err := parseKeys(raw); err == nil {
			for _, k := range set {
				if k.fits("none") || k.fits("HS256") || k.fits("") {
					t.Fatal("a key fits an algorithm that is never taken")
				}
			}
		}
		e, err := parseDiscovery(raw, issuer)
		if err != nil {
			return
		}
		var standard map[string]any
		if json.Unmarshal(raw, &standard) != nil || standard["issuer"] != issuer || len(members(raw)) != len(standard) {
			t.Fatal("the standard decoder reads another issuer")
		}
		for _, n := range e.Named() {
			if text, _ := standard[n[0]].(string); text != n[1] {
				t.Fatalf("%s is %q, the standard decoder reads %v", n[0], n[1], standard[n[0]])
			}
		}
	})
}
