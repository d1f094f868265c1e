// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// like gives a connection at the issuer of another.
func like(id, other string) connection.Content {
	c := okta(id)
	c.Config.OIDC.Issuer = okta(other).Config.OIDC.Issuer
	return c
}

func entra(id string, tenants ...string) connection.Content {
	c := okta(id)
	c.Config.Preset, c.Config.OIDC.Entra, c.Config.OIDC.Issuer = "entra-oidc", true, "https://login.microsoftonline.example/{tenantid}/v2.0"
	c.Config.Allow.Tenants = tenants
	return c
}

func TestIssuers(t *testing.T) {
	t.Run("SSO-77 OIDC-18 an issuer belongs to one connection, also after that is deleted", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp"))
		_, err := h.Create(t.Context(), like("other", "corp"), operator)
		refused(t, err, connection.ErrIssuerTaken)
		_, err = h.Create(t.Context(), like("other", "corp"), forced("mine"))
		refused(t, err, connection.ErrIssuerTaken) // it is alive: force does not help
		h.create(t, okta("other"))
		_, err = h.Update(t.Context(), like("other", "corp"), h.show(t, "other").Head, forced("mine"))
		refused(t, err, connection.ErrIssuerTaken)
		h.disableAndDelete(t, "corp")
		_, err = h.Create(t.Context(), like("third", "corp"), operator)
		refused(t, err, connection.ErrIssuerTaken)
		if len(h.core.unlinked) != 0 {
			t.Error(h.core.unlinked)
		}
	})

	t.Run("SSO-77 an issuer that a connection has left stays with it", func(t *testing.T) {
		h := start(t)
		h.create(t, okta("corp"))
		moved := okta("corp")
		moved.Config.OIDC.Issuer = "https://new.okta.example"
		h.update(t, moved)
		_, err := h.Create(t.Context(), like("other", "corp"), operator)
		refused(t, err, connection.ErrIssuerTaken)
		h.update(t, okta("corp")) // it comes back to its own
	})

	t.Run("SSO-77 the issuers of several tenants are one each", func(t *testing.T) {
		h := start(t)
		v := h.create(t, entra("entra", "tenant-a", "tenant-b"))
		storetest.Same(t, "issuers", v.Issuers, []string{"https://login.microsoftonline.example/tenant-a/v2.0", "https://login.microsoftonline.example/tenant-b/v2.0"})
		_, err := h.Create(t.Context(), entra("second", "tenant-c", "tenant-b"), operator)
		refused(t, err, connection.ErrIssuerTaken)
		h.create(t, entra("second", "tenant-c"))
		_, err = h.Create(t.Context(), entra("third"), operator)
		refused(t, err, connection.ErrInvalid)
	})

	t.Run("SSO-77 the id of a deleted connection is never used again", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp"))
		h.disableAndDelete(t, "corp")
		_, err := h.Create(t.Context(), okta("corp"), forced("again"))
		refused(t, err, connection.ErrExists)
	})

	for name, issuer := range map[string]string{
		"one of core's": "dify:account", "one of core's in capitals": "DIFY:account", "one without an issuer": "oauth2:github", "no address": "corp.okta.example",
		"a space": "https://corp.okta.example/a b", "not ASCII": "https://corp.okta.example/ä", "too long": "https://corp.okta.example/" + strings.Repeat("a", 255),
		"plain http": "http://corp.okta.example", "user information": "https://u@corp.okta.example", "empty": "", "a line break": "https://corp.okta.example/\n",
	} {
		t.Run("SSO-77 refused is an issuer with "+name, func(t *testing.T) {
			h := start(t)
			c := okta("corp")
			c.Config.OIDC.Issuer = issuer
			_, err := h.Create(t.Context(), c, forced("x"))
			refused(t, err, connection.ErrInvalid)
		})
	}

	t.Run("SSO-77 the issuer of a connection without one is its own", func(t *testing.T) {
		h := start(t)
		storetest.Same(t, "issuers", h.create(t, github("github")).Issuers, []string{"oauth2:github"})
		storetest.Same(t, "issuers", h.create(t, github("git-hub")).Issuers, []string{"oauth2:git-hub"})
	})
}

