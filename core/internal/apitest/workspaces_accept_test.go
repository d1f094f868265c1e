// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// wsGone fails unless an invitation reads as one that never was, for whoever it is.
func (w *wsWorld) wsGone(t testing.TB, link secret.Text, accountID string) {
	t.Helper()
	before := w.written(t)
	_, found := w.App.Members.Invitation(t.Context(), link)
	_, accepted := w.App.Members.Accept(t.Context(), link, accountID)
	_, activated := w.App.Members.Activate(t.Context(), link, wsActivation("X"))
	for act, err := range map[string]error{"found": found, "accepted": accepted, "activated": activated, "declined": w.App.Members.Decline(t.Context(), link, accountID)} {
		if !errors.Is(err, workspace.ErrInvitationNotFound) {
			t.Errorf("%s: %v", act, err)
		}
	}
	if w.written(t) != before {
		t.Error("a refusal has written")
	}
}

func TestAcceptingAnInvitation(t *testing.T) {
	w := wsStart(t)
	members := w.App.Members
	person := func(t *testing.T, name string) string {
		t.Helper()
		w.ids[name] = addAccount(t, w.Server, wsEmail(name))
		w.bearers[name] = w.login(t, wsEmail(name))
		return w.ids[name]
	}

	t.Run("API-11 TOK-11 an active account joins by accepting, once", func(t *testing.T) {
		id := person(t, "bob")
		_, link := w.invite(t, "admin", wsEmail("bob"), "admin")
		i, err := members.Invitation(t.Context(), link)
		if err != nil || i.Pending() || i.AccountID != id || i.Email != wsEmail("bob") || i.WorkspaceName != apitest.Workspace || i.Role != workspace.Admin ||
			i.InvitedBy != w.ids["admin"] || i.InviterName != "Name of admin@example.com" || i.InviterEmail != wsEmail("admin") {
			t.Fatalf("%+v, %v", i, err)
		}
		wantAnswer(t, w.as(t, "bob", http.MethodGet, w.members(), ""), http.StatusNotFound, "workspace_not_found")
		if _, err := members.Accept(t.Context(), link, id); err != nil {
			t.Fatal(err)
		}
		a := w.as(t, "bob", http.MethodGet, wsPath+"/"+w.id, "")
		if wantAnswer(t, a, http.StatusOK, ""); a.Text(t, "role") != "admin" || a.JSON(t)["current"] != true {
			t.Error(a.Body)
		}
		if fields, by, in := w.event(t, "workspace.member_joined"); fields["member_id"] != id || fields["role"] != "admin" || by != id || in != w.id {
			t.Errorf("%v by %s", fields, by)
		}
		w.wsGone(t, link, id)
		wantAnswer(t, w.as(t, "owner", http.MethodPost, w.members(), `{"email":"bob@example.com","role":"normal"}`), http.StatusConflict, "already_member")
	})
	t.Run("API-11 who has a current workspace keeps it", func(t *testing.T) {
		id := w.ids["stranger"]
		wantAnswer(t, w.as(t, "stranger", http.MethodPost, wsPath+"/"+w.foreign+"/switch", ""), http.StatusOK, "")
		_, link := w.invite(t, "owner", wsEmail("stranger"), "normal")
		if _, err := members.Accept(t.Context(), link, id); err != nil {
			t.Fatal(err)
		}
		if a := w.as(t, "stranger", http.MethodGet, wsPath+"/"+w.foreign, ""); a.JSON(t)["current"] != true {
			t.Error(a.Body)
		}
	})
	t.Run("API-11 TOK-11 another account's invitation is nobody's, and stays theirs", func(t *testing.T) {
		id := person(t, "carol")
		_, link := w.invite(t, "owner", wsEmail("carol"), "normal")
		before := w.written(t)
		for _, other := range []string{w.ids["owner"], w.ids["normal"], w.ids["bob"], ""} {
			_, err := members.Accept(t.Context(), link, other)
			for act, err := range map[string]error{"accept": err, "decline": members.Decline(t.Context(), link, other)} {
				if !errors.Is(err, workspace.ErrInvitationNotFound) {
					t.Errorf("%s: %v", act, err)
				}
			}
		}
		if _, err := members.Activate(t.Context(), link, wsActivation("Mallory")); !errors.Is(err, workspace.ErrInvitationNotFound) {
			t.Errorf("an active account takes a new password: %v", err)
		}
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
		if _, err := members.Accept(t.Context(), link, id); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("API-11 declined", func(t *testing.T) {
		id := person(t, "dave")
		_, link := w.invite(t, "owner", wsEmail("dave"), "normal")
		if err := members.Decline(t.Context(), link, id); err != nil {
			t.Fatal(err)
		}
		if fields, by, in := w.event(t, "workspace.invitation_declined"); fields["member_id"] != id || by != id || in != w.id {
			t.Errorf("%v by %s", fields, by)
		}
		w.wsGone(t, link, id)
		_, again := w.invite(t, "owner", wsEmail("dave"), "normal") // they may be asked again
		if _, err := members.Accept(t.Context(), again, id); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("API-11 replaced, expired, of an archived workspace, of a banned account, and none", func(t *testing.T) {
		id := person(t, "erin")
		_, old := w.invite(t, "owner", wsEmail("erin"), "normal")
		_, link := w.invite(t, "admin", wsEmail("erin"), "normal")
		w.wsGone(t, old, id)
		for _, change := range [][2]string{
			{`UPDATE workspaces SET status = 'archive' WHERE id = $1`, `UPDATE workspaces SET status = 'normal' WHERE id = $1`},
			{`UPDATE accounts SET status = 'banned' WHERE email = 'erin@example.com' AND id <> $1`, `UPDATE accounts SET status = 'active' WHERE email = 'erin@example.com' AND id <> $1`},
			{`UPDATE accounts SET status = 'closed' WHERE email = 'erin@example.com' AND id <> $1`, `UPDATE accounts SET status = 'active' WHERE email = 'erin@example.com' AND id <> $1`},
		} {
			sqlExec(t, w.Server, change[0], w.id)
			w.wsGone(t, link, id)
			sqlExec(t, w.Server, change[1], w.id)
		}
		for _, none := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 44), link.Reveal() + "=", strings.ToUpper(link.Reveal())} {
			w.wsGone(t, secret.New(none), id)
		}
		w.Clock.Advance(workspace.InvitationLife - time.Minute)
		if _, err := members.Invitation(t.Context(), link); err != nil {
			t.Errorf("a minute before its end: %v", err)
		}
		w.Clock.Advance(time.Minute)
		w.wsGone(t, link, id)
	})
}

func TestActivation(t *testing.T) {
	w := wsStart(t)
	members := w.App.Members
	t.Run("API-11 W-12 a pending account becomes active and is signed in, once", func(t *testing.T) {
		id, link := w.invite(t, "owner", "new@example.com", "admin")
		before := w.written(t)
		presented := w.SignedIn(t) // somebody else's browser
		cookie := secret.New(presented.Cookie("console_session"))
		for name, in := range map[string]workspace.Activation{
			"no name": {Password: secret.New(apitest.OwnerPassword)}, "an invisible name": {Name: "a\u202eb", Password: secret.New(apitest.OwnerPassword)},
			"a long name": {Name: strings.Repeat("x", workspace.MaxName+1), Password: secret.New(apitest.OwnerPassword)},
			"short":       {Name: "New", Password: secret.New("short")}, "the e-mail": {Name: "New", Password: secret.New("NEW@example.com")},
		} {
			_, err := members.Activate(t.Context(), link, in)
			if !errors.Is(err, workspace.ErrName) && !errors.Is(err, account.ErrPasswordTooShort) && !errors.Is(err, account.ErrPasswordIsEmail) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
		in := wsActivation("  New Person ")
		in.Browser = console.Browser{Presented: cookie, IP: "192.0.2.7", UserAgent: "Firefox"}
		issued, err := members.Activate(t.Context(), link, in)
		if err != nil || issued.Account.ID != id || issued.Account.Name != "New Person" || issued.Account.Status != account.Active || issued.Session.How != console.HowActivation {
			t.Fatalf("%+v, %v", issued, err)
		}
		a := w.Call(t, http.MethodGet, "/console/api/account/profile", "", "Cookie", "console_session="+issued.Cookie.Reveal())
		wantAnswer(t, a, http.StatusOK, "")
		if a.Text(t, "email") != "new@example.com" || a.Text(t, "name") != "New Person" || a.JSON(t)["last_login_at"] == nil {
			t.Error(a.Body)
		}
		wantAnswer(t, presented.Call(http.MethodGet, "/console/api/account/profile", ""), http.StatusUnauthorized, "unauthorized")
		for name, workspace := range map[string]string{"account.activated": "", "workspace.member_joined": w.id, "account.signed_in": ""} {
			const newest = ` FROM audit_events WHERE event = $1 ORDER BY id DESC LIMIT 1`
			if by := sqlText(t, w.Server, `SELECT actor_id`+newest, name); by != id {
				t.Errorf("%s by %s", name, by)
			}
			if in := sqlText(t, w.Server, `SELECT coalesce(workspace_id, '')`+newest, name); in != workspace {
				t.Errorf("%s in %q", name, in)
			}
		}
		if row := w.listed(t, "normal")["new@example.com"]; row["status"] != "active" || row["role"] != "admin" || row["name"] != "New Person" {
			t.Errorf("%v", row)
		}
		w.wsGone(t, link, id)
		b := signedInAs(t, w.Server, "new@example.com")
		if b.Page.Status != http.StatusOK {
			t.Error("the password does not sign in")
		}
	})
	t.Run("TOK-11 API-11 what other workspaces had put them down for waits until they accept there", func(t *testing.T) {
		second := w.workspace(t, "Second", w.ids["owner"])
		_, link := w.invite(t, "owner", "two@example.com", "normal")
		a := w.as(t, "owner", http.MethodPost, wsPath+"/"+second+"/members", `{"email":"two@example.com","role":"admin"}`)
		wantAnswer(t, a, http.StatusCreated, "")
		issued, err := members.Activate(t.Context(), link, wsActivation("Two"))
		if err != nil {
			t.Fatal(err)
		}
		bearer := w.login(t, "two@example.com")
		wantAnswer(t, w.Bearer(t, bearer, http.MethodGet, wsPath+"/"+w.id), http.StatusOK, "")
		wantAnswer(t, w.Bearer(t, bearer, http.MethodGet, wsPath+"/"+second), http.StatusNotFound, "workspace_not_found")
		if _, err := members.Accept(t.Context(), w.link(t, a), issued.Account.ID); err != nil {
			t.Fatal(err)
		}
		if got := w.Bearer(t, bearer, http.MethodGet, wsPath+"/"+second); got.Status != http.StatusOK || got.Text(t, "role") != "admin" {
			t.Error(got.Body)
		}
	})
	t.Run("TOK-11 an account that an operator makes active is nowhere a member by that", func(t *testing.T) {
		id, link := w.invite(t, "owner", "three@example.com", "normal")
		sqlExec(t, w.Server, `UPDATE accounts SET password_hash = (SELECT password_hash FROM accounts WHERE email = $1) WHERE id = $2`, apitest.OwnerEmail, id)
		if _, err := w.App.Access.SetStatus(t.Context(), id, account.Active, audit.Operator); err != nil {
			t.Fatal(err)
		}
		bearer := w.login(t, "three@example.com")
		wantAnswer(t, w.Bearer(t, bearer, http.MethodGet, wsPath+"/"+w.id), http.StatusNotFound, "workspace_not_found")
		if _, err := members.Accept(t.Context(), link, id); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, w.Bearer(t, bearer, http.MethodGet, wsPath+"/"+w.id), http.StatusOK, "")
	})
	t.Run("LOG-01 no invitation's token in the log or in audit", func(t *testing.T) {
		_, link := w.invite(t, "owner", "four@example.com", "normal")
		if strings.Contains(w.Log.String(), link.Reveal()) || strings.Contains(strings.Join(sqlTexts(t, w.Server, `SELECT fields FROM audit_events`), "\n"), link.Reveal()) {
			t.Error("an invitation's token is written")
		}
	})
}
