// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// addsOnPage adds an app on the page.
func (w *caWorld) addsOnPage(t *testing.T, who string, fields url.Values) apitest.Answer {
	t.Helper()
	b := w.browsers[who]
	b.Get(pgNewApp)
	return b.Submit(pgNewApp, fields)
}

func TestAppsPage(t *testing.T) {
	w := caStart(t)
	owner := w.browsers["owner"]
	t.Run("W-2 an app is added, changed, restricted, switched off and deleted by forms alone", func(t *testing.T) {
		if a := owner.Get(pgApps); !strings.Contains(a.Body, "No app yet.") || !strings.Contains(a.Body, `href="`+pgNewApp+`"`) || !strings.Contains(a.Body, "core app add") {
			t.Fatal(a.Body)
		}
		a := w.addsOnPage(t, "owner", pgAppFields(" Difference engine ", "runtime", "dify", "runtime_url", "https://dify.example.com/v1", "runtime_key", pgAppKey, "tags", "numbers，表、, numbers", "description", "two\r\nlines"))
		if owner.Path != pgApps+"?outcome=created" || !strings.Contains(a.Body, "Added.") || !strings.Contains(a.Body, "<bdi>Difference engine</bdi>") || !strings.Contains(a.Body, "<bdi>dify.example.com</bdi>") {
			t.Fatalf("at %s:\n%s", owner.Path, a.Body)
		}
		at := pgApps + "/" + pgAppID(t, w.Server, "Difference engine")
		a = owner.Get(at)
		for _, text := range []string{`value="Difference engine"`, ">\ntwo\nlines</textarea>", `value="numbers, 表"`, `value="https://dify.example.com"`, "Key is set (", "Type a new one to replace it."} {
			if !strings.Contains(a.Body, text) {
				t.Errorf("%q is not on the page:\n%s", text, a.Body)
			}
		}
		sealed := func() string {
			return sqlText(t, w.Server, `SELECT COALESCE(runtime_key_sealed, '') FROM apps WHERE id = $1`, strings.TrimPrefix(at, pgApps+"/"))
		}
		first := sealed()
		changed := pgAppFields("Analytical engine", "mode", "workflow", "runtime", "dify", "runtime_url", "https://dify.example.com", "runtime_key", "", "dsl", "yes", "max_active_requests", " 7 ")
		changed.Del("api")
		if a = owner.Submit(at, changed); owner.Path != pgApps+"?outcome=saved" || !strings.Contains(a.Body, ">Off<") || !strings.Contains(a.Body, "Analytical engine") || sealed() != first {
			t.Fatalf("at %s:\n%s", owner.Path, a.Body)
		}
		shown := w.asks("owner", http.MethodGet, strings.Replace(at, "/workspace", "/console/api", 1), "").JSON(t)
		if shown["max_active_requests"] != 7.0 || shown["mode"] != "workflow" || shown["api_enabled"] != false || fmt.Sprint(shown["runtime_features"]) != "map[dsl:true human_input:false]" || fmt.Sprint(shown["tags"]) != "[]" {
			t.Errorf("%v", shown)
		}
		owner.Get(at)
		changed.Set("runtime_key", "app-other")
		if owner.Submit(at, changed); sealed() == first {
			t.Error("the key is not another")
		}
		owner.Get(at)
		changed.Set("runtime_key", "")
		changed.Set("runtime_url", "https://elsewhere.example.com")
		if a = owner.Submit(at, changed); sealed() != "" || owner.Path != at+"?outcome=keyless" || !strings.Contains(a.Body, "The key was for another address and is forgotten") {
			t.Errorf("a key goes along to another host, or nobody is told: at %s:\n%s", owner.Path, a.Body)
		}
		changed.Set("runtime_key", "app-other")
		if owner.Submit(at, changed); sealed() == "" {
			t.Error("the key is not there")
		}
		owner.Get(at)
		changed.Set("no_key", "yes")
		changed.Del("runtime_key")
		if owner.Submit(at, changed); sealed() != "" {
			t.Error("the key is not gone")
		}
		owner.Get(at + "/access")
		owner.Submit(at+"/access", url.Values{"access": {"internal"}, "allow_" + w.ids["normal"]: {"yes"}})
		if owner.Path != pgApps+"?outcome=access" || !strings.Contains(owner.Page.Body, "Chosen members") || sqlInt(t, w.Server, `SELECT count(*) FROM app_access WHERE account_id = $1`, w.ids["normal"]) != 1 {
			t.Fatalf("at %s:\n%s", owner.Path, owner.Page.Body)
		}
		if a = owner.Get(at + "/remove"); !strings.Contains(a.Body, "<q><bdi>Analytical engine</bdi></q>") {
			t.Fatal(a.Body)
		}
		if a = owner.Submit(at+"/remove", nil); owner.Path != pgApps+"?outcome=removed" || !strings.Contains(a.Body, "No app yet.") {
			t.Fatalf("at %s:\n%s", owner.Path, a.Body)
		}
		if a = owner.Get(at); a.Status != http.StatusNotFound {
			t.Errorf("%d", a.Status)
		}
	})
	t.Run("W-2 what is refused is named in a summary and under its field, and kept, but for a key", func(t *testing.T) {
		before := w.kept(t)
		a := w.addsOnPage(t, "owner", pgAppFields(" ", "description", "kept text", "mode", "completion", "tags", `a, "b`, "author", "Charles", "runtime", "dify", "runtime_url", "ftp://x", "runtime_key", pgAppKey+" x", "human_input", "yes", "access", "internal", "max_active_requests", "many"))
		if a.Status != http.StatusBadRequest || w.kept(t) != before {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		for _, field := range []string{"name", "tags", "runtime_url", "runtime_key", "max_active_requests"} {
			if !strings.Contains(a.Body, `<li><a href="#`+field+`">`) || !strings.Contains(a.Body, `id="`+field+`_err"`) || !regexp.MustCompile(`id="`+field+`"[^>]* aria-describedby="[^"]*`+field+`_err"[^>]* aria-invalid="true"`).MatchString(a.Body) {
				t.Errorf("%s is not named:\n%s", field, a.Body)
			}
		}
		for _, text := range []string{"kept text", `<option value="completion" selected>`, `value="a, &#34;b"`, `value="Charles"`, `value="ftp://x"`, `name="human_input" value="yes" checked`, `<option value="internal" selected>`, `value="many"`} {
			if !strings.Contains(a.Body, text) {
				t.Errorf("%q is not kept:\n%s", text, a.Body)
			}
		}
		if strings.Contains(a.Body, pgAppKey) {
			t.Error("the key is sent back")
		}
		if a = owner.Submit(pgNewApp, pgAppFields("From a page that had problems")); owner.Path != pgApps+"?outcome=created" {
			t.Errorf("%d:\n%s", a.Status, a.Body)
		}
	})
	t.Run("an app for chosen members leads to where they are chosen", func(t *testing.T) {
		w.addsOnPage(t, "owner", pgAppFields("For some", "access", "internal"))
		if at := pgApps + "/" + pgAppID(t, w.Server, "For some") + "/access?outcome=created"; owner.Path != at || !strings.Contains(owner.Page.Body, "Added.") {
			t.Errorf("at %s:\n%s", owner.Path, owner.Page.Body)
		}
	})
	t.Run("the echo runtime needs no address, and drops one that stands there", func(t *testing.T) {
		w.addsOnPage(t, "owner", pgAppFields("Echoing", "runtime_url", "https://dify.example.com"))
		if got := sqlText(t, w.Server, `SELECT runtime_url FROM apps WHERE name = 'Echoing'`); got != "" {
			t.Errorf("%q", got)
		}
	})
	t.Run("the access modes for people without an account are not offered, and refused", func(t *testing.T) {
		a := owner.Get(pgNewApp)
		if strings.Contains(a.Body, `value="public"`) || strings.Contains(a.Body, `value="sso_verified"`) {
			t.Error(a.Body)
		}
		if a = owner.Submit(pgNewApp, pgAppFields("x", "access", "public")); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `<a href="#access">`) {
			t.Errorf("%d:\n%s", a.Status, a.Body)
		}
		old := w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "From another edition", Access: apps.Public})
		if a = owner.Get(pgApps + "/" + old.ID + "/access"); !strings.Contains(a.Body, `<option value="public" selected>`) || strings.Contains(a.Body, `value="sso_verified"`) {
			t.Error(a.Body)
		}
	})
	t.Run("a long list has pages", func(t *testing.T) {
		for i := range 50 {
			w.NewApp(t, apps.App{WorkspaceID: w.id, Name: fmt.Sprintf("App %d", i)})
		}
		if a := owner.Get(pgApps); !strings.Contains(a.Body, pgApps+"?page=2") || strings.Contains(a.Body, "Previous page") {
			t.Fatal(a.Body)
		}
		if a := owner.Get(pgApps + "?page=2"); !strings.Contains(a.Body, pgApps+"?page=1") || strings.Contains(a.Body, "Next page") {
			t.Fatal(a.Body)
		}
	})
	t.Run("W-24 no page and no log tells a key", func(t *testing.T) { pgUntold(t, w.Server, pgAppKey) })
}

