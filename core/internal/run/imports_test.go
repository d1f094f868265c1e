// SPDX-License-Identifier: Apache-2.0

package run

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/seal"
)

func sealing(t testing.TB) *seal.Keys {
	t.Helper()
	keys, err := seal.Parse(seal.NewKeyFile("k1"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestTheIDOfAnImportThatWaits(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := &Service{Deps: Deps{Imports: Imports{Sealing: sealing(t)}, Now: func() time.Time { return now }}}
	other := &Service{Deps: Deps{Imports: Imports{Sealing: sealing(t)}, Now: s.Now}}
	who := Caller{Subject: token.Subject{Issuer: "dify:account", ID: canon.NewID()}}
	them := Caller{Subject: token.Subject{Issuer: "dify:account", ID: canon.NewID()}}
	workspace := canon.NewID()
	long := waiting{appID: canon.NewID(), importID: strings.Repeat("~", 128), until: now.Add(importWaits)}
	id := s.sealImport(who, workspace, long)

	t.Run("API-29 it opens as it was sealed, for one person in one workspace, by any process of the same keys", func(t *testing.T) {
		if got, ok := s.openImport(who, workspace, id); !ok || got.appID != long.appID || got.importID != long.importID {
			t.Errorf("%+v %t", got, ok)
		}
		for name, open := range map[string]func() (waiting, bool){
			"somebody else":              func() (waiting, bool) { return s.openImport(them, workspace, id) },
			"another workspace":          func() (waiting, bool) { return s.openImport(who, canon.NewID(), id) },
			"an installation of its own": func() (waiting, bool) { return other.openImport(who, workspace, id) },
		} {
			if got, ok := open(); ok {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
	t.Run("API-29 it is one element of a path, and shorter than what is opened", func(t *testing.T) {
		if len(id) > maxImportID || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Error(len(id), id)
		}
	})
	t.Run("API-29 it ends after 15 minutes", func(t *testing.T) {
		for after, want := range map[time.Duration]bool{importWaits - time.Second: true, importWaits: false, 24 * time.Hour: false} {
			late := &Service{Deps: Deps{Imports: s.Imports, Now: func() time.Time { return now.Add(after) }}}
			if _, ok := late.openImport(who, workspace, id); ok != want {
				t.Errorf("after %v: %t", after, ok)
			}
		}
	})
	t.Run("API-29 what was sealed for this place in another form is none", func(t *testing.T) {
		for _, text := range []string{"", "a\nb", "a\nx\nc", "\n\n"} {
			id := base64.RawURLEncoding.EncodeToString([]byte(s.Imports.Sealing.Seal([]byte(text), importPlace(who, workspace))))
			if got, ok := s.openImport(who, workspace, id); ok {
				t.Errorf("%q: %+v", text, got)
			}
		}
	})
}

func FuzzTheIDOfAnImport(f *testing.F) {
	s := &Service{Deps: Deps{Imports: Imports{Sealing: sealing(f)}, Now: time.Now}}
	who := Caller{Subject: token.Subject{Issuer: "dify:account", ID: "a"}}
	f.Add(s.sealImport(Caller{}, "w", waiting{importID: "i", until: time.Now().Add(time.Hour)}))
	f.Add("azE6AAAA")
	f.Fuzz(func(t *testing.T, id string) {
		if w, ok := s.openImport(who, "w", id); ok {
			t.Errorf("%+v opens", w)
		}
	})
}
