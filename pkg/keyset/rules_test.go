// SPDX-License-Identifier: Apache-2.0

package keyset_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

var ruleTime = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// published is a secret that stands in the specification.
const publicSecret = "pLh0c3VQm2c5Xy7Tn1b9kD4wRrJf8sGzEaHqUiOoN6M"

func rawText(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// random gives different bytes for each n, all of good variety.
func variedSecret(n byte, length int) string {
	b := make([]byte, length)
	for i := range b {
		b[i] = byte(i)*7 + n
	}
	return rawText(b)
}

func ruleEntry(kid string, n byte) keyset.Entry {
	return keyset.Entry{KID: kid, Secret: variedSecret(n, 32), CreatedAt: "2026-11-01T00:00:00Z"}
}

func ruleFile(active string, entries ...keyset.Entry) keyset.File {
	return keyset.File{Version: 1, Active: active, Keys: entries}
}

func ruleContent(t testing.TB, f keyset.File) []byte {
	t.Helper()
	b, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func untilTime(at time.Time) *string { s := at.Format(time.RFC3339); return &s }

func TestTheVector(t *testing.T) {
	t.Run("SSO-102 a derived key is the published one", func(t *testing.T) {
		raw, err := base64.RawURLEncoding.DecodeString(publicSecret)
		if err != nil {
			t.Fatal(err)
		}
		kid, key, err := keyset.Fixed("2026-11-a", map[string][]byte{"2026-11-a": raw}).Sign("inner.request.core_to_bridge", secret.Text{})
		if err != nil || kid != "2026-11-a" || hex.EncodeToString(key) != "35092bc7164afa986dc192237b90f26c14b8428cb5d6b0b27bd09b2ef71e953a" {
			t.Errorf("%s %x, %v", kid, key, err)
		}
	})
	t.Run("JWS-03 each audience and each salt has its own key", func(t *testing.T) {
		set := keyset.Fixed("a", map[string][]byte{"a": []byte(strings.Repeat("x", 32))})
		seen := map[string]string{}
		for _, audience := range []string{"api.sso.state_envelope", "api.device_flow.approval_grant", "inner.request.core_to_bridge"} {
			for _, salt := range []string{"", "the bridge's", "core's"} {
				_, key, err := set.Sign(audience, secret.New(salt))
				if err != nil || len(key) != keyset.KeySize {
					t.Fatal(err)
				}
				if other, dup := seen[string(key)]; dup {
					t.Errorf("%s %s has the key of %s", audience, salt, other)
				}
				seen[string(key)] = audience + " " + salt
			}
		}
	})
}

func TestFilesThatAreTaken(t *testing.T) {
	eight := make([]keyset.Entry, 0, 8)
	for i := range byte(8) {
		eight = append(eight, ruleEntry(fmt.Sprintf("k%d", i), i))
	}
	longest := ruleEntry("k", 1)
	longest.KID, longest.Secret = strings.Repeat("k", 32), variedSecret(1, 64)
	over := ruleEntry("old", 2)
	over.VerifyUntil = untilTime(ruleTime.Add(-time.Hour))
	for name, f := range map[string]keyset.File{
		"one entry": ruleFile("new", ruleEntry("new", 1)), "eight": ruleFile("k0", eight...), "the longest": ruleFile(longest.KID, longest),
		"one that is over, beside the active": ruleFile("new", ruleEntry("new", 1), over), "kid with every kind of character": ruleFile("0a.b_c-d", ruleEntry("0a.b_c-d", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			set, err := keyset.Parse(ruleContent(t, f), ruleTime)
			if err != nil || set.Active() != f.Active || len(set.KIDs()) != len(f.Keys) {
				t.Fatal(err)
			}
		})
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	change := func(with func(e *keyset.Entry)) keyset.File {
		e := ruleEntry("new", 1)
		with(&e)
		return ruleFile(e.KID, e)
	}
	bad := map[string]keyset.File{
		"no entry":          ruleFile("new"),
		"nine entries":      ruleFile("k0", ruleEntry("k0", 0), ruleEntry("k1", 1), ruleEntry("k2", 2), ruleEntry("k3", 3), ruleEntry("k4", 4), ruleEntry("k5", 5), ruleEntry("k6", 6), ruleEntry("k7", 7), ruleEntry("k8", 8)),
		"another version":   {Version: 2, Active: "new", Keys: []keyset.Entry{ruleEntry("new", 1)}},
		"active names none": ruleFile("other", ruleEntry("new", 1)), "active is empty": ruleFile("", ruleEntry("new", 1)),
		"active is over":                       change(func(e *keyset.Entry) { e.VerifyUntil = untilTime(ruleTime) }),
		"a kid twice":                          ruleFile("new", ruleEntry("new", 1), ruleEntry("new", 2)),
		"a secret twice":                       ruleFile("new", ruleEntry("new", 1), ruleEntry("old", 1)),
		"a secret of 31 bytes":                 change(func(e *keyset.Entry) { e.Secret = variedSecret(1, 31) }),
		"a secret of 65 bytes":                 change(func(e *keyset.Entry) { e.Secret = variedSecret(1, 65) }),
		"no secret":                            change(func(e *keyset.Entry) { e.Secret = "" }),
		"a padded secret":                      change(func(e *keyset.Entry) { e.Secret += "=" }),
		"a secret of the other alphabet":       change(func(e *keyset.Entry) { e.Secret = strings.Repeat("+/", 22)[:43] }),
		"a secret with a line break":           change(func(e *keyset.Entry) { e.Secret += "\n" }),
		"a secret that is not canonical":       change(func(e *keyset.Entry) { e.Secret = e.Secret[:42] + "B" }),
		"a secret of one byte again and again": change(func(e *keyset.Entry) { e.Secret = rawText([]byte(strings.Repeat("a", 32))) }),
		"a secret of 15 different bytes":       change(func(e *keyset.Entry) { e.Secret = rawText([]byte(strings.Repeat("abcdefghijklmno", 3))) }),
		"a published secret":                   change(func(e *keyset.Entry) { e.Secret = publicSecret }),
		"the other published secret":           change(func(e *keyset.Entry) { e.Secret = "W9dTz0YfK3vQ7mXhB1nLr5uPgC8sJaE2oIiRkVtNx4U" }),
		"created at no time":                   change(func(e *keyset.Entry) { e.CreatedAt = "yesterday" }),
		"verify_until at no time":              change(func(e *keyset.Entry) { s := "tomorrow"; e.VerifyUntil = &s }),
	}
	for _, kid := range []string{"", "-new", ".new", "New", "new key", "new/../x", "schlüssel", "new\n", strings.Repeat("k", 33)} {
		bad["kid "+kid[:min(len(kid), 12)]] = change(func(e *keyset.Entry) { e.KID = kid })
	}
	for name, f := range bad {
		t.Run("JWS-14 SSO-42 "+name, func(t *testing.T) {
			set, err := keyset.Parse(ruleContent(t, f), ruleTime)
			if err == nil || set != nil {
				t.Fatal("it was taken")
			}
			for _, e := range f.Keys {
				if len(e.Secret) > 8 && strings.Contains(err.Error(), e.Secret) {
					t.Errorf("the refusal has the secret: %v", err)
				}
			}
		})
	}
	good := string(ruleContent(t, ruleFile("new", ruleEntry("new", 1))))
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "{", "a list": "[]", "two documents": good + good, "an unknown member": strings.Replace(good, `"version"`, `"comment": "x", "version"`, 1),
		"an unknown member of an entry": strings.Replace(good, `"kid"`, `"alg": "HS256", "kid"`, 1), "a member twice": strings.Replace(good, `"version": 1`, `"version": 1, "version": 1`, 1),
		"a secret twice in one entry": strings.Replace(good, `"secret"`, `"secret": "x", "secret"`, 1), "a member in other case": strings.Replace(good, `"active"`, `"Active"`, 1),
		"version a text": strings.Replace(good, "1,", `"1",`, 1), "above 16 KiB": good + strings.Repeat(" ", keyset.MaxFile), "not UTF-8": strings.Replace(good, "new", "n\xffw", 1),
		"keys an object": strings.Replace(strings.Replace(good, "[", "{", 1), "]", "}", 1), "a byte order mark": "\ufeff" + good,
	} {
		t.Run("JWS-14 SSO-42 a file with "+name, func(t *testing.T) {
			if set, err := keyset.Parse([]byte(text), ruleTime); err == nil || set != nil {
				t.Fatal("it was taken")
			}
		})
	}
	t.Run("SSO-42 every problem is named at once", func(t *testing.T) {
		one, other := ruleEntry("New", 1), ruleEntry("old", 2)
		one.Secret, other.CreatedAt = "short", "never"
		_, err := keyset.Parse(ruleContent(t, keyset.File{Version: 3, Active: "gone", Keys: []keyset.Entry{one, other}}), ruleTime)
		if err == nil {
			t.Fatal("it was taken")
		}
		for _, part := range []string{"version", "active", "entry 1: kid", "entry 1: secret", "entry 2: created_at"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in %v", part, err)
			}
		}
	})
}

func TestSecretsOfOtherPurposes(t *testing.T) {
	e := ruleEntry("new", 1)
	set, err := keyset.Parse(ruleContent(t, ruleFile("new", e)), ruleTime)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(e.Secret)
	for name, c := range map[string]struct {
		other string
		want  bool
	}{
		"as it is written": {e.Secret, true}, "padded": {e.Secret + "=", true}, "decoded": {string(raw), true},
		"another": {variedSecret(2, 32), false}, "cut": {e.Secret[:42], false}, "empty": {"", false},
	} {
		t.Run("JWS-14 a secret that is also SECRET_KEY or a sealing key, "+name, func(t *testing.T) {
			if set.Holds(secret.New(c.other)) != c.want {
				t.Errorf("want %t", c.want)
			}
		})
	}
}

func TestFilesOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, ruleContent(t, ruleFile("new", ruleEntry("new", 1))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o400, 0o440, 0o600, 0o640} {
		t.Run(fmt.Sprintf("SSO-42 mode %04o is private", mode), func(t *testing.T) {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if _, err := keyset.Load(path, ruleTime); err != nil {
				t.Error(err)
			}
		})
	}
	for _, mode := range []os.FileMode{0o644, 0o604, 0o660, 0o666, 0o700, 0o650, 0o601} {
		t.Run(fmt.Sprintf("SSO-42 mode %04o is not", mode), func(t *testing.T) {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if _, err := keyset.Load(path, ruleTime); err == nil {
				t.Error("it was read")
			}
		})
	}
	t.Run("SSO-42 a file that is too large, or not there", func(t *testing.T) {
		large := filepath.Join(t.TempDir(), "large.json")
		if err := os.WriteFile(large, make([]byte, keyset.MaxFile+1), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{large, large + ".gone"} {
			if _, err := keyset.Load(p, ruleTime); err == nil {
				t.Errorf("%s was read", filepath.Base(p))
			}
		}
	})
}

func TestRotation(t *testing.T) {
	parse := func(f keyset.File) *keyset.Set {
		t.Helper()
		s, err := keyset.Parse(ruleContent(t, f), ruleTime)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old, next := ruleEntry("old", 1), ruleEntry("new", 2)
	ending := old
	ending.VerifyUntil = untilTime(ruleTime.Add(time.Hour))
	t.Run("JWS-06 SSO-41 an entry verifies until its end and not at it", func(t *testing.T) {
		s := parse(ruleFile("new", next, ending))
		for _, c := range []struct {
			kid string
			at  time.Time
			ok  bool
		}{
			{"old", ruleTime, true}, {"old", ruleTime.Add(time.Hour - time.Nanosecond), true}, {"old", ruleTime.Add(time.Hour), false}, {"old", ruleTime.Add(24 * time.Hour), false},
			{"new", ruleTime.Add(24 * time.Hour), true}, {"gone", ruleTime, false}, {"", ruleTime, false},
		} {
			_, err := s.Verify(c.kid, "a", secret.Text{}, c.at)
			if c.ok && err != nil || !c.ok && !errors.Is(err, keyset.ErrUnknownKey) {
				t.Errorf("%q at %s: %v", c.kid, c.at, err)
			}
		}
	})
	t.Run("JWS-06 SSO-41 at each step what one replica signs the other verifies", func(t *testing.T) {
		steps := []*keyset.Set{parse(ruleFile("old", old)), parse(ruleFile("old", old, next)), parse(ruleFile("new", next, ending)), parse(ruleFile("new", next))}
		for i := range steps[:len(steps)-1] {
			if i == 2 {
				continue // the last step waits until nothing of the old entry is left
			}
			for _, pair := range [][2]*keyset.Set{{steps[i], steps[i+1]}, {steps[i+1], steps[i]}} {
				kid, signed, err := pair[0].Sign("a", secret.Text{})
				if err != nil {
					t.Fatal(err)
				}
				verified, err := pair[1].Verify(kid, "a", secret.Text{}, ruleTime)
				if err != nil || string(verified) != string(signed) {
					t.Errorf("step %d: %v", i, err)
				}
			}
		}
	})
	t.Run("JWS-06 a new set is in force whole, for all that hold the ring", func(t *testing.T) {
		ring := keyset.NewRing(parse(ruleFile("old", old)))
		sets := []*keyset.Set{parse(ruleFile("old", old)), parse(ruleFile("new", next))}
		stop := make(chan struct{})
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					s := ring.Current()
					if kid, _, err := s.Sign("a", secret.Text{}); err != nil || kid != s.Active() || len(s.KIDs()) != 1 || s.KIDs()[0] != kid {
						t.Error("half a set")
						return
					}
				}
			})
		}
		for i := range 1000 {
			ring.Become(sets[i%2])
		}
		close(stop)
		wait.Wait()
	})
	t.Run("SSO-41 the fingerprint tells sets apart and tells nothing else", func(t *testing.T) {
		other := ruleEntry("old", 9)
		sets := map[string]keyset.File{"old": ruleFile("old", old), "both": ruleFile("old", old, next), "activated": ruleFile("new", next, ending), "new": ruleFile("new", next), "another secret": ruleFile("old", other)}
		seen := map[string]string{}
		for name, f := range sets {
			print := parse(f).Fingerprint()
			if len(print) != 8 || seen[print] != "" {
				t.Errorf("%s: %q is that of %q", name, print, seen[print])
			}
			seen[print] = name
			if again := parse(f).Fingerprint(); again != print {
				t.Errorf("%s changes", name)
			}
		}
	})
}

