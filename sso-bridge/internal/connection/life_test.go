// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// names gives the audit events so far.
func (h *harness) names(t *testing.T) []string {
	t.Helper()
	names, _ := h.Events(t)
	return names
}

func (h *harness) told(t *testing.T, event, part string) {
	t.Helper()
	_, fields := h.Events(t)
	if !strings.Contains(fields[event], part) {
		t.Errorf("%s says %s, not %s", event, fields[event], part)
	}
}

func TestTheLifeOfAConnection(t *testing.T) {
	t.Run("SSO-79 a draft is enabled once a test of exactly its head has passed", func(t *testing.T) {
		h := start(t)
		v := h.create(t, okta("corp", "corp.example"))
		if v.State != connection.Draft || v.ManagedBy != connection.ByAPI || v.HeadRevision.Seq != 1 {
			t.Fatalf("%+v", v)
		}
		_, err := h.Enable(t.Context(), "corp", v.Head, operator)
		refused(t, err, connection.ErrNotTested)
		h.passed(t, "corp", v.Head)
		if v = h.show(t, "corp"); v.State != connection.Tested || v.HeadRevision.TestedBy != "account:tester" || v.HeadRevision.TestedReference != "7K2QD-9XM4P" || !v.HeadRevision.TestedAt.Equal(storetest.Start) {
			t.Fatalf("%+v", v)
		}
		v, err = h.Enable(t.Context(), "corp", v.Head, operator)
		if err != nil || v.State != connection.Enabled || v.Serving != v.Head || v.Untested {
			t.Fatal(v, err)
		}
		if _, err := h.Enable(t.Context(), "corp", v.Head, operator); err != nil {
			t.Fatal(err)
		}
		want := []string{"sso.connection_created", "sso.connection_tested", "sso.connection_enabled"}
		storetest.Same(t, "events", h.names(t), want)
		h.told(t, "sso.connection_created", `"domains":["corp.example"]`)
		h.told(t, "sso.connection_tested", `"attempt":"7K2QD-9XM4P"`)
	})

	t.Run("SSO-79 after an edit the serving revision goes on and the head needs its own test", func(t *testing.T) {
		h := start(t)
		first := h.enabled(t, okta("corp"))
		edit := okta("corp")
		edit.Config.ForceAuthn = true
		v := h.update(t, edit)
		if v.State != connection.Enabled || v.Serving != first.Head || v.Head == first.Head || v.HeadRevision.TestedAt != nil {
			t.Fatalf("%+v", v)
		}
		s, err := h.Choose(t.Context(), connection.DeviceFlow, "", "")
		if err != nil || s.Hash != first.Head || s.Config.ForceAuthn {
			t.Fatal("a login uses what nobody has enabled", err)
		}
		_, err = h.Enable(t.Context(), "corp", v.Head, operator)
		refused(t, err, connection.ErrNotTested)
		_, err = h.Enable(t.Context(), "corp", first.Head, operator)
		refused(t, err, connection.ErrConflict)
		h.passed(t, "corp", v.Head)
		if v, err = h.Enable(t.Context(), "corp", v.Head, operator); err != nil || v.Serving != v.Head {
			t.Fatal(v, err)
		}
		h.told(t, "sso.connection_enabled", `"previous_revision":"`+first.Head+`"`)
	})

	t.Run("SSO-79 a test of another revision than the head enables nothing", func(t *testing.T) {
		h := start(t)
		first := h.create(t, okta("corp"))
		edit := okta("corp")
		edit.Config.ForceAuthn = true
		v := h.update(t, edit)
		h.passed(t, "corp", first.Head)
		if now := h.show(t, "corp"); now.State != connection.Draft || now.HeadRevision.TestedAt != nil {
			t.Fatalf("%+v", now)
		}
		// Restored, it is the revision that was tested.
		back, err := h.Restore(t.Context(), "corp", first.Head, v.Head, operator)
		if err != nil || back.Head != first.Head || back.State != connection.Tested {
			t.Fatal(back, err)
		}
		h.told(t, "sso.connection_updated", `"restored":true`)
		if v = h.update(t, edit); v.State != connection.Draft {
			t.Fatalf("%+v", v)
		}
		all, err := h.Revisions(t.Context(), "corp")
		if err != nil || len(all) != 2 || all[0].Hash != v.Head || all[1].Hash != first.Head {
			t.Fatal(all, err)
		}
	})

	t.Run("SSO-79 PPL-14 force needs a reason, is audited and warned of until a test passes", func(t *testing.T) {
		h := start(t)
		v := h.create(t, okta("corp"))
		_, err := h.Enable(t.Context(), "corp", v.Head, connection.Act{Actor: "cli:root", Force: true, Reason: "  "})
		refused(t, err, connection.ErrInvalid)
		v, err = h.Enable(t.Context(), "corp", v.Head, forced("the test account is locked"))
		if err != nil || v.State != connection.Enabled || !v.Untested || v.ServingRevision.ForcedReason != "the test account is locked" {
			t.Fatal(v, err)
		}
		storetest.Same(t, "events", h.names(t), []string{"sso.connection_created", "sso.connection_force_enabled"})
		h.told(t, "sso.connection_force_enabled", `"reason":"the test account is locked"`)
		h.passed(t, "corp", v.Head)
		if h.show(t, "corp").Untested {
			t.Error("it is warned of after its test")
		}
	})

	t.Run("what is not complete is neither enabled by force nor tested", func(t *testing.T) {
		h := start(t)
		c := okta("corp")
		c.Secrets, c.Config.OIDC.ClientID = connection.Secrets{}, ""
		v := h.create(t, c)
		if len(v.Incomplete) != 2 {
			t.Errorf("%+v", v.Incomplete)
		}
		_, err := h.Enable(t.Context(), "corp", v.Head, forced("soon"))
		refused(t, err, connection.ErrIncomplete)
		_, err = h.ForTest(t.Context(), "corp", "")
		refused(t, err, connection.ErrIncomplete)
		if len(fault.Of(err).Details()) != 2 {
			t.Error("details say not what is missing")
		}
	})

	t.Run("a test is of the head unless a revision is named, with its secrets", func(t *testing.T) {
		h := start(t)
		first := h.create(t, okta("corp"))
		edit := okta("corp")
		edit.Secrets.ClientSecret = secret.New("renewed")
		v := h.update(t, edit)
		for hash, want := range map[string]string{"": "renewed", v.Head: "renewed", first.Head: "client secret of corp"} {
			s, err := h.ForTest(t.Context(), "corp", hash)
			if err != nil || s.Secrets.ClientSecret.Reveal() != want {
				t.Error(hash, err)
			}
		}
		_, err := h.ForTest(t.Context(), "corp", strings.Repeat("0", 64))
		refused(t, err, connection.ErrUnknownRevision)
		_, err = h.ForTest(t.Context(), "none", "")
		refused(t, err, connection.ErrUnknown)
	})

	t.Run("labels change without a revision, and at once", func(t *testing.T) {
		h := start(t)
		first := h.enabled(t, okta("corp"))
		edit := okta("corp")
		edit.Name, edit.Button, edit.Listed, edit.Position, edit.Intents = "Corp", "Sign in with Corp", false, 3, []connection.Intent{connection.AccountLogin}
		v := h.update(t, edit)
		if v.Head != first.Head || v.Name != "Corp" || v.Button != "Sign in with Corp" || v.Listed || v.Position != 3 || v.State != connection.Enabled {
			t.Fatalf("%+v", v)
		}
		events := len(h.names(t))
		h.clock.advance(time.Minute)
		if again := h.update(t, edit); !again.UpdatedAt.Equal(v.UpdatedAt) || len(h.names(t)) != events {
			t.Error("an edit that changes nothing was written")
		}
		_, err := h.Choose(t.Context(), connection.DeviceFlow, "corp", "")
		refused(t, err, connection.ErrNotConfigured)
	})

	t.Run("every refusal has its code and writes nothing", func(t *testing.T) {
		h := start(t)
		v := h.enabled(t, okta("corp", "corp.example"))
		events := len(h.names(t))
		zero := strings.Repeat("0", 64)
		edit := okta("corp", "other.example")
		for name, tc := range map[string]struct {
			do   func() error
			want *fault.Error
		}{
			"create again":      {func() error { _, err := h.Create(t.Context(), okta("corp"), operator); return err }, connection.ErrExists},
			"update unseen":     {func() error { _, err := h.Update(t.Context(), edit, "", operator); return err }, connection.ErrMatchRequired},
			"update stale":      {func() error { _, err := h.Update(t.Context(), edit, zero, operator); return err }, connection.ErrConflict},
			"update none":       {func() error { _, err := h.Update(t.Context(), okta("none"), zero, operator); return err }, connection.ErrUnknown},
			"enable none":       {func() error { _, err := h.Enable(t.Context(), "none", zero, operator); return err }, connection.ErrUnknown},
			"enable no hash":    {func() error { _, err := h.Enable(t.Context(), "corp", "x", operator); return err }, connection.ErrUnknownRevision},
			"enable unknown":    {func() error { _, err := h.Enable(t.Context(), "corp", zero, operator); return err }, connection.ErrUnknownRevision},
			"restore unknown":   {func() error { _, err := h.Restore(t.Context(), "corp", zero, v.Head, operator); return err }, connection.ErrUnknownRevision},
			"restore stale":     {func() error { _, err := h.Restore(t.Context(), "corp", v.Head, zero, operator); return err }, connection.ErrConflict},
			"delete enabled":    {func() error { _, err := h.Delete(t.Context(), "corp", because("x"), false); return err }, connection.ErrEnabled},
			"delete unreasoned": {func() error { _, err := h.Delete(t.Context(), "corp", operator, false); return err }, connection.ErrInvalid},
			"disable none":      {func() error { _, err := h.Disable(t.Context(), "none", operator, false); return err }, connection.ErrUnknown},
			"no actor":          {func() error { _, err := h.Disable(t.Context(), "corp", connection.Act{}, false); return err }, connection.ErrInvalid},
			"tested none":       {func() error { return h.MarkTested(t.Context(), "none", zero, "cli:root", "r", "s") }, connection.ErrUnknown},
			"tested unknown":    {func() error { return h.MarkTested(t.Context(), "corp", zero, "cli:root", "r", "s") }, connection.ErrUnknownRevision},
			"revisions of none": {func() error { _, err := h.Revisions(t.Context(), "no one"); return err }, connection.ErrUnknown},
			"revision unknown":  {func() error { _, err := h.Revision(t.Context(), "corp", zero); return err }, connection.ErrUnknownRevision},
		} {
			t.Run(name, func(t *testing.T) { refused(t, tc.do(), tc.want) })
		}
		if len(h.names(t)) != events || h.show(t, "corp").Head != v.Head {
			t.Error("something was written")
		}
	})
}

