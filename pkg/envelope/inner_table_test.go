// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/keyset"
)

const (
	origin = "https://core.example"
	method = "POST"
	uri    = "/inner/api/sso/login-attempts?x=1"
)

var body = []byte(`{"intent":"device_flow"}`)

func innerAt(t testing.TB, a envelope.Audience, kid string, now time.Time) *envelope.Inner {
	t.Helper()
	i, err := envelope.NewInner(envelope.Deps{Keys: keyset.NewRing(keyset.Fixed(kid, ringSecrets)), Audience: a, Issuer: origin, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func authorized(t testing.TB, i *envelope.Inner, method, uri string, body []byte) string {
	t.Helper()
	header, err := i.Authorization(method, uri, body)
	if err != nil {
		t.Fatal(err)
	}
	return header
}

func TestInnerRequests(t *testing.T) {
	i := innerAt(t, envelope.CoreToBridge, "new", at)
	good := authorized(t, i, method, uri, body)
	admit := func(headers []string, method, uri string, body []byte) error {
		return i.Admit(t.Context(), once{}, headers, method, uri, body)
	}
	if err := admit([]string{good}, method, uri, body); err != nil {
		t.Fatal(err)
	}
	for name, headers := range map[string][]string{
		"absent": nil, "empty": {""}, "doubled": {good, good}, "doubled, one empty": {good, ""}, "another scheme": {"Basic " + good[7:]},
		"the scheme alone": {"Bearer "}, "no scheme": {good[7:]}, "the scheme in other case": {"bearer " + good[7:]},
	} {
		t.Run("SSO-43 INN-01 a token "+name, func(t *testing.T) {
			if err := admit(headers, method, uri, body); !errors.Is(err, envelope.ErrInnerMissing) {
				t.Error(err)
			}
		})
	}
	for name, err := range map[string]error{
		"method":                  admit([]string{good}, "GET", uri, body),
		"method in other case":    admit([]string{good}, "post", uri, body),
		"path":                    admit([]string{good}, method, "/inner/api/sso/connections?x=1", body),
		"query":                   admit([]string{good}, method, strings.TrimSuffix(uri, "1")+"2", body),
		"query left out":          admit([]string{good}, method, "/inner/api/sso/login-attempts", body),
		"an empty query more":     admit([]string{good}, method, uri+"&", body),
		"path encoded":            admit([]string{good}, method, strings.Replace(uri, "sso", "%73so", 1), body),
		"body":                    admit([]string{good}, method, uri, []byte(`{"intent":"account_login"}`)),
		"body left out":           admit([]string{good}, method, uri, nil),
		"body with a blank":       admit([]string{good}, method, uri, append(body[:len(body):len(body)], ' ')),
		"a path that is too long": admit([]string{authorized(t, i, method, "/"+strings.Repeat("a", envelope.MaxURI), body)}, method, "/"+strings.Repeat("a", envelope.MaxURI), body),
	} {
		t.Run("SSO-43 INN-02 another "+name, func(t *testing.T) {
			if !errors.Is(err, envelope.ErrInnerMismatch) {
				t.Error(err)
			}
		})
	}
	t.Run("INN-02 each byte of the body flipped", func(t *testing.T) {
		for n := range body {
			changed := append([]byte(nil), body...)
			changed[n] ^= 1
			if err := admit([]string{good}, method, uri, changed); !errors.Is(err, envelope.ErrInnerMismatch) {
				t.Errorf("byte %d: %v", n, err)
			}
		}
	})
	t.Run("INN-02 each byte of the token flipped", func(t *testing.T) {
		for n := len("Bearer "); n < len(good); n++ {
			changed := []byte(good)
			changed[n] ^= 1
			if err := admit([]string{string(changed)}, method, uri, body); !errors.Is(err, envelope.ErrInnerInvalid) {
				t.Errorf("byte %d: %v", n, err)
			}
		}
	})
	t.Run("SSO-43 INN-03 a reflected token, and one of the other direction", func(t *testing.T) {
		back := innerAt(t, envelope.BridgeToCore, "new", at)
		if err := back.Admit(t.Context(), once{}, []string{good}, method, uri, body); !errors.Is(err, envelope.ErrInnerInvalid) {
			t.Error(err)
		}
		if err := admit([]string{authorized(t, back, method, uri, body)}, method, uri, body); !errors.Is(err, envelope.ErrInnerInvalid) {
			t.Error(err)
		}
	})
	t.Run("INN-03 the messages of a login are no tokens", func(t *testing.T) {
		for _, a := range []envelope.Audience{envelope.StateEnvelope, envelope.ApprovalGrant, envelope.ExternalSubject, envelope.ConsoleLogin} {
			if err := admit([]string{"Bearer " + signed(t, a, at)}, method, uri, body); !errors.Is(err, envelope.ErrInnerInvalid) {
				t.Errorf("%s: %v", a, err)
			}
		}
	})
	for name, c := range map[string]struct {
		age time.Duration
		ok  bool
	}{
		"30 s after its end": {90 * time.Second, true}, "31 s after its end": {91 * time.Second, false},
		"30 s ahead": {-30 * time.Second, true}, "31 s ahead": {-31 * time.Second, false}, "120 s old": {2 * time.Minute, false},
	} {
		t.Run("SSO-43 INN-05 a token "+name, func(t *testing.T) {
			header := authorized(t, innerAt(t, envelope.CoreToBridge, "new", at.Add(-c.age)), method, uri, body)
			err := admit([]string{header}, method, uri, body)
			if c.ok && err != nil || !c.ok && !errors.Is(err, envelope.ErrInnerInvalid) {
				t.Error(err)
			}
		})
	}
	t.Run("SSO-43 INN-05 a token of 61 seconds", func(t *testing.T) {
		header, payload := parts(t, strings.TrimPrefix(good, "Bearer "))
		list := members(t, payload)
		long := forged(t, "new", envelope.CoreToBridge, header, object(with(list, "exp", "1767225661")))
		if err := admit([]string{"Bearer " + long}, method, uri, body); !errors.Is(err, envelope.ErrInnerInvalid) {
			t.Error(err)
		}
	})
	t.Run("INN-05 an id is remembered for as long as its token could be taken", func(t *testing.T) {
		if longest := envelope.CoreToBridge.Life() + 2*envelope.Leeway; envelope.InnerReplayFor < longest {
			t.Errorf("%s of %s", envelope.InnerReplayFor, longest)
		}
	})
	t.Run("SSO-43 INN-06 a foreign kid, and one past its end", func(t *testing.T) {
		header, payload := parts(t, strings.TrimPrefix(good, "Bearer "))
		foreign := forged(t, "new", envelope.CoreToBridge, object(with(members(t, header), "kid", `"foreign"`)), payload)
		if err := admit([]string{"Bearer " + foreign}, method, uri, body); !errors.Is(err, envelope.ErrInnerInvalid) {
			t.Error(err)
		}
		header, payload = parts(t, strings.TrimPrefix(authorized(t, innerAt(t, envelope.CoreToBridge, "old", at), method, uri, body), "Bearer "))
		withEnd := func(now time.Time) error {
			set, err := keyset.Parse(fileWithEnd(t, at.Add(time.Second)), at)
			if err != nil {
				t.Fatal(err)
			}
			_, key, err := keyset.Fixed("old", ringSecrets).Sign(string(envelope.CoreToBridge), ownerOf(envelope.CoreToBridge))
			if err != nil {
				t.Fatal(err)
			}
			receiver, err := envelope.NewInner(envelope.Deps{Keys: keyset.NewRing(set), Audience: envelope.CoreToBridge, Issuer: origin, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			return receiver.Admit(t.Context(), once{}, []string{"Bearer " + sealed(key, b64(header)+"."+b64(payload))}, method, uri, body)
		}
		if err := withEnd(at); err != nil {
			t.Errorf("before its end: %v", err)
		}
		if err := withEnd(at.Add(time.Second)); !errors.Is(err, envelope.ErrInnerInvalid) {
			t.Errorf("at its end: %v", err)
		}
	})
	t.Run("SSO-43 INN-04 an id twice, and one whose store is down", func(t *testing.T) {
		seen := once{}
		if err := i.Admit(t.Context(), seen, []string{good}, method, uri, body); err != nil {
			t.Fatal(err)
		}
		if err := i.Admit(t.Context(), seen, []string{good}, method, uri, body); !errors.Is(err, envelope.ErrInnerReplayed) {
			t.Error(err)
		}
		err := i.Admit(t.Context(), broken{}, []string{authorized(t, i, method, uri, body)}, method, uri, body)
		if f := fault.Of(err); f.Kind() != fault.Unavailable || f.Retry() <= 0 {
			t.Error(err)
		}
	})
	t.Run("INN-02 a request of another spends no id", func(t *testing.T) {
		seen := once{}
		_ = i.Admit(t.Context(), seen, []string{good}, "GET", uri, body)
		if len(seen) != 0 {
			t.Error("it did")
		}
	})
}

// broken is a replay store that is down.
type broken struct{}

func (broken) Consume(context.Context, envelope.Audience, string, time.Duration) (bool, error) {
	return false, errors.New("no answer")
}

// fileWithEnd is a key-set file in which the older entry ends.
func fileWithEnd(t testing.TB, end time.Time) []byte {
	t.Helper()
	until := end.Format(time.RFC3339)
	content, err := keyset.File{Version: 1, Active: "new", Keys: []keyset.Entry{
		{KID: "new", Secret: b64(string(ringSecrets["new"])), CreatedAt: "2025-11-01T00:00:00Z"},
		{KID: "old", Secret: b64(string(ringSecrets["old"])), CreatedAt: "2025-05-01T00:00:00Z", VerifyUntil: &until},
	}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return content
}
