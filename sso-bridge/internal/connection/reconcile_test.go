// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

func TestReconcile(t *testing.T) {
	of := func(c connection.Content, change ...func(d *connection.Declaration)) connection.Declaration {
		d := declared(c)
		for _, f := range change {
			f(&d)
		}
		return d
	}
	byForce := func(d *connection.Declaration) { d.Enable, d.Reason = connection.EnableForce, "staging" }
	file := []connection.Declaration{of(okta("corp", "corp.example")), of(github("github"), byForce)}

	t.Run("SSO-81 what is new is made, and a second time changes nothing", func(t *testing.T) {
		h := start(t)
		r := h.reconcile(t, file...)
		storetest.Same(t, "reconciled", r, connection.Reconciled{Created: []string{"corp", "github"}, Enabled: []string{"github"}, Untested: []string{"corp"}})
		corp, hub := h.show(t, "corp"), h.show(t, "github")
		if corp.State != connection.Draft || corp.ManagedBy != connection.ByFile || hub.State != connection.Enabled || !hub.Untested || hub.ServingRevision.ForcedReason != "staging" {
			t.Fatalf("%+v %+v", corp, hub)
		}
		events := h.names(t)
		h.clock.advance(time.Minute)
		if r = h.reconcile(t, file...); len(r.Created)+len(r.Updated)+len(r.Enabled)+len(r.Disabled) > 0 {
			t.Errorf("%+v", r)
		}
		storetest.Same(t, "events", h.names(t), events)
		if now := h.show(t, "corp"); !now.UpdatedAt.Equal(corp.UpdatedAt) {
			t.Error("a row was written")
		}
	})

	t.Run("SSO-81 enable: tested enables as soon as the test of the head has passed", func(t *testing.T) {
		h := start(t)
		h.reconcile(t, file...)
		h.passed(t, "corp", h.show(t, "corp").Head)
		first := h.show(t, "corp")
		if first.State != connection.Enabled || first.Serving != first.Head {
			t.Fatalf("%+v", first)
		}
		edited := of(okta("corp", "corp.example"), func(d *connection.Declaration) { d.Config.ForceAuthn = true })
		if r := h.reconcile(t, edited, file[1]); !slices.Equal(r.Updated, []string{"corp"}) || !slices.Equal(r.Untested, []string{"corp"}) {
			t.Errorf("%+v", r)
		}
		if v := h.show(t, "corp"); v.Serving != first.Serving || v.Head == first.Head || v.State != connection.Enabled {
			t.Fatalf("%+v", v)
		}
		// The former content was tested: declared again it serves at once.
		h.passed(t, "corp", h.show(t, "corp").Head)
		if r := h.reconcile(t, file...); !slices.Equal(r.Enabled, []string{"corp"}) || h.show(t, "corp").Serving != first.Serving {
			t.Errorf("%+v", r)
		}
	})

	t.Run("SSO-81 what is gone is disabled, its tokens end, and it is an administrator's again", func(t *testing.T) {
		h := start(t)
		h.reconcile(t, file...)
		r := h.reconcile(t, file[0])
		if !slices.Equal(r.Disabled, []string{"github"}) || len(h.core.revoked) != 1 || !strings.HasPrefix(h.core.revoked[0], "github|gone from the connections file|") {
			t.Fatal(r, h.core.revoked)
		}
		v := h.show(t, "github")
		if v.State != connection.Disabled || v.ManagedBy != connection.ByAPI {
			t.Fatalf("%+v", v)
		}
		if r := h.reconcile(t, file...); !slices.Equal(r.Enabled, []string{"github"}) || h.show(t, "github").ManagedBy != connection.ByFile {
			t.Fatalf("%+v", r)
		}
		h.reconcile(t)
		if _, err := h.Delete(t.Context(), "github", because("over"), false); err != nil {
			t.Fatal(err)
		}
		_, err := h.Reconcile(t.Context(), file)
		refused(t, err, connection.ErrExists)
	})

	t.Run("SSO-81 core down when a connection is gone: the file holds, core is told later", func(t *testing.T) {
		h := start(t)
		h.reconcile(t, file...)
		h.core.setDown(true)
		h.reconcile(t, file[0])
		h.core.setDown(false)
		h.clock.advance(time.Minute)
		if n, err := h.Deliver(t.Context()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	})

	t.Run("SSO-81 the file wins: an administrator changes nothing that it names", func(t *testing.T) {
		h := start(t)
		h.create(t, okta("corp"))
		h.reconcile(t, file...)
		v := h.show(t, "corp")
		if v.ManagedBy != connection.ByFile || !slices.Equal(v.HeadRevision.Config.Domains, []string{"corp.example"}) {
			t.Fatalf("%+v", v)
		}
		_, err := h.Update(t.Context(), okta("corp"), v.Head, operator)
		refused(t, err, connection.ErrManagedByFile)
		_, err = h.Restore(t.Context(), "corp", v.Head, v.Head, operator)
		refused(t, err, connection.ErrManagedByFile)
		_, err = h.Delete(t.Context(), "corp", because("x"), false)
		refused(t, err, connection.ErrManagedByFile)
	})

	t.Run("SSO-81 one that an administrator has disabled stays so until one enables it", func(t *testing.T) {
		h := start(t)
		h.reconcile(t, file...)
		if _, err := h.Disable(t.Context(), "github", because("an incident"), false); err != nil {
			t.Fatal(err)
		}
		h.reconcile(t, file...)
		v := h.show(t, "github")
		h.passed(t, "github", v.Head)
		h.reconcile(t, file...)
		if v = h.show(t, "github"); v.State != connection.Disabled || v.ManagedBy != connection.ByFile {
			t.Fatalf("%+v", v)
		}
		if v, err := h.Enable(t.Context(), "github", v.Head, operator); err != nil || v.State != connection.Enabled {
			t.Fatal(err)
		}
	})

	t.Run("SSO-81 domains and the default move from one to the other in one file", func(t *testing.T) {
		h := start(t)
		asDefault := func(d *connection.Declaration) { d.Default = true }
		h.create(t, okta("third"))
		h.reconcile(t, of(okta("one", "a.example"), asDefault), of(okta("two", "b.example")))
		h.reconcile(t, of(okta("one", "b.example")), of(okta("two", "a.example"), asDefault))
		one, two := h.show(t, "one"), h.show(t, "two")
		if one.Default || !two.Default || !slices.Equal(one.HeadRevision.Config.Domains, []string{"b.example"}) {
			t.Errorf("%+v %+v", one, two)
		}
		_, err := h.Create(t.Context(), okta("fourth", "a.example"), operator)
		refused(t, err, connection.ErrDomainTaken)
		h.reconcile(t, of(okta("third"), asDefault)) // the others are gone
		if !h.show(t, "third").Default || h.show(t, "two").Default {
			t.Error("the default did not move")
		}
	})

	t.Run("SSO-81 all or nothing, with every problem", func(t *testing.T) {
		h := start(t)
		h.create(t, okta("owner", "taken.example"))
		h.enabled(t, okta("gone"))
		h.disableAndDelete(t, "gone")
		h.reconcile(t, file...)
		events := h.names(t)
		for name, tc := range map[string]struct {
			file  []connection.Declaration
			wrong map[string]error
		}{
			"each for itself": {
				[]connection.Declaration{of(okta("new")), of(okta("Bad Id")), of(okta("intents"), func(d *connection.Declaration) { d.Intents = nil }), of(okta("twice")), of(okta("twice")), of(okta("how"), func(d *connection.Declaration) { d.Enable = "now" })},
				map[string]error{"Bad Id": connection.ErrInvalid, "intents": connection.ErrInvalid, "twice": connection.ErrInvalid, "how": connection.ErrInvalid},
			},
			"force without reason": {[]connection.Declaration{of(okta("new"), func(d *connection.Declaration) { d.Enable = connection.EnableForce })}, map[string]error{"new": connection.ErrInvalid}},
			"two owners of a domain": {
				[]connection.Declaration{of(okta("one", "x.example")), of(okta("two", "y.example", "x.example"))}, map[string]error{"two": connection.ErrDomainTaken},
			},
			"two defaults": {
				[]connection.Declaration{of(okta("one"), func(d *connection.Declaration) { d.Default = true }), of(okta("two"), func(d *connection.Declaration) { d.Default = true })},
				map[string]error{"two": connection.ErrInvalid},
			},
			"against what there is": {
				[]connection.Declaration{of(okta("new")), of(okta("other", "taken.example")), of(like("issuer", "owner")), of(okta("gone"))},
				map[string]error{"other": connection.ErrDomainTaken, "issuer": connection.ErrIssuerTaken, "gone": connection.ErrExists},
			},
			"two of one issuer": {[]connection.Declaration{of(okta("one")), of(like("two", "one"))}, map[string]error{"two": connection.ErrIssuerTaken}},
			"not complete by force": {
				[]connection.Declaration{of(okta("new"), byForce, func(d *connection.Declaration) { d.Secrets = connection.Secrets{} })}, map[string]error{"new": connection.ErrIncomplete},
			},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := h.Reconcile(t.Context(), tc.file)
				problems, ok := errors.AsType[connection.Problems](err)
				if !ok || len(problems) != len(tc.wrong) {
					t.Fatalf("%v", err)
				}
				for _, p := range problems {
					if !errors.Is(p.Err, tc.wrong[p.ID]) {
						t.Errorf("%s: %v", p.ID, p.Err)
					}
					if !strings.Contains(err.Error(), "connection "+p.ID+": ") {
						t.Errorf("%v", err)
					}
				}
			})
		}
		storetest.Same(t, "events", h.names(t), events)
		if all, err := h.List(t.Context()); err != nil || len(all) != 3 || h.show(t, "corp").ManagedBy != connection.ByFile {
			t.Error(all, err)
		}
	})
}

