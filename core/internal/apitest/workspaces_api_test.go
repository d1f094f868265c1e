// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestWorkspaces(t *testing.T) {
	w := wsStart(t)
	second := w.workspace(t, "Second", w.ids["owner"])
	archived := w.workspace(t, "Archived", w.ids["owner"])
	sqlExec(t, w.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, archived)
	sqlExec(t, w.Server, `UPDATE workspaces SET created_at = created_at WHERE id = $1`, second)
	list := func(t *testing.T) (out []map[string]any) {
		t.Helper()
		a := w.as(t, "owner", http.MethodGet, wsPath, "")
		wantAnswer(t, a, http.StatusOK, "")
		for _, row := range a.JSON(t)["workspaces"].([]any) {
			out = append(out, row.(map[string]any))
		}
		return out
	}

	t.Run("API-8 the list, archived ones included and never current", func(t *testing.T) {
		rows := list(t)
		if len(rows) != 3 {
			t.Fatalf("%v", rows)
		}
		ids := []string{w.id, second, archived} // made in this order, and at one instant
		slices.Sort(ids)
		for i, row := range rows {
			want := map[string]any{"id": ids[i], "name": "Second", "role": "owner", "status": "normal", "current": false}
			switch ids[i] {
			case w.id:
				want["name"], want["current"] = apitest.Workspace, true
			case archived:
				want["name"], want["status"] = "Archived", "archive"
			}
			if fmt.Sprint(row) != fmt.Sprint(want) {
				t.Errorf("%v instead of %v", row, want)
			}
		}
		sqlExec(t, w.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, w.id)
		defer sqlExec(t, w.Server, `UPDATE workspaces SET status = 'normal' WHERE id = $1`, w.id)
		for _, row := range list(t) {
			if row["current"] != false {
				t.Errorf("current: %v", row)
			}
		}
		a := w.as(t, "stranger", http.MethodGet, wsPath+"?unknown=1", "")
		wantAnswer(t, a, http.StatusOK, "")
		if rows := a.JSON(t)["workspaces"].([]any); len(rows) != 1 {
			t.Errorf("the stranger sees %v", rows)
		}
	})
	t.Run("M-10 no workspace at all", func(t *testing.T) {
		addAccount(t, w.Server, "nobody@example.com")
		if a := w.Bearer(t, w.login(t, "nobody@example.com"), http.MethodGet, wsPath); a.Body != `{"workspaces":[]}` {
			t.Fatal(a.Body)
		}
	})
	t.Run("API-8 one of them", func(t *testing.T) {
		a := w.as(t, "editor", http.MethodGet, wsPath+"/"+w.id, "")
		wantAnswer(t, a, http.StatusOK, "")
		created := sqlTime(t, w.Server, `SELECT created_at FROM workspaces WHERE id = $1`, w.id).UTC().Format(time.RFC3339)
		if want := fmt.Sprintf(`{"id":%q,"name":%q,"role":"editor","status":"normal","current":false,"created_at":%q}`, w.id, apitest.Workspace, created); a.Body != want {
			t.Fatalf("%s instead of %s", a.Body, want)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "" {
			t.Errorf("%v", a.Header)
		}
	})
	t.Run("API-8 a switch holds for clients and browsers alike, and says so once", func(t *testing.T) {
		b := w.SignedIn(t)
		for i, id := range []string{second, second, w.id} {
			before := sqlInt(t, w.Server, `SELECT count(*) FROM audit_events WHERE event = 'workspace.switched'`)
			a := w.as(t, "owner", http.MethodPost, wsPath+"/"+id+"/switch", "")
			wantAnswer(t, a, http.StatusOK, "")
			if detail := w.as(t, "owner", http.MethodGet, wsPath+"/"+id, ""); detail.Body != a.Body || !strings.Contains(a.Body, `"current":true`) {
				t.Fatalf("%s then %s", a.Body, detail.Body)
			}
			current := 0
			for _, row := range b.Call(http.MethodGet, "/console/api/workspaces", "").JSON(t)["workspaces"].([]any) {
				if m := row.(map[string]any); m["current"] == true && m["id"] == id {
					current++
				}
			}
			if n := sqlInt(t, w.Server, `SELECT count(*) FROM memberships WHERE account_id = $1 AND current = $2`, w.ids["owner"], true); current != 1 || n != 1 {
				t.Fatalf("current %d and %d", current, n)
			}
			if n := sqlInt(t, w.Server, `SELECT count(*) FROM audit_events WHERE event = 'workspace.switched'`) - before; n != map[bool]int{true: 0, false: 1}[i == 1] {
				t.Errorf("switch %d: %d events", i, n)
			}
		}
		if fields, actor, in := w.event(t, "workspace.switched"); fields["workspace_id"] != w.id || actor != w.ids["owner"] || in != w.id {
			t.Errorf("%v by %s in %s", fields, actor, in)
		}
	})
	t.Run("API-8 a switch in the console", func(t *testing.T) {
		b := w.SignedIn(t)
		post := func(body string) apitest.Answer {
			return b.Call(http.MethodPost, wsSwitchPath, body, "Content-Type", "application/json", "Origin", w.URL, "X-CSRF-Token", b.CSRF())
		}
		if a := post(fmt.Sprintf(`{"tenant_id":%q,"unknown":1}`, second)); a.Status != http.StatusOK || a.Body != `{"result":"success"}` {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a := w.as(t, "owner", http.MethodGet, wsPath+"/"+second, ""); !strings.Contains(a.Body, `"current":true`) {
			t.Error(a.Body)
		}
		for body, want := range map[string]string{`{}`: "bad_request", `{"tenant_id":""}`: "bad_request", `{"tenant_id":7}`: "bad_request", `{`: "invalid_json"} {
			wantAnswer(t, post(body), http.StatusBadRequest, want)
		}
		before := w.written(t)
		for _, id := range []string{archived, w.foreign, canon.NewID(), "x"} {
			wantAnswer(t, post(fmt.Sprintf(`{"tenant_id":%q}`, id)), http.StatusNotFound, "workspace_not_found")
		}
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
	})
}

// wsNamed are the routes that name a workspace, with a body that would be served.
func wsNamed(workspace, member string) [][3]string {
	one := wsPath + "/" + workspace
	return [][3]string{
		{http.MethodGet, one, ""}, {http.MethodPost, one + "/switch", ""}, {http.MethodGet, one + "/members", ""},
		{http.MethodPost, one + "/members", `{"email":"new@example.com","role":"normal"}`}, {http.MethodDelete, one + "/members/" + member, ""},
		{http.MethodPut, one + "/members/" + member + "/role", `{"role":"admin"}`}, {http.MethodPatch, one + "/members/" + member, `{"role":"admin"}`},
	}
}

func TestWorkspacesOfOthers(t *testing.T) {
	counts := &storetest.Faults{}
	w := wsStart(t, apitest.Wrap(func(st *app.Stores) {
		st.Workspaces, st.Members = storetest.FaultyWorkspaces(st.Workspaces, counts), storetest.FaultyMembers(st.Members, counts)
	}))
	archived := w.workspace(t, "Archived", w.ids["owner"])
	w.join(t, archived, w.ids["normal"], "normal")
	sqlExec(t, w.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, archived)
	malformed := []string{"x", strings.ToUpper(w.id), w.id + "%20", "%7B" + w.id + "%7D", strings.ReplaceAll(w.id, "-", ""), "..%2F" + w.id, "%00", w.id + "%2Fmembers"}
	t.Run("TOK-11 API-3 foreign, unknown, archived and malformed read alike, byte for byte, and write nothing", func(t *testing.T) {
		before := w.written(t)
		want := ""
		for _, id := range append([]string{w.foreign, canon.NewID(), archived, w.ids["owner"]}, malformed...) {
			counts.Clear()
			for _, r := range wsNamed(id, w.ids["admin"]) {
				for _, body := range []string{r[2], map[bool]string{true: "", false: `{"unknown":1}`}[r[2] == ""]} { // a bad body tells no more
					a := w.as(t, "owner", r[0], r[1], body)
					wantAnswer(t, a, http.StatusNotFound, "workspace_not_found")
					a.Header.Del("X-Request-Id")
					a.Header.Del("Date")
					if got := fmt.Sprint(a.Header, a.Body); want == "" {
						want = got
					} else if got != want {
						t.Fatalf("%s %s\n%s\ninstead of\n%s", r[0], r[1], got, want)
					}
				}
			}
			if n := counts.Total(); slices.Contains(malformed, id) != (n == 0) {
				t.Errorf("%s: the stores were asked %d times", id, n)
			}
		}
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
	})
	t.Run("TOK-11 API-3 a member id of another workspace, and one that is none", func(t *testing.T) {
		before := w.written(t)
		for _, id := range append([]string{w.ids["stranger"], canon.NewID(), w.id, "mm%2F1"}, malformed...) {
			for _, r := range wsNamed(w.id, id)[4:] {
				wantAnswer(t, w.as(t, "owner", r[0], r[1], r[2]), http.StatusNotFound, "member_not_found")
			}
		}
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
	})
	t.Run("API-3 an id may be escaped, and an escape that is none names nothing", func(t *testing.T) {
		a := htAsk(t, w.Server, "GET "+wsPath+"/%zz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+w.bearers["owner"]+"\r\n\r\n")
		wantAnswer(t, a, http.StatusNotFound, "workspace_not_found")
		escaped := fmt.Sprintf("%%%02x", w.id[0]) + w.id[1:]
		wantAnswer(t, w.as(t, "owner", http.MethodGet, wsPath+"/"+escaped, ""), http.StatusOK, "")
	})
	t.Run("TOK-11 a workspace in the query or the body changes nothing", func(t *testing.T) {
		a := w.as(t, "owner", http.MethodGet, wsPath+"/"+w.id+"?workspace_id="+w.foreign, "")
		wantAnswer(t, a, http.StatusOK, "")
		if a.Text(t, "id") != w.id {
			t.Error(a.Body)
		}
		wantAnswer(t, w.as(t, "owner", http.MethodPost, w.members(), fmt.Sprintf(`{"email":"new@example.com","role":"normal","workspace_id":%q}`, w.foreign)),
			http.StatusUnprocessableEntity, "invalid_param")
	})
	t.Run("an outage is a 503, and never a workspace that does not exist", func(t *testing.T) {
		for _, id := range []string{w.id, w.foreign} {
			for _, r := range wsNamed(id, w.ids["admin"]) {
				counts.Clear()
				counts.Plan(storetest.Fault{Method: "Place"})
				a := w.as(t, "owner", r[0], r[1], r[2])
				wantAnswer(t, a, http.StatusServiceUnavailable, "service_unavailable")
				if a.Header.Get("Retry-After") != "2" {
					t.Errorf("%s %s: %v", r[0], r[1], a.Header)
				}
			}
		}
		for method, r := range map[string][3]string{
			"MembershipsOf": {http.MethodGet, wsPath, ""}, "List": wsNamed(w.id, "")[2], "Tx.Place": wsNamed(w.id, "")[1], "Tx.LockWorkspace": wsNamed(w.id, "")[3],
		} {
			counts.Clear()
			counts.Plan(storetest.Fault{Method: method})
			wantAnswer(t, w.as(t, "owner", r[0], r[1], r[2]), http.StatusServiceUnavailable, "service_unavailable")
		}
		counts.Clear()
	})
	t.Run("the rights are read once before an act, and for a read once at all", func(t *testing.T) {
		for _, r := range wsNamed(w.id, canon.NewID()) {
			counts.Clear()
			w.as(t, "owner", r[0], r[1], r[2])
			if n := counts.Calls("Place"); n != 1 {
				t.Errorf("%s %s: %d reads", r[0], r[1], n)
			}
		}
	})
}

func TestMembersBodiesAndPages(t *testing.T) {
	w := wsStart(t)
	t.Run("API-1 API-2 what is no page is refused, and pages add up", func(t *testing.T) {
		for query, status := range map[string]int{
			"": 200, "?page=1": 200, "?limit=1": 200, "?limit=200": 200, "?page=2&limit=200": 200, "?page=0": 422, "?limit=0": 422, "?limit=201": 422, "?page=x": 422,
			"?limit=-1": 422, "?page=1&page=2": 422, "?unknown=1": 422, "?page=": 422, "?limit=1.0": 422,
		} {
			word := map[int]string{200: "", 422: "invalid_param"}[status]
			wantAnswer(t, w.as(t, "normal", http.MethodGet, w.members()+query, ""), status, word)
		}
		var emails []string
		for page := 1; ; page++ {
			a := w.as(t, "normal", http.MethodGet, fmt.Sprintf("%s?page=%d&limit=3", w.members(), page), "")
			wantAnswer(t, a, http.StatusOK, "")
			body := a.JSON(t)
			for _, row := range body["data"].([]any) {
				emails = append(emails, row.(map[string]any)["email"].(string))
			}
			if body["total"] != 4.0 || body["page"] != float64(page) || body["limit"] != 3.0 || body["has_more"] != (page == 1) {
				t.Fatal(a.Body)
			}
			if body["has_more"] == false {
				break
			}
		}
		if len(emails) != 4 || len(slices.Compact(slices.Sorted(slices.Values(emails)))) != 4 {
			t.Fatal(emails)
		}
		if a := w.as(t, "normal", http.MethodGet, w.members(), ""); a.JSON(t)["limit"] != 20.0 {
			t.Error(a.Body)
		}
		if a := w.as(t, "normal", http.MethodGet, w.members()+"?page=9", ""); !strings.Contains(a.Body, `"data":[]`) {
			t.Error(a.Body)
		}
	})
	t.Run("API-1 API-10 bodies, each refusal with its field and without its value", func(t *testing.T) {
		before := w.written(t)
		bodies := map[string][2]string{ // body: code, field
			`{"email":"new@example.com","role":"normal","x":1}`: {"invalid_param", "x"}, `{"email":"new@example.com"}`: {"invalid_param", "role"},
			`{"role":"normal"}`: {"invalid_param", "email"}, `{"email":"canary","role":"normal"}`: {"invalid_param", "email"}, `{"email":7,"role":"normal"}`: {"invalid_param", "email"},
			`{"email":"","role":"normal"}`: {"invalid_param", "email"}, `{"email":"new@example.com","role":"owner"}`: {"invalid_param", "role"},
			`{"email":"new@example.com","role":"editor"}`: {"invalid_param", "role"}, `{"email":"new@example.com","role":"canary"}`: {"invalid_param", "role"},
			`{"email":"new@example.com","role":"Normal"}`: {"invalid_param", "role"}, `{"email":"new@example.com","role":null}`: {"invalid_param", "role"},
			`{"email":"new@example.com","role":"normal"`: {"invalid_json", ""}, `{"email":"a@b.c","email":"new@example.com","role":"normal"}`: {"invalid_json", ""},
		}
		for body, want := range bodies {
			a := w.as(t, "owner", http.MethodPost, w.members(), body)
			wantAnswer(t, a, map[string]int{"invalid_param": 422, "invalid_json": 400}[want[0]], want[0])
			if want[1] != "" && !strings.Contains(a.Body, `"loc":["`+want[1]+`"]`) || strings.Contains(a.Body, "canary") {
				t.Errorf("%s: %s", body, a.Body)
			}
		}
		for _, r := range wsNamed(w.id, w.ids["normal"])[5:] {
			for _, body := range []string{`{}`, `{"role":"owner"}`, `{"role":"editor"}`, `{"role":"admin","x":1}`, `{"role":1}`} {
				wantAnswer(t, w.as(t, "owner", r[0], r[1], body), http.StatusUnprocessableEntity, "invalid_param")
			}
			wantAnswer(t, w.Call(t, r[0], r[1], r[2], "Authorization", "Bearer "+w.bearers["owner"], "Content-Type", "text/plain"), http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
		if w.written(t) != before {
			t.Error("a refusal has written")
		}
	})
	t.Run("PL-1 the scope and the workspace come before the body", func(t *testing.T) {
		wantAnswer(t, w.as(t, "normal", http.MethodPost, w.members(), `{`), http.StatusForbidden, "insufficient_workspace_role")
		wantAnswer(t, w.as(t, "stranger", http.MethodPost, w.members(), `{`), http.StatusNotFound, "workspace_not_found")
		wantAnswer(t, w.as(t, "stranger", http.MethodGet, w.members()+"?page=0", ""), http.StatusNotFound, "workspace_not_found")
	})
}

func TestInviteLimits(t *testing.T) {
	w := wsStart(t, unlimited("invite.account=2/1h"))
	t.Run("PL-1 LIM-1 the limit of who invites, before the workspace and its role", func(t *testing.T) {
		for i, who := range []string{"normal", "admin"} {
			path := wsPath + "/" + canon.NewID() + "/members"
			for range 2 {
				wantAnswer(t, w.as(t, who, http.MethodPost, path, `{`), http.StatusNotFound, "workspace_not_found")
			}
			for _, p := range []string{path, w.members()} {
				a := w.as(t, who, http.MethodPost, p, fmt.Sprintf(`{"email":"x%d@example.com","role":"normal"}`, i))
				wantAnswer(t, a, http.StatusTooManyRequests, "too_many_requests")
				if a.Header.Get("RateLimit-Limit") != "2" || a.Header.Get("Retry-After") == "" || refusedBy(t, w.Server) != "invite.account" {
					t.Errorf("%v by %s", a.Header, refusedBy(t, w.Server))
				}
			}
		}
		second, _ := tkLogin(t, w.Server, signedInAs(t, w.Server, wsEmail("admin")), "a fresh token is no fresh budget")
		wantAnswer(t, w.Call(t, http.MethodPost, w.members(), `{"email":"y@example.com","role":"normal"}`, "Authorization", "Bearer "+second, "Content-Type", "application/json"),
			http.StatusTooManyRequests, "too_many_requests")
		wantAnswer(t, w.as(t, "admin", http.MethodGet, w.members(), ""), http.StatusOK, "")
		w.Clock.Advance(time.Hour)
		wantAnswer(t, w.as(t, "admin", http.MethodPost, w.members(), `{"email":"y@example.com","role":"normal"}`), http.StatusCreated, "")
	})
}

func TestRolesAreReadPerRequest(t *testing.T) {
	w := wsStart(t)
	t.Run("PL-7 a role that is taken away while a request repeats", func(t *testing.T) {
		ask := func(i int) apitest.Answer {
			return w.as(t, "admin", http.MethodPost, w.members(), fmt.Sprintf(`{"email":"n%d@example.com","role":"normal"}`, i))
		}
		for i := range 3 {
			wantAnswer(t, ask(i), http.StatusCreated, "")
		}
		wantAnswer(t, w.as(t, "owner", http.MethodPut, w.members()+"/"+w.ids["admin"]+"/role", `{"role":"normal"}`), http.StatusOK, "")
		wantAnswer(t, ask(3), http.StatusForbidden, "insufficient_workspace_role")
		wantAnswer(t, w.as(t, "admin", http.MethodGet, w.members(), ""), http.StatusOK, "")
		wantAnswer(t, w.as(t, "owner", http.MethodDelete, w.members()+"/"+w.ids["admin"], ""), http.StatusOK, "")
		wantAnswer(t, ask(4), http.StatusNotFound, "workspace_not_found")
		wantAnswer(t, w.as(t, "admin", http.MethodGet, w.members(), ""), http.StatusNotFound, "workspace_not_found")
		sqlExec(t, w.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, w.id)
		wantAnswer(t, w.as(t, "owner", http.MethodGet, wsPath+"/"+w.id, ""), http.StatusNotFound, "workspace_not_found")
	})
}

// Rights that go away between the guard and the act are asked for again by the act.
func TestRolesAreReadByTheAct(t *testing.T) {
	faults := &storetest.Faults{}
	w := wsStart(t, apitest.Wrap(func(st *app.Stores) { st.Members = storetest.FaultyMembers(st.Members, faults) }))
	role := func(to string) {
		sqlExec(t, w.Server, `UPDATE memberships SET role = $1 WHERE account_id = $2`, to, w.ids["admin"])
	}
	for name, c := range map[string]struct {
		change func()
		undo   func()
		status int
		word   string
	}{
		"the role": {func() { role("normal") }, func() { role("admin") }, http.StatusForbidden, "insufficient_workspace_role"},
		"the membership": {
			func() { sqlExec(t, w.Server, `DELETE FROM memberships WHERE account_id = $1`, w.ids["admin"]) }, func() { w.join(t, w.id, w.ids["admin"], "admin") },
			http.StatusNotFound, "workspace_not_found",
		},
		"the workspace": {
			func() { sqlExec(t, w.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, w.id) },
			func() { sqlExec(t, w.Server, `UPDATE workspaces SET status = 'normal' WHERE id = $1`, w.id) }, http.StatusNotFound, "workspace_not_found",
		},
	} {
		for _, r := range wsNamed(w.id, w.ids["normal"])[3:] {
			t.Run("PL-7 "+name+" goes away within "+r[0]+" "+r[1], func(t *testing.T) {
				faults.Clear()
				faults.Plan(storetest.Fault{Method: "InTx", Mode: storetest.Pass, Before: c.change})
				a := w.as(t, "admin", r[0], r[1], r[2])
				faults.Clear()
				wantAnswer(t, a, c.status, c.word)
				c.undo()
				if n := sqlInt(t, w.Server, `SELECT count(*) FROM audit_events WHERE substr(event, 1, 10) = 'workspace.'`); n != 0 {
					t.Errorf("%d events of a refusal", n)
				}
			})
		}
	}
	t.Run("API-8 a membership goes away within a switch", func(t *testing.T) {
		faults.Clear()
		faults.Plan(storetest.Fault{Method: "InTx", Mode: storetest.Pass, Before: func() {
			sqlExec(t, w.Server, `DELETE FROM memberships WHERE account_id = $1`, w.ids["normal"])
		}})
		wantAnswer(t, w.as(t, "normal", http.MethodPost, wsPath+"/"+w.id+"/switch", ""), http.StatusNotFound, "workspace_not_found")
	})
}