func TestSecretsThatAnEditLeavesOut(t *testing.T) {
	h := start(t)
	h.create(t, okta("corp"))
	for name, tc := range map[string]struct {
		edit func(c *connection.Content)
		kept bool
	}{
		"stay":                  {func(c *connection.Content) { c.Config.ForceAuthn = true }, true},
		"go to no other issuer": {func(c *connection.Content) { c.Config.OIDC.Issuer = "https://evil.example" }, false},
		"go to no other client": {func(c *connection.Content) { c.Config.OIDC.ClientID = "other" }, false},
		"go to no endpoint typed just now": {func(c *connection.Content) {
			c.Config.OIDC.Endpoints = &connection.OIDCEndpoints{Authorization: "https://a.example", Token: "https://evil.example", JWKS: "https://a.example"}
		}, false},
		"are dropped when they are not used": {func(c *connection.Content) {
			c.Config.OIDC.Auth, c.Config.OIDC.KeyAlgorithm = "private_key_jwt", "RS256"
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := "c" + strings.ReplaceAll(name, " ", "-")
			id = id[:min(len(id), 20)]
			h.create(t, okta(id))
			c := okta(id)
			c.Secrets = connection.Secrets{}
			tc.edit(&c)
			v := h.update(t, c)
			if kept := v.HeadRevision.Config.OIDC.ClientSecret != ""; kept != tc.kept {
				t.Errorf("kept: %t", kept)
			}
			if tc.kept {
				s, err := h.At(t.Context(), id, v.Head)
				if err != nil || s.Secrets.ClientSecret.Reveal() != "client secret of "+id {
					t.Error(err)
				}
			}
		})
	}
}

