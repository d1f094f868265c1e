// SPDX-License-Identifier: Apache-2.0

package keyset_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/keyset"
)

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.json")
	put := func(t *testing.T, content []byte, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	a, b := entry("a", 1), entry("b", 2)
	for _, tc := range []struct {
		name    string
		content []byte
		mode    os.FileMode
		judge   []error
		say     []string // none: it is taken
	}{
		{name: "a new set", content: file(t, "b", b, a), mode: 0o640},
		{name: "SSO-42 broken", content: []byte("{"), mode: 0o600, say: []string{"not the JSON"}},
		{name: "SSO-42 duplicate", content: file(t, "b", b, b), mode: 0o600, say: []string{"repeats a kid", "has the secret of"}},
		{name: "SSO-42 world-readable", content: file(t, "b", b), mode: 0o644, say: []string{"has mode 0644"}},
		{name: "SSO-42 weak", content: file(t, "b", with(b, func(e *keyset.Entry) { e.Secret = b64(bytes.Repeat([]byte{1}, 32)) })), mode: 0o600, say: []string{"too few different bytes"}},
		{name: "JWS-06 SSO-42 every problem is logged", content: file(t, "c", with(b, func(e *keyset.Entry) { e.CreatedAt = "x" })), mode: 0o600, say: []string{"created_at", "active names no entry"}},
		{name: "JWS-14 a secret of the service's own", content: file(t, "b", b), mode: 0o600, judge: []error{errors.New("SECRET_KEY must differ")}, say: []string{"SECRET_KEY must differ"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			put(t, file(t, "a", a), 0o600)
			set, err := keyset.Load(path, noon)
			if err != nil {
				t.Fatal(err)
			}
			put(t, tc.content, tc.mode)
			var log bytes.Buffer
			refused := 0
			ring := keyset.NewRing(set)
			done, ok := keyset.Reloader{
				Ring: ring, Path: path, Judge: func(*keyset.Set) []error { return tc.judge }, Refused: func() { refused++ },
				Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return noon },
			}.Reload()
			for _, say := range tc.say {
				if !strings.Contains(log.String(), say) {
					t.Errorf("%q is not in the log:\n%s", say, &log)
				}
			}
			if len(tc.say) > 0 {
				if ok || refused != 1 || ring.Current() != set {
					t.Fatalf("taken %v, counted %d", ok, refused)
				}
				return
			}
			if !ok || refused != 0 || ring.Current().Active() != "b" || done.Active != "b" || done.Fingerprint != ring.Current().Fingerprint() || len(done.KIDs) != 2 {
				t.Fatalf("taken %v, counted %d, %+v", ok, refused, done)
			}
		})
	}
}
