// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// The two device endpoints are read by rules of their own.

// dcCode is what the client makes of the answer to oauth/device/code: its exit code, or how
// many seconds it waits between polls.
func dcCode(a apitest.Answer) (exit, interval int, wrong string) {
	switch {
	case a.Status == http.StatusNotFound:
		return 6, 0, ""
	case a.Status/100 != 2:
		return 1, 0, ""
	}
	var v map[string]any
	if json.Unmarshal([]byte(a.Body), &v) != nil {
		return 1, 0, "no JSON"
	}
	if code, _ := v["device_code"].(string); code == "" {
		return 4, 0, ""
	}
	wrong = dcShape{"device_code": dcFilled, "user_code": dcFilled, "verification_uri": dcFilled}.wrong(v)
	if uri, _ := v["verification_uri"].(string); !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") {
		return 1, 0, "verification_uri is not absolute"
	}
	if seconds, _ := v["interval"].(float64); seconds > 0 {
		return 0, int(seconds), wrong
	}
	return 0, 5, wrong
}

// dcPolled is what the client does after a poll.
type dcPolled struct {
	next  string // poll, slower, again (a 5xx, with a wait of its own), in, or out
	exit  int    // of out
	wrong string // what it stumbles over
}

func dcPoll(a apitest.Answer) dcPolled {
	out := func(exit int) dcPolled { return dcPolled{next: "out", exit: exit} }
	switch {
	case a.Status == http.StatusNotFound:
		return out(6)
	case a.Status >= http.StatusInternalServerError:
		return dcPolled{next: "again"}
	}
	var v map[string]any
	if json.Unmarshal([]byte(a.Body), &v) != nil {
		return out(1)
	}
	switch word, _ := v["error"].(string); word { // it wins, even on 200
	case "":
	case "authorization_pending":
		return dcPolled{next: "poll"}
	case "slow_down":
		return dcPolled{next: "slower"}
	case "expired_token", "access_denied":
		return out(4)
	default:
		return out(1)
	}
	if token, ok := v["token"].(string); !ok || token == "" {
		return out(1)
	}
	return dcLoggedIn(v)
}

// dcLoggedIn reads the body of a success, which the client keeps in part.
func dcLoggedIn(v map[string]any) dcPolled {
	wrong := dcShape{
		"token_id": dcNeverNull(dcString), "subject_email": dcMaybe(dcString), "subject_issuer": dcMaybe(dcString), "default_workspace_id": dcMaybe(dcMatching(htUUID)),
		"account":    dcMaybe(dcObject(dcShape{"email": dcFilled, "name": dcString, "id": dcNeverNull(dcString)})),
		"workspaces": dcMaybe(dcList(dcShape{"id": dcString, "name": dcString, "role": dcString})),
	}.wrong(v)
	account, _ := v["account"].(map[string]any)
	if email, _ := v["subject_email"].(string); account == nil && email == "" {
		return dcPolled{next: "out", exit: 4}
	}
	if id, ok := v["default_workspace_id"].(string); ok && wrong == "" {
		list, _ := v["workspaces"].([]any)
		found := false
		for _, item := range list {
			found = found || item.(map[string]any)["id"] == id
		}
		if !found {
			wrong = "default_workspace_id is none of workspaces"
		}
	}
	return dcPolled{next: "in", wrong: wrong}
}

