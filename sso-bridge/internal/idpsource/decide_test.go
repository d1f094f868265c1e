// SPDX-License-Identifier: Apache-2.0

package idpsource_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpsource"
)

func TestDecisions(t *testing.T) {
	heldWorld := func(t *testing.T, change func(*world)) (w *world, before string) {
		t.Helper()
		w = newWorld(t)
		_, before = w.load()
		change(w)
		w.refresh()
		return w, before
	}
	t.Run("SSO-82 what came after what was looked at is not accepted", func(t *testing.T) {
		w, before := heldWorld(t, removeKey)
		held, err := w.Status(t.Context(), "corp", w.serving.Config.SAML.MetadataURL)
		if err != nil || held.Pending == nil {
			t.Fatal(held, err)
		}
		seen := held.Pending.Digest
		w.idp.facts.EntityID = "https://idp.example/another"
		w.refresh()
		if _, err := w.Accept(t.Context(), w.serving, seen, "cli:root"); !errors.Is(err, idpsource.ErrOther) {
			t.Error(err)
		}
		if _, digest := w.load(); digest != before {
			t.Error("it serves")
		}
		held, err = w.Status(t.Context(), "corp", w.serving.Config.SAML.MetadataURL)
		if err != nil || held.Pending == nil || held.Pending.Digest == seen {
			t.Fatal(held, err)
		}
		if _, err := w.Accept(t.Context(), w.serving, held.Pending.Digest[:16], "cli:root"); err != nil {
			t.Error(err)
		}
	})
	t.Run("SSO-82 what was accepted serves", func(t *testing.T) {
		w, before := heldWorld(t, func(w *world) { removeKey(w); w.idp.facts.EntityID = "https://idp.example/new" })
		s, err := w.Accept(t.Context(), w.serving, "", "account:0197")
		if err != nil || s.Pending != nil || s.Current.DecidedBy != "account:0197" {
			t.Fatalf("%+v %v", s, err)
		}
		facts, digest := w.load()
		if digest == before || facts.EntityID != "https://idp.example/new" || w.events() != "loaded held accepted" {
			t.Errorf("%+v, %s", facts, w.events())
		}
		w.refresh()
		w.pending(0)
		if _, err := w.Accept(t.Context(), w.serving, "", "account:0197"); !errors.Is(err, idpsource.ErrNotPending) {
			t.Error(err)
		}
	})
	t.Run("SSO-82 what was rejected is not held again, until a person asks", func(t *testing.T) {
		w, before := heldWorld(t, removeKey)
		if s, err := w.Reject(t.Context(), w.serving, "cli:root"); err != nil || s.Pending != nil {
			t.Fatal(s, err)
		}
		w.refresh()
		w.refresh()
		if _, digest := w.load(); digest != before || w.events() != "loaded held rejected" {
			t.Error(w.events())
		}
		s, err := w.Refresh(t.Context(), w.serving, "cli:root")
		if err != nil || s.Pending == nil || changed(s.Pending.Diff) != "certificate removed" {
			t.Errorf("%+v %v", s, err)
		}
		if _, err := w.Reject(t.Context(), connection.Serving{}, "cli:root"); !errors.Is(err, idpsource.ErrNoAddress) {
			t.Error(err)
		}
	})
	t.Run("SSO-82 a document that returns to what serves is over", func(t *testing.T) {
		for _, etag := range []string{"", `"v1"`} {
			w := newWorld(t)
			w.idp.set(func() { w.idp.etag = etag })
			w.load()
			facts := w.idp.facts
			removeKey(w)
			w.idp.set(func() { w.idp.etag = "" })
			w.refresh()
			w.pending(1)
			w.idp.set(func() { w.idp.facts, w.idp.etag = facts, etag })
			w.refresh()
			w.pending(0)
			if w.events() != "loaded held withdrawn" || w.status().Failure != "" {
				t.Error(w.events())
			}
		}
	})
	t.Run("SSO-82 what waits is over when the address gives what was rejected before", func(t *testing.T) {
		w, _ := heldWorld(t, removeKey)
		if _, err := w.Reject(t.Context(), w.serving, "cli:root"); err != nil {
			t.Fatal(err)
		}
		w.idp.set(func() { w.idp.facts.Redirect = "https://idp.example/sso2" })
		w.refresh()
		w.pending(1)
		w.idp.set(func() { w.idp.facts.Redirect = "https://idp.example/sso" })
		w.refresh()
		w.pending(0)
		if w.events() != "loaded held rejected held withdrawn" {
			t.Error(w.events())
		}
	})
	t.Run("SSO-82 a newer document takes the place of the one that waits", func(t *testing.T) {
		w, _ := heldWorld(t, removeKey)
		w.idp.set(func() { w.idp.facts.Redirect = "https://idp.example/sso2" })
		w.refresh()
		if s := w.status(); s.Pending == nil || changed(s.Pending.Diff) != "redirect changed, certificate removed" {
			t.Errorf("%+v", s.Pending)
		}
		w.pending(1)
	})
	t.Run("SSO-82 SAML-52 an issuer of another connection is never accepted", func(t *testing.T) {
		w, before := heldWorld(t, func(w *world) { w.idp.facts.EntityID = "https://idp.example/other" })
		other := w.connection("other", connection.SAMLConfig{MetadataURL: w.source() + "&other"})
		if _, _, err := w.Load(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Accept(t.Context(), w.serving, "", "cli:root"); !errors.Is(err, connection.ErrIssuerTaken) {
			t.Error(err)
		}
		if _, digest := w.load(); digest != before || strings.Contains(w.events(), "accepted") {
			t.Error(w.events())
		}
	})
	t.Run("SSO-82 an entity id that the configuration does not name is not accepted", func(t *testing.T) {
		w, _ := heldWorld(t, func(w *world) { w.idp.facts.EntityID = "https://idp.example/other" })
		w.serving.Config.SAML.IdPEntityID = entityID
		if _, err := w.Accept(t.Context(), w.serving, "", "cli:root"); !errors.Is(err, idpsource.ErrEntityID) {
			t.Error(err)
		}
	})
	t.Run("a person who asks is told why", func(t *testing.T) {
		w := newWorld(t)
		w.load()
		w.idp.set(func() { w.idp.facts.Redirect = "javascript:alert(1)" })
		_, err := w.Refresh(t.Context(), w.serving, "cli:root")
		if f := fault.Of(err); !errors.Is(err, idpsource.ErrUnreachable) || len(f.Details()) != 1 || !strings.Contains(f.Details()[0].Msg, "https address") {
			t.Errorf("%v", err)
		}
		if f, ok := errors.AsType[*failure.Error](err); !ok || f.Facts["cause"] != "address" {
			t.Errorf("%v", err)
		}
	})
}
