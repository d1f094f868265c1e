// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const pgMembers = "/workspace/members"

// pgInvite invites on the page and gives the path of the link that it shows.
func pgInvite(t *testing.T, s *apitest.Server, b *apitest.Browser, email, role string) string {
	t.Helper()
	b.Get(pgMembers)
	a := b.Submit(pgMembers, url.Values{"email": {email}, "role": {role}})
	m := regexp.MustCompile(`<code>([^<]*)</code>`).FindStringSubmatch(a.Body)
	if a.Status != http.StatusCreated || m == nil {
		t.Fatalf("%d:\n%s", a.Status, a.Body)
	}
	return strings.TrimPrefix(html.UnescapeString(m[1]), s.URL)
}

// pgEdit opens the page of a member.
func (w *wsWorld) pgEdit(b *apitest.Browser, who string) apitest.Answer {
	return b.Get(pgMembers + "/edit?id=" + w.ids[who])
}

func TestMembersPage(t *testing.T) {
	w := wsStart(t)
	owner, normal := w.SignedIn(t), signedInAs(t, w.Server, wsEmail("normal"))
	t.Run("API-9 what one's role does not allow is not offered, and refused if it is posted", func(t *testing.T) {
		a := normal.Get(pgMembers)
		if !strings.Contains(a.Body, "admin@example.com") || strings.Contains(a.Body, `action="`+pgMembers) || strings.Contains(a.Body, "/edit?id=") {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		before := w.written(t)
		for _, path := range []string{pgMembers + "/edit?id=" + w.ids["editor"], pgMembers + "/remove?id=" + w.ids["editor"]} {
			if a := normal.Get(path); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "Your role does not allow this") {
				t.Errorf("%s: %d\n%s", path, a.Status, a.Body)
			}
		}
		token := normal.CSRF()
		for action, fields := range map[string]url.Values{
			pgMembers:             {"email": {"new@example.com"}, "role": {"normal"}},
			pgMembers + "/edit":   {"id": {w.ids["editor"]}, "role": {"admin"}},
			pgMembers + "/remove": {"id": {w.ids["editor"]}},
		} {
			fields.Set("workspace", w.id)
			fields.Set("csrf_token", token)
			a := normal.Call(http.MethodPost, action, fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Origin", w.URL)
			if a.Status != http.StatusForbidden || !strings.Contains(a.Body, "Your role does not allow this") {
				t.Errorf("%s: %d\n%s", action, a.Status, a.Body)
			}
		}
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
	})
	t.Run("API-10 an invitation's link is shown once", func(t *testing.T) {
		link := pgInvite(t, w.Server, owner, "  New@Example.com ", "admin")
		if !strings.Contains(owner.Page.Body, "Send this link to <bdi>new@example.com</bdi>. It works once, for 72 hours.") {
			t.Error(owner.Page.Body)
		}
		if a := owner.Get(pgMembers); strings.Contains(a.Body, "token=") || !strings.Contains(a.Body, "new@example.com") || !strings.Contains(a.Body, "Invited") {
			t.Errorf("%s", a.Body)
		}
		if _, err := w.App.Members.Invitation(t.Context(), secret.New(strings.TrimPrefix(link, "/activate?token="))); err != nil {
			t.Error(err)
		}
	})
	t.Run("API-10 who cannot be invited: the page again, and it says why", func(t *testing.T) {
		before := w.written(t)
		for email, want := range map[string]struct {
			status int
			text   string
		}{"no address": {400, "Type an e-mail address"}, wsEmail("admin"): {409, "This person is a member already."}} {
			owner.Get(pgMembers)
			a := owner.Submit(pgMembers, url.Values{"email": {email}, "role": {"admin"}})
			if a.Status != want.status || !strings.Contains(a.Body, `<a href="#email">`+want.text) || !strings.Contains(a.Body, `value="`+email+`"`) || !strings.Contains(a.Body, `<option value="admin" selected>`) {
				t.Errorf("%s: %d\n%s", email, a.Status, a.Body)
			}
		}
		owner.Get(pgMembers)
		if a := owner.Submit(pgMembers, url.Values{"email": {"x@example.com"}, "role": {"owner"}}); a.Status != http.StatusBadRequest {
			t.Errorf("%d", a.Status)
		}
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
	})
	t.Run("API-9 a role is changed; the same one is a problem of its field", func(t *testing.T) {
		w.pgEdit(owner, "editor")
		if !strings.Contains(owner.Page.Body, `<option value="editor" selected>`) {
			t.Fatal(owner.Page.Body)
		}
		if a := owner.Submit(pgMembers+"/edit", url.Values{"role": {"editor"}}); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `<a href="#role">`) {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		owner.Submit(pgMembers+"/edit", url.Values{"role": {"admin"}})
		if owner.Path != pgMembers+"?outcome=role" || !strings.Contains(owner.Page.Body, "The role has been changed.") || w.listed(t, "owner")[wsEmail("editor")]["role"] != "admin" {
			t.Fatalf("at %s:\n%s", owner.Path, owner.Page.Body)
		}
		w.pgEdit(owner, "editor")
		if a := owner.Submit(pgMembers+"/edit", url.Values{"role": {"admin"}}); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "The member has this role already.") {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		w.pgEdit(owner, "editor")
		if a := owner.Submit(pgMembers+"/edit", url.Values{"role": {"owner"}}); a.Status != http.StatusBadRequest {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
	})
	t.Run("API-9 nobody changes themselves or the owner", func(t *testing.T) {
		admin := signedInAs(t, w.Server, wsEmail("admin"))
		for _, who := range []string{"admin", "owner"} {
			if a := w.pgEdit(admin, who); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "This member cannot be changed") {
				t.Errorf("%s: %d\n%s", who, a.Status, a.Body)
			}
		}
	})
	t.Run("API-9 PL-7 a member is removed after one question, and is out at once", func(t *testing.T) {
		gone := signedInAs(t, w.Server, wsEmail("editor"))
		w.pgEdit(owner, "editor")
		a := owner.Get(pgMembers + "/remove?id=" + w.ids["editor"])
		if !strings.Contains(a.Body, "Remove <bdi>Name of editor@example.com</bdi>? They lose access at once.") {
			t.Fatal(a.Body)
		}
		owner.Submit(pgMembers+"/remove", nil)
		if owner.Path != pgMembers+"?outcome=removed" || strings.Contains(owner.Page.Body, wsEmail("editor")) {
			t.Fatalf("at %s:\n%s", owner.Path, owner.Page.Body)
		}
		if a := gone.Get(pgMembers); !strings.Contains(a.Body, "You belong to no workspace.") {
			t.Errorf("%s", a.Body)
		}
	})
	t.Run("API-8 who has several workspaces switches between them, and a form stays with its own", func(t *testing.T) {
		w.join(t, w.foreign, w.ids["owner"], "normal")
		a := owner.Get(pgMembers)
		if !strings.Contains(a.Body, `<option value="`+w.id+`" selected>`) || !strings.Contains(a.Body, `<option value="`+w.foreign+`">Foreign`) {
			t.Fatal(a.Body)
		}
		w.pgEdit(owner, "normal")
		asked := owner.Page
		owner.Get(pgMembers)
		owner.Submit("/workspace/switch", url.Values{"workspace": {w.foreign}})
		if owner.Path != pgMembers+"?outcome=switched" || !strings.Contains(owner.Page.Body, "Workspace <bdi>Foreign</bdi>") || strings.Contains(owner.Page.Body, wsEmail("normal")) {
			t.Fatalf("at %s:\n%s", owner.Path, owner.Page.Body)
		}
		owner.Page = asked
		owner.Submit(pgMembers+"/edit", url.Values{"role": {"admin"}})
		if w.listed(t, "admin")[wsEmail("normal")]["role"] != "admin" {
			t.Error("the form that was open has changed nobody")
		}
		owner.Get(pgMembers)
		if a := owner.Submit("/workspace/switch", url.Values{"workspace": {"01890000-0000-7000-8000-000000000000"}}); a.Status != http.StatusNotFound {
			t.Errorf("%d", a.Status)
		}
	})
	t.Run("a long list has pages", func(t *testing.T) {
		for i := range 50 {
			w.join(t, w.id, addAccount(t, w.Server, "m"+string(rune('a'+i/26))+string(rune('a'+i%26))+"@example.com"), "normal")
		}
		admin := signedInAs(t, w.Server, wsEmail("admin"))
		a := admin.Get(pgMembers)
		if !strings.Contains(a.Body, pgMembers+"?page=2") || strings.Contains(a.Body, "Previous page") {
			t.Fatal(a.Body)
		}
		if a := admin.Get(pgMembers + "?page=2"); !strings.Contains(a.Body, pgMembers+"?page=1") || strings.Contains(a.Body, "Next page") {
			t.Fatal(a.Body)
		}
	})
}

func TestActivatePage(t *testing.T) {
	w := wsStart(t)
	owner := w.SignedIn(t)
	fill := func(name, password, again string) url.Values {
		return url.Values{"name": {name}, "password": {password}, "password_again": {again}}
	}
	t.Run("API-11 a person without an account sets a name and a password, and is signed in", func(t *testing.T) {
		link := pgInvite(t, w.Server, owner, "fresh@example.com", "normal")
		b := w.Browser(t)
		a := b.Get(link)
		if a.Status != http.StatusOK || !strings.Contains(a.Body, "<bdi>Ada</bdi> invites you to <bdi>Engines</bdi>") || !strings.Contains(a.Body, "fresh@example.com") {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		for name, tc := range map[string]struct {
			fields url.Values
			field  string
		}{
			"no name":            {fill("", apitest.OwnerPassword, apitest.OwnerPassword), "name"},
			"a short password":   {fill("Fresh", "short", "short"), "password"},
			"two that differ":    {fill("Fresh", apitest.OwnerPassword, "other"), "password_again"},
			"the e-mail as such": {fill("Fresh", "fresh@example.com", "fresh@example.com"), "password"},
		} {
			if a := b.Submit("/activate", tc.fields); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `<li><a href="#`+tc.field+`">`) || strings.Contains(a.Body, apitest.OwnerPassword) {
				t.Errorf("%s: %d\n%s", name, a.Status, a.Body)
			}
		}
		b.Submit("/activate", fill("Fresh", apitest.OwnerPassword, apitest.OwnerPassword))
		if b.Path != "/account/sessions" || !strings.Contains(b.Page.Body, "Signed in as <bdi>fresh@example.com</bdi>") || b.Cookie("presession") != "" {
			t.Fatalf("at %s:\n%s", b.Path, b.Page.Body)
		}
		w.Browser(t).SignIn("fresh@example.com", apitest.OwnerPassword)
		if m := w.listed(t, "owner")["fresh@example.com"]; m["name"] != "Fresh" || m["status"] != "active" {
			t.Errorf("%v", m)
		}
		w.pgDead(t, b, link)
		w.pgDead(t, w.Browser(t), link)
	})
	t.Run("API-11 an active account signs in as the one invited, opens the link once more, and accepts", func(t *testing.T) {
		link := pgInvite(t, w.Server, owner, wsEmail("stranger"), "normal")
		b := w.Browser(t)
		if a := b.Get(link); a.Status != http.StatusOK || !strings.Contains(a.Body, "Sign in as <bdi>stranger@example.com</bdi>, then open this link again.") || strings.Contains(a.Body, `action="/activate"`) {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		if a := owner.Get(link); !strings.Contains(a.Body, "Sign in as <bdi>stranger@example.com</bdi>") || strings.Contains(a.Body, `action="/activate"`) {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		forged := url.Values{"token": {strings.TrimPrefix(link, "/activate?token=")}, "answer": {"accept"}, "csrf_token": {owner.CSRF()}}
		if a := owner.Call(http.MethodPost, "/activate", forged.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Origin", w.URL); a.Status != http.StatusForbidden {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		b.SignIn(wsEmail("stranger"), apitest.OwnerPassword)
		b.Get(link)
		if a := b.Submit("/activate", url.Values{"answer": {"perhaps"}}); a.Status != http.StatusBadRequest {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		b.Get(link)
		b.Submit("/activate", url.Values{"answer": {"accept"}})
		if b.Path != "/account/sessions" || w.listed(t, "owner")[wsEmail("stranger")] == nil {
			t.Fatalf("at %s:\n%s", b.Path, b.Page.Body)
		}
		w.pgDead(t, b, link)
	})
	t.Run("API-11 declining deletes the invitation", func(t *testing.T) {
		addAccount(t, w.Server, "no@example.com")
		link := pgInvite(t, w.Server, owner, "no@example.com", "normal")
		b := signedInAs(t, w.Server, "no@example.com")
		b.Get(link)
		a := b.Submit("/activate", url.Values{"answer": {"decline"}})
		if b.Path != "/activate?outcome=declined" || !strings.Contains(a.Body, "Invitation declined") || w.listed(t, "owner")["no@example.com"] != nil {
			t.Fatalf("at %s:\n%s", b.Path, a.Body)
		}
		w.pgDead(t, b, link)
	})
	t.Run("API-11 what is replaced, expired or no invitation is one page", func(t *testing.T) {
		former := pgInvite(t, w.Server, owner, "later@example.com", "normal")
		link := pgInvite(t, w.Server, owner, "later@example.com", "normal")
		w.pgDead(t, w.Browser(t), former)
		w.Clock.Advance(workspace.InvitationLife)
		w.pgDead(t, w.Browser(t), link)
		for _, none := range []string{"/activate", "/activate?token=", "/activate?token=" + strings.Repeat("A", 43), "/activate?token=x&token=y"} {
			w.pgDead(t, w.Browser(t), none)
		}
	})
	t.Run("W-24 no log tells a link", func(t *testing.T) {
		b := w.SignedIn(t)
		link := pgInvite(t, w.Server, b, "quiet@example.com", "normal")
		b.Get(link)
		pgUntold(t, w.Server, strings.TrimPrefix(link, "/activate?token="))
	})
}

// pgDead fails unless a link reads like one that never was.
func (w *wsWorld) pgDead(t *testing.T, b *apitest.Browser, link string) {
	t.Helper()
	a := b.Get(link)
	if a.Status != http.StatusNotFound || !strings.Contains(a.Body, "This invitation is no longer valid.") || !strings.Contains(a.Body, "Ask for a new one.") || strings.Contains(a.Body, `action="/activate"`) {
		t.Errorf("%s: %d\n%s", link, a.Status, a.Body)
	}
}

func TestLimitOfInvitations(t *testing.T) {
	frozen := &tkFrozen{}
	s := apitest.Start(t, apitest.Wrap(frozen.wrap))
	b := s.Browser(t)
	for range 20 {
		if a := b.Get("/activate?token=x"); a.Status != http.StatusNotFound {
			t.Fatalf("%d", a.Status)
		}
	}
	a := b.Get("/activate?token=x")
	if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
		t.Fatalf("LIM-1: %d %v", a.Status, a.Header)
	}
}

func TestAFullWorkspaceOnThePages(t *testing.T) {
	s := apitest.Start(t, unlimited(), apitest.Set("WORKSPACE_MEMBER_LIMIT", "2"))
	owner := s.SignedIn(t)
	addAccount(t, s, "bob@example.com")
	link := pgInvite(t, s, owner, "bob@example.com", "normal")
	pgInvite(t, s, owner, "carol@example.com", "normal")
	owner.Get(pgMembers)
	t.Run("API-10 over the limit, at the invitation and again at the acceptance", func(t *testing.T) {
		if a := owner.Submit(pgMembers, url.Values{"email": {"dan@example.com"}, "role": {"normal"}}); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "as many members as it may have") {
			t.Errorf("%d:\n%s", a.Status, a.Body)
		}
		b := signedInAs(t, s, "bob@example.com")
		b.Get(link)
		if a := b.Submit("/activate", url.Values{"answer": {"accept"}}); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "as many members as it may have") || !strings.Contains(a.Body, `value="accept"`) {
			t.Errorf("%d:\n%s", a.Status, a.Body)
		}
	})
}

// invitations is what people see who were invited.
func (p *pgCollect) invitations() {
	cache := &klCache{}
	s := apitest.Start(p.t, unlimited(), apitest.Wrap(cache.wrap))
	b := p.signedIn(s)
	link := pgInvite(p.t, s, b, "grace@example.com", "normal")
	stranger := p.browser(s)
	p.keep(s, "activate", http.StatusOK, stranger.Get(link))
	p.keep(s, "activate-problems", http.StatusBadRequest, stranger.Submit("/activate", url.Values{"name": {"Grace"}, "password": {"short"}, "password_again": {"short"}}))
	addAccount(p.t, s, "bob@example.com")
	bob := pgInvite(p.t, s, b, "bob@example.com", "normal")
	p.keep(s, "invite-signin", http.StatusOK, stranger.Get(bob))
	p.keep(s, "invite-other-account", http.StatusOK, b.Get(bob))
	p.keep(s, "invite-dead", http.StatusNotFound, stranger.Get("/activate?token="+strings.Repeat("A", 43)))

	foreign := "0197f3a0-5c1e-7d42-9b6e-3f2a8c1d4e5f"
	sqlExec(p.t, s, `INSERT INTO workspaces (id, name, status, created_at, updated_at) SELECT $1, $2, status, created_at, updated_at FROM workspaces`, foreign, "Difference and Analysis")
	inviter := addAccount(p.t, s, "charles@example.com")
	w := &wsWorld{Server: s}
	w.join(p.t, foreign, inviter, "owner")
	i, err := s.App.Members.Invite(p.t.Context(), inviter, foreign, apitest.OwnerEmail, workspace.Normal)
	if err != nil {
		p.t.Fatal(err)
	}
	p.keep(s, "invite-answer", http.StatusOK, b.Get("/activate?token="+i.Token.Reveal()))
	p.keep(s, "invite-declined", http.StatusOK, b.Submit("/activate", url.Values{"answer": {"decline"}}))
}

// members is the list of members and what is asked about one.
func (p *pgCollect) members() {
	s := apitest.Start(p.t, unlimited())
	b := p.signedIn(s)
	p.keep(s, "members-alone", http.StatusOK, b.Get(pgMembers))
	id := sqlText(p.t, s, `SELECT id FROM workspaces`)
	w := &wsWorld{Server: s, id: id}
	for _, m := range []struct{ email, role string }{{"grace@example.com", "admin"}, {"edsger@example.com", "editor"}} {
		s.Clock.Advance(time.Second)
		w.join(p.t, id, addAccount(p.t, s, m.email), m.role)
	}
	b.Get(pgMembers)
	p.keep(s, "members-invited", http.StatusCreated, b.Submit(pgMembers, url.Values{"email": {"a.rather.long.address.of.somebody@department.example.com"}, "role": {"normal"}}))
	p.keep(s, "members", http.StatusOK, b.Get(pgMembers))
	p.keep(s, "members-problem", http.StatusConflict, b.Submit(pgMembers, url.Values{"email": {"grace@example.com"}, "role": {"admin"}}))
	editor := sqlText(p.t, s, `SELECT id FROM accounts WHERE email = $1`, "edsger@example.com")
	p.keep(s, "member-edit", http.StatusOK, b.Get(pgMembers+"/edit?id="+editor))
	p.keep(s, "member-unchanged", http.StatusBadRequest, b.Submit(pgMembers+"/edit", url.Values{"role": {"editor"}}))
	p.keep(s, "member-remove", http.StatusOK, b.Get(pgMembers+"/remove?id="+editor))
	p.keep(s, "members-removed", http.StatusOK, b.Submit(pgMembers+"/remove", nil))
	p.keep(s, "member-not-changeable", http.StatusBadRequest, b.Get(pgMembers+"/edit?id="+ownerID(p.t, s)))
	w.workspace(p.t, "Difference and Analysis", ownerID(p.t, s))
	p.keep(s, "members-several", http.StatusOK, b.Get(pgMembers))
	sqlExec(p.t, s, `UPDATE memberships SET role = 'normal' WHERE workspace_id = $1 AND account_id = $2`, id, ownerID(p.t, s))
	p.keep(s, "members-normal", http.StatusOK, b.Get(pgMembers))
	p.keep(s, "role-too-small", http.StatusForbidden, b.Get(pgMembers+"/edit?id="+editor))
	sqlExec(p.t, s, `DELETE FROM memberships WHERE account_id = $1`, ownerID(p.t, s))
	p.keep(s, "members-nowhere", http.StatusOK, b.Get(pgMembers))
}