func TestAppsPagesByRole(t *testing.T) {
	w := caStart(t)
	ours := w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "Look-alike", Runtime: apps.RuntimeDify, RuntimeURL: "https://dify.example.com"})
	theirs := w.NewApp(t, apps.App{WorkspaceID: w.foreign, Name: "Look-alike"})
	pages := []string{"", "/access", "/remove"}
	t.Run("PL-5 who keeps apps sees the pages, others are told who does, strangers find nothing", func(t *testing.T) {
		before := w.kept(t)
		for who, want := range map[string][3]int{"owner": {200, 200, 404}, "admin": {200, 200, 404}, "editor": {200, 200, 404}, "normal": {403, 403, 404}, "stranger": {200, 404, 200}} {
			for _, path := range []string{pgApps, pgNewApp} {
				if a := w.browsers[who].Get(path); a.Status != want[0] {
					t.Errorf("%s on %s: %d", who, path, a.Status)
				}
			}
			for _, under := range pages {
				if a := w.browsers[who].Get(pgApps + "/" + ours.ID + under); a.Status != want[1] {
					t.Errorf("%s on ours%s: %d", who, under, a.Status)
				}
				if a := w.browsers[who].Get(pgApps + "/" + theirs.ID + under); a.Status != want[2] {
					t.Errorf("%s on theirs%s: %d", who, under, a.Status)
				}
			}
		}
		if a := w.browsers["normal"].Get(pgApps); !strings.Contains(a.Body, "Apps are kept by the owner, admins and editors") || strings.Contains(a.Body, "Look-alike") || strings.Contains(a.Body, pgNewApp) {
			t.Error(a.Body)
		}
		for _, id := range []string{canon.NewID(), "x", "%2e%2e", "..%2fmembers"} {
			if a := w.browsers["owner"].Get(pgApps + "/" + id); a.Status != http.StatusNotFound {
				t.Errorf("%s: %d", id, a.Status)
			}
		}
		for _, who := range []string{"normal", "stranger"} {
			status := map[string]int{"normal": http.StatusForbidden, "stranger": http.StatusNotFound}[who]
			for path, fields := range map[string]url.Values{
				pgNewApp: {"workspace": {w.id}, "name": {"x"}, "mode": {"chat"}, "runtime": {"echo"}}, pgApps + "/" + ours.ID: {"name": {"x"}, "mode": {"chat"}},
				pgApps + "/" + ours.ID + "/access": {"access": {"internal"}}, pgApps + "/" + ours.ID + "/remove": {},
			} {
				if a := w.posts(who, path, fields); a.Status != status {
					t.Errorf("%s posts to %s: %d\n%s", who, path, a.Status, a.Body)
				}
			}
		}
		if w.kept(t) != before {
			t.Error("a refusal has written")
		}
	})
	t.Run("API-32 an editor sees what reaches the runtime and cannot change it", func(t *testing.T) {
		editor, at := w.browsers["editor"], pgApps+"/"+ours.ID
		a := editor.Get(at)
		if !strings.Contains(a.Body, "<dd><bdi>https://dify.example.com</bdi></dd>") || regexp.MustCompile(`name="(runtime|runtime_url|runtime_key|no_key|dsl)"`).MatchString(a.Body) {
			t.Fatal(a.Body)
		}
		fields := url.Values{"name": {"Renamed"}, "mode": {"chat"}, "api": {"yes"}, "max_active_requests": {"0"}}
		if editor.Submit(at, fields); editor.Path != pgApps+"?outcome=saved" || sqlText(t, w.Server, `SELECT runtime_url FROM apps WHERE id = $1`, ours.ID) != "https://dify.example.com" {
			t.Fatalf("at %s:\n%s", editor.Path, editor.Page.Body)
		}
		before := w.kept(t)
		for _, more := range []string{"runtime_url", "runtime_key", "runtime"} {
			forged := url.Values{"name": {"Forged"}, "mode": {"chat"}, more: {map[string]string{"runtime_url": "https://evil.example.com", "runtime_key": pgAppKey, "runtime": "echo"}[more]}}
			editor.Get(at)
			if a := editor.Submit(at, forged); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "Your role does not allow this") {
				t.Errorf("%s: %d\n%s", more, a.Status, a.Body)
			}
		}
		if w.kept(t) != before {
			t.Error("a refusal has written")
		}
		a = w.addsOnPage(t, "editor", url.Values{"name": {""}, "mode": {"workflow"}, "access": {"internal_all"}})
		if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "Dify&#39;s Service API") {
			t.Errorf("%d:\n%s", a.Status, a.Body)
		}
		if a = w.addsOnPage(t, "editor", url.Values{"name": {"To be completed"}, "mode": {"workflow"}, "access": {"internal_all"}}); a.Status != http.StatusOK || !strings.Contains(a.Body, "Not set") {
			t.Errorf("%d:\n%s", a.Status, a.Body)
		}
	})
	t.Run("a form stays with the workspace it was made for", func(t *testing.T) {
		owner := w.browsers["owner"]
		w.join(t, w.foreign, w.ids["owner"], "normal")
		owner.Get(pgNewApp)
		fresh := owner.Page
		owner.Get(pgApps + "/" + ours.ID)
		edit := owner.Page
		wantAnswer(t, w.asks("owner", http.MethodPost, wsSwitchPath, `{"tenant_id":"`+w.foreign+`"}`), http.StatusOK, "")
		if a := owner.Get(pgApps); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "<bdi>Foreign</bdi>") {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
		owner.Page = fresh
		owner.Submit(pgNewApp, pgAppFields("Made in the first"))
		if sqlText(t, w.Server, `SELECT workspace_id FROM apps WHERE name = 'Made in the first'`) != w.id {
			t.Error("the app is elsewhere")
		}
		owner.Page = edit
		owner.Submit(pgApps+"/"+ours.ID, pgAppFields("Changed in the first"))
		if sqlText(t, w.Server, `SELECT name FROM apps WHERE id = $1`, ours.ID) != "Changed in the first" {
			t.Error("the form that was open has changed nothing")
		}
		owner.Page = fresh
		if a := owner.Submit(pgNewApp, pgAppFields("x", "workspace", w.foreign)); a.Status != http.StatusForbidden {
			t.Errorf("%d", a.Status)
		}
		owner.Page = fresh
		if a := owner.Submit(pgNewApp, pgAppFields("x", "workspace", canon.NewID())); a.Status != http.StatusNotFound {
			t.Errorf("%d", a.Status)
		}
	})
}

