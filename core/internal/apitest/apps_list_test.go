// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func TestListOfApps(t *testing.T) {
	w := apStart(t)
	ask := func(t testing.TB, who string, query string) []string {
		t.Helper()
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		values.Set("workspace_id", w.id)
		names, _ := w.list(t, w.bearers[who], apPath, values)
		return names
	}
	t.Run("M-10 no app", func(t *testing.T) {
		a := w.Bearer(t, w.bearers["owner"], http.MethodGet, apPath+"?workspace_id="+w.id)
		if want := `{"page":1,"limit":20,"total":0,"has_more":false,"data":[]}`; a.Status != http.StatusOK || a.Body != want {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	at := w.Clock.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	since := func(n int) func(*apps.App) {
		return func(a *apps.App) { a.CreatedAt, a.UpdatedAt = at, at.Add(time.Duration(n)*time.Second) }
	}
	set := func(f func(*apps.App)) func(*apps.App) { return f }
	first := w.app(t, "100% Straße_1", since(1), set(func(a *apps.App) {
		a.Mode, a.Tags, a.CreatedBy, a.Description = apps.Workflow, []string{"R&D", "ops"}, w.ids["owner"], "does things"
	}))
	w.app(t, "ＳＵＰＰＯＲＴ desk", since(2), set(func(a *apps.App) { a.Mode, a.Tags = apps.Chat, []string{"op", "R&D"} }))
	w.app(t, "Support desk", since(3), set(func(a *apps.App) { a.Mode, a.Tags = apps.Agent, []string{"日本"} }))
	listed := w.app(t, "secret", since(4), set(func(a *apps.App) { a.Access = apps.Internal }))
	w.app(t, "odd", since(5), set(func(a *apps.App) { a.Access = "anybody" }))
	w.app(t, "off", since(6), set(func(a *apps.App) { a.APIEnabled = false }))
	w.app(t, "old", since(7), set(func(a *apps.App) { a.Status = apps.StatusArchived }))
	w.app(t, "public", since(8), set(func(a *apps.App) { a.Access, a.Mode = apps.Public, apps.Completion }))
	w.app(t, "Support desk", since(9), set(func(a *apps.App) { a.WorkspaceID = w.foreign }))
	w.allow(t, listed, "normal")
	everybody := []string{"public", "Support desk", "ＳＵＰＰＯＲＴ desk", "100% Straße_1"}
	with := []string{"public", "secret", "Support desk", "ＳＵＰＰＯＲＴ desk", "100% Straße_1"}

	t.Run("API-12 PL-3 what the caller may run, the last changed first", func(t *testing.T) {
		for who, want := range map[string][]string{"owner": with, "admin": with, "editor": everybody, "normal": with} {
			if got := ask(t, who, ""); !slices.Equal(got, want) {
				t.Errorf("%s sees %q", who, got)
			}
		}
	})
	t.Run("API-12 a row", func(t *testing.T) {
		a := w.Bearer(t, w.bearers["editor"], http.MethodGet, apPath+"?name="+first.ID+"&workspace_id="+w.id)
		want := fmt.Sprintf(`{"page":1,"limit":20,"total":1,"has_more":false,"data":[{"id":%q,"name":"100%% Straße_1","description":"does things","mode":"workflow",`+
			`"tags":[{"name":"R\u0026D"},{"name":"ops"}],"updated_at":%q,"created_by_name":%q,"workspace_id":%q,"workspace_name":%q}]}`,
			first.ID, at.Add(time.Second).Format("2006-01-02T15:04:05Z"), sqlText(t, w.Server, `SELECT name FROM accounts WHERE id = $1`, w.ids["owner"]), w.id,
			sqlText(t, w.Server, `SELECT name FROM workspaces WHERE id = $1`, w.id))
		if a.Body != want || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "" {
			t.Errorf("%s\n%s %v", a.Body, want, a.Header)
		}
	})
	t.Run("API-12 M-10 a row of an app without tags that no account has made", func(t *testing.T) {
		a := w.Bearer(t, w.bearers["owner"], http.MethodGet, apPath+"?name=public&workspace_id="+w.id)
		if !strings.Contains(a.Body, `"tags":[]`) || !strings.Contains(a.Body, `"created_by_name":null`) {
			t.Error(a.Body)
		}
	})
	for _, tc := range []struct {
		query string
		want  []string
	}{
		{"mode=chat", []string{"secret", "ＳＵＰＰＯＲＴ desk"}}, {"mode=agent", []string{"Support desk"}}, {"mode=channel", nil}, {"mode=advanced-chat", nil},
		{"name=support", []string{"Support desk", "ＳＵＰＰＯＲＴ desk"}}, {"name=SUPPORT", []string{"Support desk", "ＳＵＰＰＯＲＴ desk"}},
		{"name=" + url.QueryEscape("ｓｕｐｐｏｒｔ"), []string{"Support desk", "ＳＵＰＰＯＲＴ desk"}},
		{"name=%25", []string{"100% Straße_1"}}, {"name=_", []string{"100% Straße_1"}}, {"name=%25%25", nil}, {"name=s%25k", nil}, {"name=" + url.QueryEscape("STRASSE"), nil},
		{"name=" + url.QueryEscape("STRAßE_"), []string{"100% Straße_1"}}, {"name=t+d", []string{"Support desk", "ＳＵＰＰＯＲＴ desk"}}, {"name=%5C", nil}, {"name='", nil}, {"name=", with},
		{"name=" + first.ID, []string{"100% Straße_1"}}, {"name=" + strings.ToUpper(first.ID), []string{"100% Straße_1"}}, {"name=" + canon.NewID(), nil}, {"name=" + first.ID[:35], nil},
		{"name=" + url.QueryEscape(strings.Repeat("ß", 200)), nil},
		{"tag=" + url.QueryEscape("R&D"), []string{"ＳＵＰＰＯＲＴ desk", "100% Straße_1"}}, {"tag=ops", []string{"100% Straße_1"}}, {"tag=op", []string{"ＳＵＰＰＯＲＴ desk"}},
		{"tag=" + url.QueryEscape("日本"), []string{"Support desk"}}, {"tag=OPS", nil}, {"tag=o", nil}, {"tag=" + url.QueryEscape(`R&D","ops`), nil}, {"tag=" + url.QueryEscape(`","`), nil}, {"tag=", with},
		{"tag=" + url.QueryEscape("R&D") + "&mode=workflow&name=stra", []string{"100% Straße_1"}}, {"tag=ops&mode=chat", nil}, {"unknown=1&fields=x&page=1", with},
	} {
		t.Run("API-12 "+tc.query, func(t *testing.T) {
			if got := ask(t, "owner", tc.query); !slices.Equal(got, tc.want) && len(got)+len(tc.want) > 0 {
				t.Errorf("%q instead of %q", got, tc.want)
			}
		})
	}
	t.Run("API-12 API-2 what is out of bounds is refused, never clamped", func(t *testing.T) {
		for _, query := range []string{
			"page=0", "page=-1", "page=x", "page=1.0", "page=01", "page=", "page=2147483648", "limit=0", "limit=201", "limit=", "limit=x", "mode=", "mode=Chat", "mode=robot", "mode=chat%00",
			"name=" + strings.Repeat("x", 201), "name=%00", "tag=" + strings.Repeat("x", 101), "tag=a%00", "name=a&name=b", "unknown=1&unknown=2", "name=%FF", "name=%zz", "workspace_id=" + w.id,
		} {
			a := w.Bearer(t, w.bearers["owner"], http.MethodGet, apPath+"?workspace_id="+w.id+"&"+query)
			if a.Status != http.StatusUnprocessableEntity || reasonOf(a) != "invalid_param" || strings.Contains(a.Body, "xxxx") {
				t.Errorf("%s: %d %s", query, a.Status, a.Body)
			}
		}
	})
	t.Run("API-12 a workspace that is not named, or is not the caller's", func(t *testing.T) {
		for _, query := range []string{"", "?page=1", "?workspace=" + w.id, "?workspace_id="} {
			a := w.Bearer(t, w.bearers["owner"], http.MethodGet, apPath+query)
			want, code := http.StatusUnprocessableEntity, "invalid_param"
			if strings.HasSuffix(query, "=") {
				want, code = http.StatusNotFound, "workspace_not_found" // named, by nothing
			}
			wantAnswer(t, a, want, code)
		}
		for _, id := range []string{w.foreign, canon.NewID(), "x", strings.ToUpper(w.id), "%00", "../" + w.id} {
			wantAnswer(t, w.Bearer(t, w.bearers["owner"], http.MethodGet, apPath+"?workspace_id="+id+"&page=0"), http.StatusNotFound, "workspace_not_found")
		}
		wantAnswer(t, w.Bearer(t, w.bearers["stranger"], http.MethodGet, apPath+"?workspace_id="+w.id), http.StatusNotFound, "workspace_not_found")
		sqlExec(t, w.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, w.id)
		defer sqlExec(t, w.Server, `UPDATE workspaces SET status = 'normal' WHERE id = $1`, w.id)
		wantAnswer(t, w.Bearer(t, w.bearers["owner"], http.MethodGet, apPath+"?workspace_id="+w.id), http.StatusNotFound, "workspace_not_found")
	})
	t.Run("PL-10 a place on a list, given and taken, holds at the next request", func(t *testing.T) {
		for range 3 {
			if got := ask(t, "editor", "name=secret"); len(got) != 0 {
				t.Fatalf("%q", got)
			}
			w.allow(t, listed, "editor")
			if got := ask(t, "editor", "name=secret"); len(got) != 1 {
				t.Fatalf("%q", got)
			}
			sqlExec(t, w.Server, `DELETE FROM app_access WHERE app_id = $1 AND account_id = $2`, listed.ID, w.ids["editor"])
		}
	})
}

func TestPagesOfApps(t *testing.T) {
	w := apStart(t)
	at := w.Clock.Now().UTC().Truncate(time.Second)
	var ids []string
	for i := range 205 {
		a := w.app(t, fmt.Sprintf("app %03d", i), func(a *apps.App) { a.UpdatedAt = at.Add(-time.Duration(i/5) * time.Minute) }) // five at once
		ids = append(ids, a.ID)
	}
	for i := 0; i < len(ids); i += 5 {
		slices.Sort(ids[i : i+5])
	}
	for _, limit := range []int{1, 7, 20, 200} {
		t.Run(fmt.Sprintf("API-12 API-2 pages of %d are the whole, in order, and totals add up", limit), func(t *testing.T) {
			var got []string
			for number := 1; ; number++ {
				_, page := w.list(t, w.bearers["normal"], apPath, url.Values{"workspace_id": {w.id}, "page": {fmt.Sprint(number)}, "limit": {fmt.Sprint(limit)}})
				rows := page["data"].([]any)
				for _, row := range rows {
					got = append(got, row.(map[string]any)["id"].(string))
				}
				more := number*limit < len(ids)
				if page["total"] != 205.0 || page["page"] != float64(number) || page["limit"] != float64(limit) || page["has_more"] != more || more && len(rows) != limit {
					t.Fatalf("page %d: %v %v %v %v of %d rows", number, page["page"], page["limit"], page["total"], page["has_more"], len(rows))
				}
				if !more {
					break
				}
				if limit == 1 && number == 12 { // the others are no other
					got = append(got, ids[12:]...)
					break
				}
			}
			if !slices.Equal(got, ids) {
				t.Errorf("%d rows in another order", len(got))
			}
		})
	}
	t.Run("M-10 API-2 beyond the last page", func(t *testing.T) {
		names, page := w.list(t, w.bearers["normal"], apPath, url.Values{"workspace_id": {w.id}, "page": {"2147483647"}, "limit": {"200"}})
		if len(names) != 0 || page["total"] != 205.0 || page["has_more"] != false {
			t.Errorf("%v %v", names, page)
		}
	})
}