func TestTheDeviceReaderOfDifyctl(t *testing.T) {
	const id = "0197d0c8-3f00-7000-8000-000000000001"
	in := `{"token":"t","token_id":"i","account":{"id":"a","email":"e","name":"n"},"workspaces":[{"id":"` + id + `","name":"n","role":"r"}],"default_workspace_id":"` + id + `"}`
	change := func(old, fresh string) string {
		if !strings.Contains(in, old) {
			t.Fatalf("no %s", old)
		}
		return strings.Replace(in, old, fresh, 1)
	}
	for name, c := range map[string]struct {
		status int
		body   string
		want   dcPolled
		wrong  bool
	}{
		"404, whatever it says":       {404, `{"error":"authorization_pending"}`, dcPolled{next: "out", exit: 6}, false},
		"5xx, whatever it says":       {503, `{"error":"slow_down"}`, dcPolled{next: "again"}, false},
		"no JSON":                     {400, `<p>`, dcPolled{next: "out", exit: 1}, false},
		"pending":                     {400, `{"error":"authorization_pending","error_description":7}`, dcPolled{next: "poll"}, false},
		"slow_down":                   {400, `{"error":"slow_down"}`, dcPolled{next: "slower"}, false},
		"slow_down by another status": {429, `{"error":"slow_down"}`, dcPolled{next: "slower"}, false},
		"expired":                     {400, `{"error":"expired_token"}`, dcPolled{next: "out", exit: 4}, false},
		"denied":                      {400, `{"error":"access_denied"}`, dcPolled{next: "out", exit: 4}, false},
		"another word":                {400, `{"error":"invalid_grant"}`, dcPolled{next: "out", exit: 1}, false},
		"a canonical body":            {429, `{"code":"too_many_requests","message":"m","status":429}`, dcPolled{next: "out", exit: 1}, false},
		"an error beside a token":     {200, `{"error":"slow_down","token":"t"}`, dcPolled{next: "slower"}, false},
		"an empty error":              {200, change(`{`, `{"error":"",`), dcPolled{next: "in"}, false},
		"a success":                   {200, in, dcPolled{next: "in"}, false},
		"access_token alone":          {200, change(`"token"`, `"access_token"`), dcPolled{next: "out", exit: 1}, false},
		"an empty token":              {200, change(`"t"`, `""`), dcPolled{next: "out", exit: 1}, false},
		"a null token_id":             {200, change(`"i"`, `null`), dcPolled{next: "in"}, true},
		"no token_id":                 {200, change(`"token_id":"i",`, ``), dcPolled{next: "in"}, false},
		"a null name":                 {200, change(`"name":"n"}`, `"name":null}`), dcPolled{next: "in"}, true},
		"a null id of the account":    {200, change(`"id":"a"`, `"id":null`), dcPolled{next: "in"}, true},
		"an account without e-mail":   {200, change(`"email":"e"`, `"email":""`), dcPolled{next: "in"}, true},
		"nobody's e-mail":             {200, `{"token":"t","account":null,"subject_email":null}`, dcPolled{next: "out", exit: 4}, false},
		"somebody without an account": {200, `{"token":"t","account":null,"subject_email":"e","subject_issuer":"i","workspaces":[],"default_workspace_id":null}`, dcPolled{next: "in"}, false},
		"null workspaces":             {200, `{"token":"t","account":null,"subject_email":"e","workspaces":null}`, dcPolled{next: "in"}, false},
		"a workspace without a role":  {200, change(`"role":"r"`, `"role":null`), dcPolled{next: "in"}, true},
		"a default that is no UUID":   {200, change(`"default_workspace_id":"`+id, `"default_workspace_id":"main`), dcPolled{next: "in"}, true},
		"a default that is not there": {200, change(`"default_workspace_id":"0197`, `"default_workspace_id":"0198`), dcPolled{next: "in"}, true},
	} {
		t.Run("a poll: "+name, func(t *testing.T) {
			got := dcPoll(apitest.Answer{Status: c.status, Body: c.body})
			if got.next != c.want.next || got.exit != c.want.exit || (got.wrong != "") != c.wrong {
				t.Errorf("%+v", got)
			}
		})
	}
	for name, c := range map[string]struct {
		status         int
		body           string
		exit, interval int
		wrong          bool
	}{
		"whole":               {200, `{"device_code":"d","user_code":"u","verification_uri":"https://x/device","interval":7}`, 0, 7, false},
		"no interval":         {200, `{"device_code":"d","user_code":"u","verification_uri":"https://x/device"}`, 0, 5, false},
		"an interval of 0":    {200, `{"device_code":"d","user_code":"u","verification_uri":"https://x/device","interval":0}`, 0, 5, false},
		"an empty code":       {200, `{"device_code":"","user_code":"u","verification_uri":"https://x/device"}`, 4, 0, false},
		"a path alone":        {200, `{"device_code":"d","user_code":"u","verification_uri":"/device"}`, 1, 0, true},
		"no device flow here": {404, ``, 6, 0, false},
		"a limit":             {429, ``, 1, 0, false},
		"an outage":           {503, ``, 1, 0, false},
	} {
		t.Run("a code: "+name, func(t *testing.T) {
			exit, interval, wrong := dcCode(apitest.Answer{Status: c.status, Body: c.body})
			if exit != c.exit || interval != c.interval || (wrong != "") != c.wrong {
				t.Errorf("%d %d %s", exit, interval, wrong)
			}
		})
	}
}

