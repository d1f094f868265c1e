// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
)

// published is the vector's secret; the product refuses it in a file.
const published = "pLh0c3VQm2c5Xy7Tn1b9kD4wRrJf8sGzEaHqUiOoN6M"

// vector is the token of GET /inner/api/sso/connections?intent=device_flow.
var vector = strings.Join([]string{
	"eyJhbGciOiJIUzI1NiIsImtpZCI6IjIwMjYtMTEtYSIsInR5cCI6ImlubmVyLnJlcXVlc3QuY29yZV90b19icmlkZ2Urand0In0",
	"eyJpc3MiOiJodHRwczovL2NvcmUuZXhhbXBsZSIsImF1ZCI6ImlubmVyLnJlcXVlc3QuY29yZV90b19icmlkZ2UiLCJpYXQiOjE3NjcyMjU2MDAsImV4cCI6MTc2NzIyNTY2MCwianRpIjoiQUFBQUFBQUFBQUFBQUFBQUFBQUFBQSIsImh0bSI6IkdFVCIsImh0dSI6Ii9pbm5lci9hcGkvc3NvL2Nvbm5lY3Rpb25zP2ludGVudD1kZXZpY2VfZmxvdyIsImJoIjoiNDdERVFwajhIQlNhLV9USW1XLTVKQ2V1UWVSa201Tk1wSldaRzNoU3VGVSJ9",
	"63lwl9UiuinKE4KQwiCEUs9iYiOcze1jD2JYevWdkKo",
}, ".")

func inner(t *testing.T, audience envelope.Audience, issuer string, now time.Time) *envelope.Inner {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(published)
	if err != nil {
		t.Fatal(err)
	}
	ring := keyset.NewRing(keyset.Fixed("2026-11-a", map[string][]byte{"2026-11-a": raw}))
	i, err := envelope.NewInner(envelope.Deps{Keys: ring, Audience: audience, Issuer: issuer, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// once is a replay store in its simplest form.
type once map[string]bool

func (o once) Consume(_ context.Context, a envelope.Audience, id string, _ time.Duration) (bool, error) {
	key := string(a) + ":" + id
	fresh := !o[key]
	o[key] = true
	return fresh, nil
}

func TestVector(t *testing.T) {
	at := time.Unix(1767225600, 0)
	const uri = "/inner/api/sso/connections?intent=device_flow"
	t.Run("SSO-102 the published token is admitted once", func(t *testing.T) {
		bridge, seen := inner(t, envelope.CoreToBridge, "https://core.example", at), once{}
		if err := bridge.Admit(t.Context(), seen, []string{"Bearer " + vector}, "GET", uri, nil); err != nil {
			t.Fatal(err)
		}
		if err := bridge.Admit(t.Context(), seen, []string{"Bearer " + vector}, "GET", uri, nil); !errors.Is(err, envelope.ErrInnerReplayed) {
			t.Fatalf("a second time: %v", err)
		}
	})
	t.Run("SSO-102 what we sign has its header and claims in the same order", func(t *testing.T) {
		header, err := inner(t, envelope.CoreToBridge, "https://core.example", at).Authorization("GET", uri, nil)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := strings.Split(strings.TrimPrefix(header, "Bearer "), "."), strings.Split(vector, ".")
		if ours[0] != theirs[0] {
			t.Errorf("header %s, want %s", ours[0], theirs[0])
		}
		if a, b := withoutID(t, ours[1]), withoutID(t, theirs[1]); a != b {
			t.Errorf("claims %s, want %s", a, b)
		}
	})
}

// withoutID is the payload's text up to its jti and from there on.
func withoutID(t *testing.T, part string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(raw), `"jti":"`)
	if !ok || len(after) < 23 {
		t.Fatalf("no jti in %s", raw)
	}
	return before + after[22:]
}