// A double click sends a form twice, and both arrive.
func TestAppFormsSentTwice(t *testing.T) {
	w := caStart(t)
	twice := func(action string, fields url.Values) (statuses []int) {
		b := w.browsers["owner"]
		sent := b.Hidden(action)
		for name, values := range fields {
			sent[name] = values
		}
		var wg sync.WaitGroup
		out := make([]int, 2)
		for i := range out {
			wg.Go(func() {
				a := b.Call(http.MethodPost, action, sent.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Origin", w.URL)
				out[i] = a.Status
			})
		}
		wg.Wait()
		slices.Sort(out)
		return out
	}
	owner := w.browsers["owner"]
	owner.Get(pgNewApp)
	if got := twice(pgNewApp, pgAppFields("Once")); got[0] != 303 || got[1] != 303 || sqlInt(t, w.Server, `SELECT count(*) FROM apps WHERE name = 'Once'`) != 1 {
		t.Fatalf("%v, %d apps", got, sqlInt(t, w.Server, `SELECT count(*) FROM apps WHERE name = 'Once'`))
	}
	w.addsOnPage(t, "admin", pgAppFields("Once"))
	w.Clock.Advance(time.Minute)
	w.addsOnPage(t, "owner", pgAppFields("Once"))
	if n := sqlInt(t, w.Server, `SELECT count(*) FROM apps WHERE name = 'Once'`); n != 3 {
		t.Fatalf("%d apps: another person's and a later one are others", n)
	}
	at := pgApps + "/" + sqlText(t, w.Server, `SELECT id FROM apps ORDER BY id LIMIT 1`)
	owner.Get(at)
	if got := twice(at, pgAppFields("Changed", "runtime_key", pgAppKey)); got[0] != 303 || got[1] != 303 || sqlInt(t, w.Server, `SELECT count(*) FROM audit_events WHERE event = 'app.updated'`) != 1 || sqlInt(t, w.Server, `SELECT count(*) FROM audit_events WHERE event = 'app.key_changed'`) != 1 {
		t.Fatalf("%v", got)
	}
	owner.Get(at + "/access")
	if got := twice(at+"/access", url.Values{"access": {"internal"}, "allow_" + w.ids["normal"]: {"yes"}}); got[0] != 303 || got[1] != 303 {
		t.Fatalf("%v", got)
	}
	owner.Get(at + "/remove")
	if got := twice(at+"/remove", nil); got[0] != 303 || got[1] != 404 || sqlInt(t, w.Server, `SELECT count(*) FROM audit_events WHERE event = 'app.deleted'`) != 1 {
		t.Fatalf("%v", got)
	}
}

// The list of access may be longer than a page, and than a form may have fields.
func TestAppAccessPage(t *testing.T) {
	w := caStart(t)
	app := w.NewApp(t, apps.App{WorkspaceID: w.id, Access: apps.Internal})
	var ids []string
	for i := range 60 {
		w.Clock.Advance(time.Second)
		id := addAccount(t, w.Server, fmt.Sprintf("m%02d@example.com", i))
		sqlExec(t, w.Server, `INSERT INTO memberships (id, workspace_id, account_id, role, current, created_at, updated_at) VALUES ($1, $2, $3, 'normal', $4, $5, $5)`, canon.NewID(), w.id, id, false, w.Clock.Now())
		ids = append(ids, id)
	}
	at, owner := pgApps+"/"+app.ID+"/access", w.browsers["owner"]
	wantAnswer(t, w.asks("owner", http.MethodPut, strings.Replace(at, "/workspace", "/console/api", 1), `{"allowed":["`+ids[0]+`","`+ids[59]+`","`+w.ids["admin"]+`"]}`), http.StatusOK, "")
	listed := func() string {
		return strings.Join(sqlTexts(t, w.Server, `SELECT a.email FROM app_access x JOIN accounts a ON a.id = x.account_id ORDER BY a.email`), " ")
	}
	t.Run("a page of members is saved without touching the others", func(t *testing.T) {
		a := owner.Get(at)
		if strings.Contains(a.Body, "allow_"+w.ids["admin"]) || strings.Contains(a.Body, "allow_"+w.ids["owner"]) || !strings.Contains(a.Body, `name="allow_`+ids[0]+`" value="yes" checked`) || !strings.Contains(a.Body, "3 are chosen on all pages") || !strings.Contains(a.Body, at+"?page=2") {
			t.Fatal(a.Body)
		}
		owner.Submit(at, url.Values{"access": {"internal"}, "allow_" + ids[1]: {"yes"}, "allow_" + ids[58]: {"yes"}}) // the last is on the next page, and not shown
		if got := listed(); got != "admin@example.com m01@example.com m59@example.com" {
			t.Fatal(got)
		}
		a = owner.Get(at + "?page=2")
		if !strings.Contains(a.Body, `name="allow_`+ids[59]+`" value="yes" checked`) || strings.Contains(a.Body, "Next page") {
			t.Fatal(a.Body)
		}
		owner.Submit(at, url.Values{"access": {"internal_all"}})
		if got := listed(); got != "admin@example.com m01@example.com" {
			t.Fatal(got)
		}
	})
	t.Run("a refusal shows the page of members that was sent", func(t *testing.T) {
		owner.Get(at + "?page=2")
		a := owner.Submit(at, url.Values{"access": {"none"}, "allow_" + ids[59]: {"yes"}})
		if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `<a href="#access">`) || !strings.Contains(a.Body, `name="allow_`+ids[59]+`" value="yes" checked`) || strings.Contains(a.Body, "allow_"+ids[0]) {
			t.Fatalf("%d:\n%s", a.Status, a.Body)
		}
	})
	t.Run("somebody who has left meanwhile is a problem of the list, and the page comes again", func(t *testing.T) {
		owner.Get(at)
		page := owner.Page
		sqlExec(t, w.Server, `DELETE FROM memberships WHERE account_id = $1`, ids[2])
		owner.Page = page
		a := owner.Submit(at, url.Values{"access": {"internal"}, "allow_" + ids[2]: {"yes"}, "allow_" + ids[3]: {"yes"}})
		if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, `<a href="#allowed">`) || !strings.Contains(a.Body, `name="allow_`+ids[3]+`" value="yes" checked`) || strings.Contains(a.Body, "allow_"+ids[2]) || listed() != "admin@example.com m01@example.com" {
			t.Fatalf("%d %s:\n%s", a.Status, listed(), a.Body)
		}
	})
}