func TestSecretsInFiles(t *testing.T) {
	inFile := func(word string) connection.Declaration {
		d := declared(okta("corp"))
		d.Secrets.ClientSecret, d.SecretsInFiles, d.Enable, d.Reason = secret.New(word), true, connection.EnableTested, ""
		return d
	}
	stored := func(t *testing.T, h *harness) (n int) {
		t.Helper()
		if err := h.DB.QueryRow(t.Context(), `SELECT count(*) FROM sso_connection_revisions WHERE secrets_sealed IS NOT NULL`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	word := func(t *testing.T, s *connection.Service, hash string) string {
		t.Helper()
		v, err := s.At(t.Context(), "corp", hash)
		if err != nil {
			t.Fatal(err)
		}
		return v.Secrets.ClientSecret.Reveal()
	}

	h := start(t)
	h.reconcile(t, inFile("first"))
	first := h.show(t, "corp").Head
	h.passed(t, "corp", first)
	if n := stored(t, h); n != 0 {
		t.Fatalf("%d secrets out of files are stored", n)
	}
	if got := word(t, h.Service, first); got != "first" {
		t.Fatal(got)
	}
	// Another process knows it once it has read the file.
	if _, err := h.other.Serving(t.Context(), "corp"); err == nil {
		t.Fatal("the secret came out of nowhere")
	}
	if _, err := h.other.Reconcile(t.Context(), []connection.Declaration{inFile("first")}); err != nil || word(t, h.other, first) != "first" {
		t.Fatal(err)
	}
	// Changed in its file it is a new revision; what serves has the former one.
	r := h.reconcile(t, inFile("second"))
	second := h.show(t, "corp").Head
	if second == first || !slices.Equal(r.Untested, []string{"corp"}) {
		t.Fatalf("%+v", r)
	}
	if word(t, h.Service, first) != "first" || word(t, h.Service, second) != "second" {
		t.Error("secrets are mixed up")
	}
	// An administrator who takes it over stores it.
	h.reconcile(t)
	c := okta("corp")
	c.Secrets.ClientSecret = secret.New("second")
	if v := h.update(t, c); v.Head != second || stored(t, h) != 1 {
		t.Error("it is not stored", stored(t, h))
	}
	if got := word(t, h.service(t, h.Durable, h.keys), second); got != "second" {
		t.Error(got)
	}
}
