// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func TestFlow(t *testing.T) {
	master := strings.Repeat("m", 32)
	s := &Service{}
	var err error
	if s.nonceKey, err = secret.Derive(secret.New(master), "api.sso.flow_nonce"); err != nil {
		t.Fatal(err)
	}
	if s.codeKey, err = secret.Derive(secret.New(master), "api.device_flow.user_code_digest"); err != nil {
		t.Fatal(err)
	}
	mac := func(info, text string) []byte {
		key, err := hkdf.Key(sha256.New, []byte(master), nil, info, 32)
		if err != nil {
			t.Fatal(err)
		}
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	t.Run("SSO-17 what the bridge gets is derived from the cookie and core's own key", func(t *testing.T) {
		f := newFlow("ABCD-EFGH")
		value := f.Cookie().Reveal()
		sum := sha256.Sum256([]byte(value))
		encode := base64.RawURLEncoding.EncodeToString
		for name, pair := range map[string][2]string{
			"binding": {f.binding(), encode(sum[:])}, "nonce": {s.nonce(f), encode(mac("api.sso.flow_nonce", value)[:16])},
			"code": {s.codeDigest("ABCD-EFGH"), encode(mac("api.device_flow.user_code_digest", "ABCD-EFGH"))},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: %s instead of %s", name, pair[0], pair[1])
			}
		}
		if again := newFlow("ABCD-EFGH"); again.binding() == f.binding() || s.nonce(again) == s.nonce(f) {
			t.Error("two flows are one")
		}
		if got, ok := ParseFlow(f.Cookie()); !ok || got != f {
			t.Errorf("%v, %t", got, ok)
		}
	})
	t.Run("SSO-14 what we did not write in this form is no flow", func(t *testing.T) {
		random := secret.Random()
		for _, value := range []string{
			"", ".", random, random + ".", "." + "ABCD-EFGH", random + ".abcd-efgh", random + ".ABCDEFGH", random + ".ABCD-EFGH.", random + "=.ABCD-EFGH", random[1:] + ".ABCD-EFGH",
			random + "A.ABCD-EFGH", random[:42] + "+.ABCD-EFGH", " " + random + ".ABCD-EFGH", random + "\n.ABCD-EFGH",
			strings.Repeat("A", 42) + "B.ABCD-EFGH", // its last bits are not nought
		} {
			if _, ok := ParseFlow(secret.New(value)); ok {
				t.Errorf("%q is taken", value)
			}
		}
	})
}

// While SECRET_KEY is changed, what was begun under the former one ends well, and nothing
// is put together of the two.
func TestAFlowOfTheFormerKey(t *testing.T) {
	keyed := func(text string) owned {
		master := secret.New(strings.Repeat(text, 32))
		nonce, err := secret.Derive(master, "api.sso.flow_nonce")
		if err != nil {
			t.Fatal(err)
		}
		code, err := secret.Derive(master, "api.device_flow.user_code_digest")
		if err != nil {
			t.Fatal(err)
		}
		return owned{nonceKey: nonce, codeKey: code}
	}
	present, former := keyed("p"), keyed("f")
	f := newFlow("ABCD-EFGH")
	of := func(nonce, code owned) envelope.ExternalSubjectClaims {
		return envelope.ExternalSubjectClaims{Binding: f.binding(), Nonce: nonce.nonce(f), UserCodeDigest: code.codeDigest(f.UserCode)}
	}
	for name, tc := range map[string]struct {
		claims      envelope.ExternalSubjectClaims
		with, alone bool
	}{
		"SSO-17 begun under the present key":      {of(present, present), true, true},
		"SSO-17 begun under the former key":       {of(former, former), true, false},
		"SSO-17 put together of both":             {of(present, former), false, false},
		"SSO-17 begun under a key that was never": {of(keyed("x"), keyed("x")), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&Service{owned: present, former: &former}).bound(tc.claims, f); got != tc.with {
				t.Errorf("with the former key: %t", got)
			}
			if got := (&Service{owned: present}).bound(tc.claims, f); got != tc.alone {
				t.Errorf("without it: %t", got)
			}
		})
	}
}
