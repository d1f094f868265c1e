// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

func apDescribe(id, query string) string { return apPath + "/" + id + "/describe?" + query }

func TestDescribeAnApp(t *testing.T) {
	w := apStart(t)
	a := w.app(t, "Desk", func(a *apps.App) {
		a.Mode, a.Tags, a.Description, a.Author = apps.AdvancedChat, []string{"x", "y"}, "answers", "Ada"
	})
	get := func(t testing.TB, id, query string) apitest.Answer {
		t.Helper()
		return w.Bearer(t, w.bearers["normal"], http.MethodGet, apDescribe(id, query))
	}
	info := fmt.Sprintf(`{"id":%q,"name":"Desk","description":"answers","mode":"advanced-chat","author":"Ada","tags":[{"name":"x"},{"name":"y"}],"updated_at":%q,"service_api_enabled":true,"is_agent":true}`,
		a.ID, a.UpdatedAt.Format("2006-01-02T15:04:05Z"))
	const (
		form       = `[{"text-input":{"variable":"order","label":"Order","required":true,"max_length":9}}]`
		parameters = `{"opening_statement":"Hi \u0026 welcome","suggested_questions":[],"suggested_questions_after_answer":{"enabled":false},"speech_to_text":{"enabled":false},` +
			`"text_to_speech":{"enabled":false},"retriever_resource":{"enabled":false},"annotation_reply":{"enabled":false},"more_like_this":{"enabled":false},"user_input_form":` + form +
			`,"sensitive_word_avoidance":{"enabled":false,"type":"","configs":[]},"file_upload":{"image":{"enabled":false,"number_limits":3,"detail":"high",` +
			`"transfer_methods":["remote_url","local_file"]}},"system_parameters":{"file_size_limit":15},"new_member":1}`
		schema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"inputs":{"type":"object","properties":{"order":{"title":"Order","type":"string","maxLength":9}},` +
			`"required":["order"],"additionalProperties":false},"query":{"type":"string","minLength":1}},"required":["query","inputs"]}`
	)
	w.runtime.says(`{"opening_statement":"Hi & welcome", "user_input_form":`+form+`,"system_parameters":{"file_size_limit":15},"new_member":1}`, nil)
	whole := func(info, parameters, schema string) string {
		return fmt.Sprintf(`{"info":%s,"parameters":%s,"input_schema":%s}`, info, parameters, schema)
	}
	t.Run("API-13 info alone, of which no runtime is asked", func(t *testing.T) {
		for _, query := range []string{"fields=info", "fields=info,info", "workspace_id=" + w.id + "&fields=info"} {
			got := get(t, a.ID, query)
			if got.Status != http.StatusOK || got.Body != whole(info, "null", "null") || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Pragma") != "" {
				t.Errorf("%s: %d %v\n%s\n%s", query, got.Status, got.Header, got.Body, whole(info, "null", "null"))
			}
		}
		if n := w.runtime.calls(); n != 0 {
			t.Errorf("the runtime was asked %d times", n)
		}
	})
	t.Run("API-13 API-14 each subset, and null for what was not asked for", func(t *testing.T) {
		for query, want := range map[string]string{
			"": whole(info, parameters, schema), "fields=": whole(info, parameters, schema), "fields=info%2Cparameters%2Cinput_schema": whole(info, parameters, schema),
			"fields=parameters": whole("null", parameters, "null"), "fields=input_schema": whole("null", "null", schema), "fields=input_schema,info": whole(info, "null", schema),
			"fields=parameters,info&workspace_id=" + w.id: whole(info, parameters, "null"), "fields=input_schema,parameters": whole("null", parameters, schema),
		} {
			if got := get(t, a.ID, query); got.Status != http.StatusOK || got.Body != want {
				t.Errorf("%s: %d\n%s\n%s", query, got.Status, got.Body, want)
			}
		}
		if n := w.runtime.calls(); n != 1 {
			t.Errorf("the runtime was asked %d times", n)
		}
		if asked := w.runtime.asked[0]; asked.AppID != a.ID || asked.Mode != apps.AdvancedChat || asked.Runtime != apps.RuntimeEcho {
			t.Errorf("%+v", asked)
		}
	})
	t.Run("API-13 the answer is kept for a minute, and for no other app", func(t *testing.T) {
		before := w.runtime.calls()
		w.Clock.Advance(run.ParametersFor - time.Second)
		get(t, a.ID, "fields=parameters")
		if n := w.runtime.calls(); n != before {
			t.Errorf("asked %d times more", n-before)
		}
		w.Clock.Advance(time.Second)
		get(t, a.ID, "fields=parameters")
		get(t, w.app(t, "Another").ID, "fields=parameters")
		if n := w.runtime.calls(); n != before+2 {
			t.Errorf("asked %d times more", n-before)
		}
	})
	t.Run("API-13 API-1 what is unknown is refused, and no runtime asked", func(t *testing.T) {
		before := w.runtime.calls()
		for _, query := range []string{
			"fields=robots", "fields=info,robots", "fields=info,", "fields=,", "fields=Info", "fields=info,+parameters", "fields=info&fields=parameters", "x=1", "page=1", "field=info",
			"workspace_id=" + w.foreign + "&fields=x",
		} {
			got := get(t, a.ID, query)
			if got.Status != http.StatusUnprocessableEntity || reasonOf(got) != "invalid_param" {
				t.Errorf("%s: %d %s", query, got.Status, got.Body)
			}
		}
		if w.runtime.calls() != before {
			t.Error("a runtime was asked")
		}
	})
	t.Run("API-13 TOK-11 another workspace than the app's", func(t *testing.T) {
		for _, id := range []string{w.foreign, canon.NewID(), "x", "", strings.ToUpper(w.id), "%00"} {
			wantAnswer(t, get(t, a.ID, "workspace_id="+id), http.StatusUnprocessableEntity, "workspace_mismatch")
		}
	})
	t.Run("API-13 an app that is not set up at its runtime", func(t *testing.T) {
		w.runtime.says("", run.ErrNotConfigured)
		want := whole("null", `{"opening_statement":null,"suggested_questions":[],"user_input_form":[],"file_upload":null,"system_parameters":{}}`,
			`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{},"required":[]}`)
		if got := get(t, w.app(t, "bare").ID, "fields=parameters,input_schema"); got.Status != http.StatusOK || got.Body != want {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("API-13 a runtime that fails, and the next request asks again", func(t *testing.T) {
		b := w.app(t, "failing")
		for _, tc := range []struct {
			err    error
			status int
			code   string
		}{
			{run.ErrUnavailable.Because(errors.New("dial 10.9.8.7: refused")), 502, "runtime_unavailable"}, {run.ErrKeyRejected, 502, "runtime_key_rejected"}, {run.ErrTimeout, 504, "runtime_timeout"},
			{run.ErrQuota, 429, "rate_limit_error"}, {run.ErrAppUnavailable, 400, "app_unavailable"}, {run.ErrUnsupported, 501, "not_supported_by_runtime"}, {errors.New("odd 10.9.8.7"), 500, "internal_server_error"},
		} {
			w.runtime.says(``, tc.err)
			got := get(t, b.ID, "")
			wantAnswer(t, got, tc.status, tc.code)
			if strings.Contains(got.Body, "10.9") {
				t.Error(got.Body)
			}
			wantAnswer(t, get(t, b.ID, "fields=info"), http.StatusOK, "")
		}
		for _, body := range []string{``, `[]`, `null`, `{`, `{"x":"` + strings.Repeat("x", 1<<20) + `"}`} {
			w.runtime.says(body, nil)
			wantAnswer(t, get(t, b.ID, "fields=parameters"), http.StatusBadGateway, "runtime_unavailable")
		}
		w.runtime.says(`{}`, nil)
		wantAnswer(t, get(t, b.ID, ""), http.StatusOK, "")
	})
	t.Run("API-13 members learn of an app whose API is off, and that it is", func(t *testing.T) {
		off := w.app(t, "off", func(a *apps.App) { a.APIEnabled, a.Mode = false, apps.Workflow })
		got := get(t, off.ID, "fields=info")
		if got.Status != http.StatusOK || !strings.Contains(got.Body, `"service_api_enabled":false,"is_agent":false`) || !strings.Contains(got.Body, `"tags":[]`) {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	t.Run("API-13 is_agent, by mode", func(t *testing.T) {
		for _, mode := range apps.Modes {
			of := w.app(t, "a", func(a *apps.App) { a.Mode = mode })
			want := fmt.Sprintf(`"is_agent":%v`, mode == apps.AgentChat || mode == apps.AdvancedChat)
			if got := get(t, of.ID, "fields=info"); !strings.Contains(got.Body, want) || !strings.Contains(got.Body, `"mode":"`+string(mode)+`"`) {
				t.Error(got.Body)
			}
		}
	})
}

func TestWhoDescribesAnApp(t *testing.T) {
	for edition, options := range map[string][]apitest.Option{"community": nil, "enterprise": {apitest.Enterprise(t)}} {
		t.Run(edition, func(t *testing.T) {
			w := apStart(t, options...)
			guest := exGuest(t, w.Server, "ann", "ann@corp.example", "corp")
			for _, mode := range []apps.Access{apps.Public, apps.SSOVerified, apps.InternalAll, apps.Internal, "anybody"} {
				for _, off := range []bool{false, true} {
					a := w.app(t, "a", func(a *apps.App) { a.Access, a.APIEnabled = mode, !off })
					w.allow(t, a, "normal")
					t.Run(fmt.Sprintf("PL-3 %s, API off: %v", mode, off), func(t *testing.T) {
						ask := func(bearer string) string {
							got := w.Bearer(t, bearer, http.MethodGet, apDescribe(a.ID, "fields=info"))
							return strings.TrimSpace(fmt.Sprint(got.Status, " ", reasonOf(got)))
						}
						served, denied := map[bool]string{true: "200"}[true], "403 app_access_denied"
						want := map[string]string{"owner": served, "admin": served, "editor": served, "normal": served, "stranger": "404 app_not_found"}
						external := "404 app_not_found"
						switch mode {
						case apps.Public, apps.SSOVerified:
							if !off {
								external = served
							}
						case apps.Internal:
							want["editor"] = denied
						case "anybody":
							want["owner"], want["admin"], want["editor"], want["normal"] = denied, denied, denied, denied
						}
						if edition == "community" {
							external = "401 invalid_token"
						}
						for who, word := range want {
							if got := ask(w.bearers[who]); got != word {
								t.Errorf("%s: %s instead of %s", who, got, word)
							}
						}
						if got := ask(guest); got != external {
							t.Errorf("a person without an account: %s instead of %s", got, external)
						}
					})
				}
			}
		})
	}
}

// What somebody may not know of is answered byte by byte like what does not exist.
func TestAnAppThatIsNotTheirs(t *testing.T) {
	w := apStart(t, apitest.Enterprise(t))
	guest := exGuest(t, w.Server, "ann", "ann@corp.example", "corp")
	set := func(f func(*apps.App)) string { return w.app(t, "a", f).ID }
	closed := w.workspace(t, "Closed", w.ids["stranger"])
	sqlExec(t, w.Server, `UPDATE workspaces SET status = 'archive' WHERE id = $1`, closed)
	unknown := canon.NewID()
	ids := map[string]string{
		"unknown": unknown, "foreign": set(func(*apps.App) {}), "archived": set(func(a *apps.App) { a.Status = apps.StatusArchived }), "off": set(func(a *apps.App) { a.APIEnabled = false }),
		"internal": set(func(a *apps.App) { a.Access = apps.Internal }), "of a closed workspace": set(func(a *apps.App) { a.WorkspaceID, a.Access = closed, apps.Public }),
		"odd": set(func(a *apps.App) { a.Access = "x" }), "malformed": "x", "malformed, with a slash": "a%2Fb", "upper case": strings.ToUpper(set(func(a *apps.App) { a.Access = apps.Public })),
		"malformed, long": strings.Repeat("a", 500), "malformed, NUL": "%00", "malformed, not UTF-8": "%ff", "a workspace's": w.id,
		"public and archived": set(func(a *apps.App) { a.Status, a.Access = apps.StatusArchived, apps.Public }), "public and off": set(func(a *apps.App) { a.APIEnabled, a.Access = false, apps.Public }),
	}
	forMembers := set(func(a *apps.App) { a.Access = apps.Public })
	bare := func(a apitest.Answer) string {
		a.Header.Del("X-Request-Id")
		a.Header.Del("Date")
		return fmt.Sprint(a.Status, a.Header, a.Body)
	}
	for who, bearer := range map[string]string{"a stranger": w.bearers["stranger"], "a person without an account": guest} {
		for _, route := range []string{apPath + "/%s/describe", apPath + "/%s/describe?fields=x", apPermitted + "/%s"} {
			if strings.HasPrefix(route, apPermitted) && who == "a stranger" {
				continue
			}
			want := bare(w.Bearer(t, bearer, http.MethodGet, fmt.Sprintf(route, unknown)))
			if !strings.HasPrefix(want, "404") || !strings.Contains(want, `{"code":"app_not_found","message":"No such app.","status":404}`) {
				t.Fatal(want)
			}
			for name, id := range ids {
				t.Run("PL-4 TOK-11 "+who+", "+name+" at "+route, func(t *testing.T) {
					if got := bare(w.Bearer(t, bearer, http.MethodGet, fmt.Sprintf(route, id))); got != want {
						t.Errorf("%s\n%s", got, want)
					}
				})
			}
		}
	}
	t.Run("PL-4 and one that is theirs is none of these", func(t *testing.T) {
		wantAnswer(t, w.Bearer(t, guest, http.MethodGet, apDescribe(forMembers, "")), http.StatusOK, "")
		wantAnswer(t, w.Bearer(t, w.bearers["stranger"], http.MethodGet, apDescribe(forMembers, "")), http.StatusNotFound, "app_not_found")
	})
}

func TestAppsWhenSQLCannotSay(t *testing.T) {
	faults := &storetest.Faults{}
	w := apStart(t, apitest.Enterprise(t), apitest.Wrap(func(st *app.Stores) { st.Apps = storetest.FaultyApps(st.Apps, faults) }))
	guest := exGuest(t, w.Server, "ann", "ann@corp.example", "corp")
	a := w.app(t, "a", func(a *apps.App) { a.Access = apps.Public })
	for _, tc := range []struct{ name, method, bearer, path string }{
		{"describe", "Place", w.bearers["normal"], apDescribe(a.ID, "fields=info")}, {"describe, of a stranger", "Place", w.bearers["stranger"], apDescribe(a.ID, "fields=info")},
		{"describe, of nobody's app", "Place", w.bearers["normal"], apDescribe(canon.NewID(), "fields=info")}, {"describe, of a person without an account", "Place", guest, apDescribe(a.ID, "fields=info")},
		{"permitted", "Place", guest, apPermitted + "/" + a.ID + "?fields=info"}, {"list", "Usable", w.bearers["normal"], apPath + "?" + url.Values{"workspace_id": {w.id}}.Encode()},
		{"permitted list", "Permitted", guest, apPermitted},
	} {
		t.Run("PL-9 "+tc.name, func(t *testing.T) {
			faults.Plan(storetest.Fault{Method: tc.method})
			got := w.Bearer(t, tc.bearer, http.MethodGet, tc.path)
			faults.Clear()
			wantAnswer(t, got, http.StatusServiceUnavailable, "service_unavailable")
			if got.Header.Get("Retry-After") != "2" {
				t.Errorf("%v", got.Header)
			}
		})
	}
}

func TestOrderOfTheStepsAboutApps(t *testing.T) {
	w := apStart(t)
	a := w.app(t, "a", func(a *apps.App) { a.Access = apps.Internal })
	off := w.app(t, "a", func(a *apps.App) { a.APIEnabled, a.Access = false, apps.Internal })
	get := func(who, path string) apitest.Answer { return w.Bearer(t, w.bearers[who], http.MethodGet, path) }
	t.Run("PL-1 the token before the app, the app before its parameters", func(t *testing.T) {
		wantAnswer(t, w.Bearer(t, "dfoa_x", http.MethodGet, apDescribe("x", "x=1")), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, get("stranger", apDescribe(a.ID, "x=1")), http.StatusNotFound, "app_not_found")
		wantAnswer(t, get("editor", apDescribe(a.ID, "x=1")), http.StatusForbidden, "app_access_denied")
		wantAnswer(t, get("editor", apDescribe(off.ID, "x=1")), http.StatusForbidden, "app_access_denied")
		wantAnswer(t, get("owner", apDescribe(off.ID, "x=1")), http.StatusUnprocessableEntity, "invalid_param")
		wantAnswer(t, get("owner", apDescribe(off.ID, "workspace_id="+w.foreign+"&x=1")), http.StatusUnprocessableEntity, "invalid_param")
	})
	t.Run("PL-1 the workspace before the other parameters of a list", func(t *testing.T) {
		wantAnswer(t, w.Bearer(t, "dfoa_x", http.MethodGet, apPath), http.StatusUnauthorized, "invalid_token")
		wantAnswer(t, get("owner", apPath+"?page=0&workspace_id="+canon.NewID()), http.StatusNotFound, "workspace_not_found")
		wantAnswer(t, get("owner", apPath+"?page=0&workspace_id="+w.id), http.StatusUnprocessableEntity, "invalid_param")
	})
	t.Run("PL-10 API-13 a place on a list, given and taken, holds at the next request", func(t *testing.T) {
		for range 3 {
			wantAnswer(t, get("editor", apDescribe(a.ID, "")), http.StatusForbidden, "app_access_denied")
			w.allow(t, a, "editor")
			wantAnswer(t, get("editor", apDescribe(a.ID, "")), http.StatusOK, "")
			sqlExec(t, w.Server, `DELETE FROM app_access WHERE app_id = $1`, a.ID)
		}
	})
	t.Run("PL-7 what was taken away is gone at the next request", func(t *testing.T) {
		open := w.app(t, "open")
		for name, c := range map[string]struct {
			take, give string
			code       string
		}{
			"the membership": {`UPDATE memberships SET workspace_id = '` + w.foreign + `' WHERE account_id = '` + w.ids["editor"] + `'`, `UPDATE memberships SET workspace_id = '` + w.id + `' WHERE account_id = '` + w.ids["editor"] + `'`, "app_not_found"},
			"the workspace":  {`UPDATE workspaces SET status = 'archive' WHERE id = '` + w.id + `'`, `UPDATE workspaces SET status = 'normal' WHERE id = '` + w.id + `'`, "app_not_found"},
			"the app":        {`UPDATE apps SET status = 'archived' WHERE id = '` + open.ID + `'`, `UPDATE apps SET status = 'normal' WHERE id = '` + open.ID + `'`, "app_not_found"},
			"its access":     {`UPDATE apps SET access_mode = 'internal' WHERE id = '` + open.ID + `'`, `UPDATE apps SET access_mode = 'internal_all' WHERE id = '` + open.ID + `'`, "app_access_denied"},
		} {
			wantAnswer(t, get("editor", apDescribe(open.ID, "")), http.StatusOK, "")
			sqlExec(t, w.Server, c.take)
			if got := get("editor", apDescribe(open.ID, "")); reasonOf(got) != c.code {
				t.Errorf("%s: %d %s", name, got.Status, got.Body)
			}
			sqlExec(t, w.Server, c.give)
		}
	})
}
