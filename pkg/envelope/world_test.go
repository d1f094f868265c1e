// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// The secrets of the tests: a key set with two entries, and the services' own.
var (
	ringSecrets = map[string][]byte{"new": []byte("the secret of the newer entry, long enough"), "old": []byte("another one, that of the older entry, 32+")}
	bridgeKey   = secret.New(strings.Repeat("bridge secret key ", 3))
	coreKey     = secret.New(strings.Repeat("core's secret key ", 3))
	at          = time.Unix(1767225600, 0).UTC()
)

const issuer = "https://sso.example"

var audiences = []envelope.Audience{
	envelope.StateEnvelope, envelope.ApprovalGrant, envelope.ExternalSubject, envelope.ConsoleLogin, envelope.CoreToBridge, envelope.BridgeToCore,
}

// ownerOf is the SECRET_KEY with which an audience is salted.
func ownerOf(a envelope.Audience) secret.Text {
	switch a {
	case envelope.StateEnvelope:
		return bridgeKey
	case envelope.ApprovalGrant:
		return coreKey
	}
	return secret.Text{}
}

// note are claims with one of each kind: a text, one that may be absent, a number, a
// truth, and a nest.
type note struct {
	Text  string       `json:"text"`
	Label string       `json:"label,omitempty"`
	Count int64        `json:"count"`
	True  bool         `json:"true"`
	Nest  [][][]string `json:"nest,omitempty"`
}

var aNote = note{Text: "hello", Label: "there", Count: 7, True: true}

func codecOf(t testing.TB, a envelope.Audience, now time.Time) *envelope.Codec[note] {
	t.Helper()
	c, err := envelope.New[note](envelope.Deps{
		Keys: keyset.NewRing(keyset.Fixed("new", ringSecrets)), Audience: a, Issuer: issuer, Owner: ownerOf(a), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func signed(t testing.TB, a envelope.Audience, now time.Time) string {
	t.Helper()
	message, _, err := codecOf(t, a, now).Sign(aNote)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// forged makes a message of any header and payload, with the right MAC of an entry's key
// for an audience: what remains to refuse it is its content.
func forged(t testing.TB, kid string, a envelope.Audience, header, payload string) string {
	t.Helper()
	_, key, err := keyset.Fixed(kid, ringSecrets).Sign(string(a), ownerOf(a))
	if err != nil {
		t.Fatal(err)
	}
	return sealed(key, b64(header)+"."+b64(payload))
}

func sealed(key []byte, two string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(two))
	return two + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// parts gives header and payload of a message in clear.
func parts(t testing.TB, message string) (header, payload string) {
	t.Helper()
	three := strings.Split(message, ".")
	if len(three) != 3 {
		t.Fatalf("%d parts", len(three))
	}
	for i, to := range []*string{&header, &payload} {
		raw, err := base64.RawURLEncoding.DecodeString(three[i])
		if err != nil {
			t.Fatal(err)
		}
		*to = string(raw)
	}
	return header, payload
}

// members gives the members of a flat object in order, each as name and JSON.
func members(t testing.TB, object string) (list [][2]string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		list = append(list, [2]string{name.(string), string(value)})
	}
	return list
}

func object(list [][2]string) string {
	texts := make([]string, 0, len(list))
	for _, m := range list {
		name, _ := json.Marshal(m[0])
		texts = append(texts, string(name)+":"+m[1])
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// with gives the members with one of them changed; an empty value takes it out.
func with(list [][2]string, name, value string) [][2]string {
	var out [][2]string
	found := false
	for _, m := range list {
		if m[0] == name {
			found = true
			if value == "" {
				continue
			}
			m[1] = value
		}
		out = append(out, m)
	}
	if !found && value != "" {
		out = append(out, [2]string{name, value})
	}
	return out
}

// mustRefuse fails unless a message is refused for a reason.
func mustRefuse(t testing.TB, c *envelope.Codec[note], message string, reason envelope.Reason) {
	t.Helper()
	claims, r, err := c.Verify(message)
	refused, ok := errors.AsType[*envelope.RefusedError](err)
	if !ok || refused.Reason != reason {
		t.Errorf("got %v, want %s", err, reason)
	}
	if ok && (reason == envelope.Shape || reason == envelope.Header || reason == envelope.KeyID || reason == envelope.MAC) && (claims.Text != "" || r != (envelope.Registered{})) {
		t.Errorf("what was not verified was given: %+v %+v", claims, r)
	}
}

func mustVerify(t testing.TB, c *envelope.Codec[note], message string) note {
	t.Helper()
	claims, _, err := c.Verify(message)
	if err != nil {
		t.Error(err)
	}
	return claims
}