// Whatever stands in a file, reading it neither fails badly nor takes half of it.
func FuzzKeySet(f *testing.F) {
	good := ruleFile("new", ruleEntry("new", 1), ruleEntry("old", 2))
	f.Add(ruleContent(f, good))
	ending := good
	ending.Keys[1].VerifyUntil = untilTime(ruleTime.Add(time.Hour))
	f.Add(ruleContent(f, ending))
	for _, seed := range []string{"", "{}", "[]", "null", `{"version":1,"active":"a","keys":[]}`, `{"version":1,"active":"a","keys":[{"kid":"a"}]}`, `{"version":1,"version":1}`, "\xff", strings.Repeat("[", 1000)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := keyset.Parse(text, ruleTime)
		if err != nil {
			if set != nil {
				t.Fatal("half a set")
			}
			return
		}
		if _, err := set.Verify(set.Active(), "a", secret.Text{}, ruleTime); err != nil {
			t.Fatalf("%q: the active entry does not verify", text)
		}
		var shape keyset.File
		if err := json.Unmarshal(text, &shape); err != nil || len(shape.Keys) != len(set.KIDs()) || len(shape.Keys) > keyset.MaxEntries {
			t.Fatalf("%q: %v", text, err)
		}
		for _, e := range shape.Keys {
			raw, err := base64.RawURLEncoding.DecodeString(e.Secret)
			if err != nil || len(raw) < keyset.MinSecret || len(raw) > keyset.MaxSecret {
				t.Fatalf("%q", text)
			}
		}
	})
}