func TestAnIssuerIsTakenOver(t *testing.T) {
	setUp := func(t *testing.T) *harness {
		t.Helper()
		h := start(t)
		h.enabled(t, okta("corp"))
		h.disableAndDelete(t, "corp")
		return h
	}
	const issuer = "https://corp.okta.example"

	t.Run("SSO-108 force with a reason: identities are unlinked first, then the row moves, audited", func(t *testing.T) {
		h := setUp(t)
		v, err := h.Create(t.Context(), like("next", "corp"), forced("corp is set up anew"))
		if err != nil || v.Issuers[0] != issuer {
			t.Fatal(v, err)
		}
		storetest.Same(t, "core unlinked", h.core.unlinked, []string{issuer + "|corp is set up anew|cli:root"})
		for _, part := range []string{`"previous_connection":"corp"`, `"connection":"next"`, `"unlinked":3`, `"reason":"corp is set up anew"`} {
			h.told(t, "sso.issuer_taken_over", part)
		}
		_, err = h.Create(t.Context(), like("third", "corp"), forced("once more"))
		refused(t, err, connection.ErrIssuerTaken) // it lives again
		h.update(t, like("next", "corp"))
		if len(h.core.unlinked) != 1 {
			t.Error("unlinked again", h.core.unlinked)
		}
	})

	t.Run("SSO-108 also by an edit", func(t *testing.T) {
		h := setUp(t)
		v := h.create(t, okta("next"))
		if _, err := h.Update(t.Context(), like("next", "corp"), v.Head, forced("moved")); err != nil || len(h.core.unlinked) != 1 {
			t.Fatal(err, h.core.unlinked)
		}
	})

	t.Run("SSO-108 core down: 503, and nothing has changed", func(t *testing.T) {
		h := setUp(t)
		events := h.names(t)
		h.core.setDown(true)
		_, err := h.Create(t.Context(), like("next", "corp"), forced("x"))
		if f := fault.Of(err); f.Kind() != fault.Unavailable || f.Retry() == 0 || !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		storetest.Same(t, "events", h.names(t), events)
		if _, err := h.Show(t.Context(), "next"); !errors.Is(err, connection.ErrUnknown) {
			t.Error(err)
		}
		h.core.setDown(false)
		if _, err := h.Create(t.Context(), like("next", "corp"), forced("x")); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("SSO-108 what is refused for another reason unlinks nobody", func(t *testing.T) {
		h := setUp(t)
		h.create(t, okta("owner", "taken.example"))
		taken := like("next", "corp")
		taken.Config.Domains = []string{"taken.example"}
		_, err := h.Create(t.Context(), taken, forced("x"))
		refused(t, err, connection.ErrDomainTaken)
		_, err = h.Create(t.Context(), like("owner", "corp"), forced("x"))
		refused(t, err, connection.ErrExists)
		_, err = h.Create(t.Context(), like("next", "corp"), connection.Act{Actor: "cli:root", Force: true})
		refused(t, err, connection.ErrInvalid)
		if len(h.core.unlinked) != 0 {
			t.Error(h.core.unlinked)
		}
	})

	t.Run("SSO-108 from the connections file, once", func(t *testing.T) {
		h := setUp(t)
		d := declared(like("next", "corp"))
		_, err := h.Reconcile(t.Context(), []connection.Declaration{d})
		refused(t, err, connection.ErrIssuerTaken)
		d.TakeOverIssuer = "corp is set up anew"
		h.core.setDown(true)
		_, err = h.Reconcile(t.Context(), []connection.Declaration{d})
		if fault.Of(err).Kind() != fault.Unavailable {
			t.Fatal(err)
		}
		h.core.setDown(false)
		for range 2 {
			h.reconcile(t, d)
		}
		if len(h.core.unlinked) != 1 {
			t.Error(h.core.unlinked)
		}
		h.told(t, "sso.issuer_taken_over", `"previous_connection":"corp"`)
	})
}

func TestDomains(t *testing.T) {
	owner := func(t *testing.T, h *harness, domain, want string) {
		t.Helper()
		if got, err := h.Owner(t.Context(), domain); err != nil || got != want {
			t.Errorf("%s belongs to %q, %v, want %q", domain, got, err, want)
		}
	}

	t.Run("PPL-14 one domain, one connection; a claim is audited and refused for a second", func(t *testing.T) {
		h := start(t)
		h.create(t, okta("corp", "corp.example", "corp.example.cn"))
		h.told(t, "sso.connection_created", `"domains":["corp.example","corp.example.cn"]`)
		_, err := h.Create(t.Context(), okta("other", "corp.example"), forced("x"))
		refused(t, err, connection.ErrDomainTaken)
		v := h.create(t, okta("other", "eng.corp.example"))
		_, err = h.Update(t.Context(), okta("other", "corp.example.cn"), v.Head, forced("x"))
		refused(t, err, connection.ErrDomainTaken)
		if loc := fault.Of(err).Details(); len(loc) != 1 {
			t.Error(loc)
		}
	})

	t.Run("SSO-79 a domain routes from the enabling of the edit that claims it to the one that drops it", func(t *testing.T) {
		h := start(t)
		v := h.create(t, okta("corp", "a.example"))
		owner(t, h, "a.example", "")
		_, err := h.Enable(t.Context(), "corp", v.Head, forced("x"))
		if err != nil {
			t.Fatal(err)
		}
		v = h.update(t, okta("corp", "b.example"))
		owner(t, h, "a.example", "corp")
		owner(t, h, "b.example", "")
		_, err = h.Create(t.Context(), okta("other", "a.example"), operator)
		refused(t, err, connection.ErrDomainTaken)
		if _, err = h.Enable(t.Context(), "corp", v.Head, forced("x")); err != nil {
			t.Fatal(err)
		}
		owner(t, h, "a.example", "")
		owner(t, h, "b.example", "corp")
		h.create(t, okta("other", "a.example"))
	})

	t.Run("a domain is exact, in any case, and no more than itself", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("corp", "corp.example"))
		for domain, want := range map[string]string{"corp.example": "corp", "CORP.example": "corp", "eng.corp.example": "", "xcorp.example": "", "example": "", "corp.example.": "", "": ""} {
			owner(t, h, domain, want)
		}
		if _, err := h.Disable(t.Context(), "corp", operator, false); err != nil {
			t.Fatal(err)
		}
		owner(t, h, "corp.example", "corp") // disabled keeps everything
	})

	for _, domain := range []string{"Corp.example", "corp", "corp.example.", ".corp.example", "corp..example", "*.corp.example", "corp example.com", "bücher.example", "-corp.example", strings.Repeat("a.", 126) + "aa"} {
		t.Run("no domain is "+domain[:min(len(domain), 20)], func(t *testing.T) {
			h := start(t)
			_, err := h.Create(t.Context(), okta("corp", domain), operator)
			refused(t, err, connection.ErrInvalid)
			if strings.Contains(err.Error(), domain) {
				t.Error("the refusal repeats the value")
			}
		})
	}
}