func TestEnding(t *testing.T) {
	t.Run("SSO-83 disabled: no login begins, core ends its tokens and sessions, others stay", func(t *testing.T) {
		h := start(t)
		v := h.enabled(t, okta("corp"))
		h.enabled(t, okta("other"))
		ended, err := h.Disable(t.Context(), "corp", because("acquired"), false)
		if err != nil || ended != (connection.Ended{Tokens: 2, Sessions: 1}) {
			t.Fatal(ended, err)
		}
		storetest.Same(t, "core was told", h.core.revoked, []string{"corp|acquired|account:0198c0de-0000-7000-8000-000000000001"})
		_, err = h.Choose(t.Context(), connection.DeviceFlow, "corp", "")
		refused(t, err, connection.ErrUnknown)
		// What a claim of an attempt under way compares.
		s, err := h.At(t.Context(), "corp", v.Head)
		if err != nil || s.For(connection.DeviceFlow) || s.Serving != v.Head {
			t.Error(s.State, err)
		}
		if s, err := h.Choose(t.Context(), connection.DeviceFlow, "other", ""); err != nil || !s.For(connection.DeviceFlow) {
			t.Error(err)
		}
		h.told(t, "sso.connection_disabled", `"keep_tokens":false`)
		if n, err := h.Deliver(t.Context()); n != 0 || err != nil {
			t.Error("it is told again", n, err)
		}
	})

	t.Run("SSO-83 core down meanwhile: pending, then the outbox delivers, once of all replicas", func(t *testing.T) {
		engines(t, func(t *testing.T, h *harness) {
			h.enabled(t, okta("corp"))
			h.core.setDown(true)
			ended, err := h.Disable(t.Context(), "corp", operator, false)
			if err != nil || ended != (connection.Ended{Pending: true}) {
				t.Fatal(ended, err)
			}
			if h.show(t, "corp").State != connection.Disabled {
				t.Fatal("it goes on without core")
			}
			for range 4 {
				h.clock.advance(time.Minute)
				if n, err := h.Deliver(t.Context()); n != 0 || err == nil {
					t.Fatal("core is down and was told", n)
				}
				h.clock.advance(5 * time.Minute)
			}
			h.core.setDown(false)
			sum := 0
			for _, n := range storetest.AtOnce(8, func(i int) int {
				s := h.Service
				if i%2 == 1 {
					s = h.other
				}
				n, err := s.Deliver(t.Context())
				if err != nil {
					t.Error(err)
				}
				return n
			}) {
				sum += n
			}
			if sum != 1 || len(h.core.revoked) != 1 || h.core.revoked[0] != "corp|connection disabled|cli:root" {
				t.Fatal(sum, h.core.revoked)
			}
			h.clock.advance(time.Hour)
			if n, err := h.Deliver(t.Context()); n != 0 || err != nil {
				t.Fatal("told once more", n, err)
			}
		})
	})

	t.Run("SSO-83 keep_tokens sends nothing, and a second disabling ends them", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp"))
		if ended, err := h.Disable(t.Context(), "corp", operator, true); err != nil || ended != (connection.Ended{}) {
			t.Fatal(ended, err)
		}
		h.clock.advance(time.Hour)
		if n, err := h.Deliver(t.Context()); n != 0 || err != nil || len(h.core.revoked) != 0 {
			t.Fatal("core was told", n, err)
		}
		h.told(t, "sso.connection_disabled", `"keep_tokens":true`)
		if ended, err := h.Disable(t.Context(), "corp", operator, false); err != nil || ended.Tokens != 2 {
			t.Fatal(ended, err)
		}
	})

	t.Run("SSO-83 a deletion is soft, tells core and frees the domains alone", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp", "corp.example"))
		h.disableAndDelete(t, "corp")
		if len(h.core.revoked) != 2 {
			t.Error(h.core.revoked)
		}
		_, err := h.Show(t.Context(), "corp")
		refused(t, err, connection.ErrUnknown)
		_, err = h.Delete(t.Context(), "corp", because("x"), false)
		refused(t, err, connection.ErrUnknown)
		if _, err := h.At(t.Context(), "corp", strings.Repeat("0", 64)); err == nil {
			t.Error("it can be used")
		}
		c, err := h.Connections.Find(t.Context(), "corp")
		if err != nil || c.DeletedAt == nil {
			t.Error(c, err)
		}
		h.create(t, okta("next", "corp.example"))
		if all, err := h.List(t.Context()); err != nil || len(all) != 1 || all[0].ID != "next" {
			t.Error(all, err)
		}
		if names := h.names(t); !slices.Contains(names, "sso.connection_deleted") {
			t.Error(names)
		}
	})

	t.Run("a draft that never served ends nothing", func(t *testing.T) {
		h := start(t)
		h.create(t, okta("corp"))
		if _, err := h.Delete(t.Context(), "corp", because("a slip"), false); err != nil || len(h.core.revoked) != 0 {
			t.Fatal(err, h.core.revoked)
		}
	})

	t.Run("a long reason reaches core cut, and the audit stream whole", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp"))
		reason := strings.Repeat("原因", 50)
		if _, err := h.Disable(t.Context(), "corp", because(reason), false); err != nil {
			t.Fatal(err)
		}
		if got := strings.Split(h.core.revoked[0], "|")[1]; got != strings.Repeat("原因", 32) {
			t.Error(got)
		}
		h.told(t, "sso.connection_disabled", reason)
	})
}