// What the client ends with where no code is given out.
func TestDifyctlGetsNoCode(t *testing.T) {
	ask := `{"client_id":"difyctl","device_label":"difyctl on host"}`
	for name, option := range map[string]apitest.Option{"the flow is switched off": apitest.Set("ENABLE_OAUTH_BEARER", "false"), "a limit": unlimited("device.code.addr=1/1h")} {
		t.Run(name, func(t *testing.T) {
			s := apitest.Start(t, option)
			d := htDifyctl{t: t, s: s}
			d.call(http.MethodPost, "oauth/device/code", ask)
			if exit, _, _ := dcCode(d.call(http.MethodPost, "oauth/device/code", ask)); exit != 1 {
				t.Fatalf("it exits with %d", exit)
			}
		})
	}
}

// Somebody without an account signs in by difyctl: the same requests, and what it may do
// with the token.
func TestDifyctlOfPeopleWithoutAnAccount(t *testing.T) {
	s := ssStart(t, unlimited())
	workspace := sqlText(t, s.Server, `SELECT id FROM workspaces`)
	open := s.NewApp(t, apps.App{WorkspaceID: workspace, Name: "Open", Mode: apps.Chat, APIEnabled: true, Access: apps.Public})
	shut := s.NewApp(t, apps.App{WorkspaceID: workspace, Name: "Shut", Mode: apps.Chat, APIEnabled: true})
	c := s.allowed(t, "difyctl on host", apitest.Grace)
	poll := htDifyctl{t: t, s: s.Server}
	a := poll.call(http.MethodPost, "oauth/device/token", `{"client_id":"difyctl","device_code":"`+c.Device+`"}`)
	if got := dcPoll(a); got.next != "in" || got.wrong != "" {
		t.Fatalf("%+v %s", got, a.Body)
	}
	success := a.JSON(t)
	d := htDifyctl{t: t, s: s.Server, token: a.Text(t, "token")}
	t.Run("its e-mail is the subject's, and no workspace is its default", func(t *testing.T) {
		if success["account"] != nil || success["subject_email"] != apitest.Grace.Email || success["default_workspace_id"] != nil {
			t.Fatalf("%v", success)
		}
	})
	t.Run("auth devices list", func(t *testing.T) {
		d.t = t
		page := dcWant(t, http.MethodGet, d.call(http.MethodGet, "account/sessions?page=1&limit=20", ""), dcPage(dcSession))
		if row := page["data"].([]any)[0].(map[string]any); row["id"] != success["token_id"] {
			t.Fatalf("%v is not %v", row, success["token_id"])
		}
	})
	t.Run("get workspace", func(t *testing.T) {
		d.t = t
		dcRefused(t, http.MethodGet, d.call(http.MethodGet, "workspaces", ""), 1, "server_4xx_other", "wrong_surface")
	})
	t.Run("run app: an app that is opened to them is described and runs", func(t *testing.T) {
		d.t = t
		dcWant(t, http.MethodGet, d.call(http.MethodGet, "apps/"+open.ID+"/describe?fields=info", ""), dcShape{"info": dcObject(dcInfo)})
		if r := d.follow(apps.Chat, http.MethodPost, "apps/"+open.ID+"/run", `{"inputs":{},"query":"hi"}`); r.exit != 0 || r.answer != "echo:hi" {
			t.Fatalf("%+v", r)
		}
	})
	t.Run("run app: another is unknown at its description already", func(t *testing.T) {
		d.t = t
		dcRefused(t, http.MethodGet, d.call(http.MethodGet, "apps/"+shut.ID+"/describe?fields=info", ""), 1, "server_4xx_other", "app_not_found")
	})
	t.Run("auth logout ends the token", func(t *testing.T) {
		d.t = t
		dcWant(t, http.MethodDelete, d.call(http.MethodDelete, "account/sessions/self", ""), dcShape{})
		dcRefused(t, http.MethodGet, d.call(http.MethodGet, "account/sessions?page=1&limit=20", ""), 4, "auth_expired", "invalid_token")
	})
}
