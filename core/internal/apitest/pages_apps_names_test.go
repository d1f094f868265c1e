// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// Names that play markup, turn the text around them or have no end.
func TestHostileNamesOfApps(t *testing.T) {
	const evil = `"></textarea><script>alert(1)</script><img src=x onerror=alert(1)>`
	w := caStart(t)
	owner := w.browsers["owner"]
	clean := func(t *testing.T, a apitest.Answer) {
		t.Helper()
		if strings.Contains(a.Body, "<script>") || strings.Contains(a.Body, "<img") || strings.Count(a.Body, "</textarea>") > 1 {
			t.Errorf("%d:\n%s", a.Status, a.Body)
		}
	}
	t.Run("W-8 markup is text on every page", func(t *testing.T) {
		w.addsOnPage(t, "owner", pgAppFields(evil, "description", evil, "author", evil, "tags", "<script>"))
		at := pgApps + "/" + pgAppID(t, w.Server, evil)
		for _, path := range []string{pgApps, at, at + "/access", at + "/remove"} {
			a := owner.Get(path)
			if clean(t, a); !strings.Contains(a.Body, html.EscapeString(evil[:40])) {
				t.Errorf("it is not shown on %s:\n%s", path, a.Body)
			}
		}
		clean(t, w.addsOnPage(t, "owner", pgAppFields("", "description", evil, "tags", evil, "author", evil, "runtime_url", evil, "max_active_requests", evil, "mode", evil, "access", evil, "runtime", evil)))
		clean(t, owner.Get(pgApps+"?outcome="+url.QueryEscape(evil)+"&page="+url.QueryEscape(evil)))
	})
	t.Run("W-8 255 characters are cut where they are shown, and whole where they are edited", func(t *testing.T) {
		name := strings.Repeat("界", 255)
		w.addsOnPage(t, "owner", pgAppFields(name))
		if a := owner.Page; !strings.Contains(a.Body, "<bdi>"+strings.Repeat("界", 63)+"…</bdi>") || strings.Contains(a.Body, strings.Repeat("界", 64)) {
			t.Error(a.Body)
		}
		at := pgApps + "/" + pgAppID(t, w.Server, name)
		if a := owner.Get(at); !strings.Contains(a.Body, `value="`+name+`"`) {
			t.Error(a.Body)
		}
	})
	t.Run("W-8 HTTP-22 what turns text, breaks lines or is not seen does not come in", func(t *testing.T) {
		before := w.kept(t)
		for _, name := range []string{"a\u202eb", "a\u2066b", "a\r\nSet-Cookie: x=y", "a\x00b", strings.Repeat("x", 256)} {
			if a := w.addsOnPage(t, "owner", pgAppFields(name)); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `<a href="#name">`) {
				t.Errorf("%q: %d\n%s", name, a.Status, a.Body)
			}
		}
		if w.kept(t) != before {
			t.Error("a refusal has written")
		}
	})
	t.Run("W-8 a name that does not come by the door stands in its own direction", func(t *testing.T) {
		w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "safe\u202eevil"})
		if a := owner.Get(pgApps); !strings.Contains(a.Body, "<bdi>safe\u202eevil</bdi>") {
			t.Error(a.Body)
		}
	})
}

func TestAccessModesOfTheEnterpriseEdition(t *testing.T) {
	s, _ := apitest.StartCompany(t, unlimited())
	b := s.SignedIn(t)
	t.Run("people without an account can be let in, where there are any", func(t *testing.T) {
		a := b.Get(pgNewApp)
		if !strings.Contains(a.Body, `value="public"`) || !strings.Contains(a.Body, `value="sso_verified"`) {
			t.Fatal(a.Body)
		}
		b.Submit(pgNewApp, pgAppFields("Open", "access", "sso_verified"))
		at := pgApps + "/" + pgAppID(t, s, "Open") + "/access"
		b.Get(at)
		b.Submit(at, url.Values{"access": {"public"}})
		if got := sqlText(t, s, `SELECT access_mode FROM apps WHERE name = 'Open'`); got != "public" || !strings.Contains(b.Page.Body, "Everybody who can sign in here") {
			t.Errorf("%s:\n%s", got, b.Page.Body)
		}
	})
}
