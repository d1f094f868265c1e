// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	rtt "github.com/dify-sso/dify-sso/core/internal/runtimetest"
)

// stream replays run app, or the events of resume app: Accept is that of a stream, and the
// answer is read to its end.
func (d htDifyctl) stream(method, path, body string) apitest.Answer {
	d.t.Helper()
	return htAsk(d.t, d.s, d.request(method, path, body, "application/json", "text/event-stream"))
}

// follow is stream for a run that begins: what the client has in the end.
func (d htDifyctl) follow(mode apps.Mode, method, path, body string) dcRun {
	d.t.Helper()
	a := d.stream(method, path, body)
	if kind := a.Header.Get("Content-Type"); a.Status != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") || a.Header.Get("Content-Encoding") != "" {
		d.t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
	}
	if a.Body != "" && !strings.HasSuffix(a.Body, "\n\n") {
		d.t.Fatalf("the last event lacks its blank line: %q", a.Body)
	}
	r := dcFollow(string(mode), a.Body)
	if r.wrong != "" {
		d.t.Fatalf("%s: %s", r.wrong, a.Body)
	}
	return r
}

// dcEvents is the table of events, as runtimes write them, in an order that each may have
// in a run. {task} and {run} are the call's.
var dcEvents = []string{
	`{"event":"workflow_started","task_id":"{task}","workflow_run_id":"{run}","data":{"id":"{run}"}}`,
	`{"event":"node_started","task_id":"{task}","workflow_run_id":"{run}","data":{"title":"One"}}`,
	`{"event":"node_retry","task_id":"{task}","workflow_run_id":"{run}","data":{"retry_index":1}}`,
	`{"event":"node_finished","task_id":"{task}","workflow_run_id":"{run}","data":{"status":"succeeded"}}`,
	`{"event":"iteration_started","task_id":"{task}","data":{}}`, `{"event":"iteration_next","task_id":"{task}","data":{}}`, `{"event":"iteration_completed","task_id":"{task}","data":{}}`,
	`{"event":"loop_started","task_id":"{task}","data":{}}`, `{"event":"loop_next","task_id":"{task}","data":{}}`, `{"event":"loop_completed","task_id":"{task}","data":{}}`,
	`{"event":"text_chunk","task_id":"{task}","data":{"text":"x"}}`, `{"event":"text_replace","task_id":"{task}","data":{"text":"y"}}`,
	`{"event":"agent_log","task_id":"{task}","data":{}}`,
	`{"event":"agent_thought","task_id":"{task}","thought":"It may be so","tool":""}`,
	`{"event":"agent_message","id":"m-1","message_id":"m-1","conversation_id":"c-1","task_id":"{task}","created_at":1700000000,"answer":"Agent. "}`,
	`{"event":"message","id":"m-1","message_id":"m-1","conversation_id":"c-1","task_id":"{task}","created_at":1700000000,"answer":"Hello, 世界. "}`,
	`{"event":"message_file","task_id":"{task}","id":"f","type":"image","url":"https://example.com/x.png"}`,
	`{"event":"message_replace","task_id":"{task}","answer":"z","reason":"r"}`,
	`{"event":"tts_message","task_id":"{task}","audio":"AAAA"}`, `{"event":"tts_message_end","task_id":"{task}","audio":""}`,
	`{"event":"human_input_form_filled","task_id":"{task}","data":{}}`, `{"event":"human_input_form_timeout","task_id":"{task}","data":{}}`,
	`{"event":"a_name_of_tomorrow","task_id":"{task}","data":{"any":[1,2.50,null]}}`,
	`{"event":"message","id":"m-1","message_id":"m-1","conversation_id":"c-1","task_id":"{task}","created_at":1700000000,"answer":"The end."}`,
	`{"event":"workflow_finished","task_id":"{task}","workflow_run_id":"{run}","data":{"id":"{run}","status":"succeeded","outputs":{"answer":"x"}}}`,
	`{"event":"message_end","id":"m-1","task_id":"{task}","conversation_id":"c-1","metadata":{"usage":{"total_tokens":2}}}`,
}

func dcScript(events ...string) rtt.Script {
	s := rtt.Script{rtt.Begin()}
	for _, e := range events {
		s = append(s, rtt.Event(e))
	}
	return s
}

func dcRoute(mode apps.Mode) rtt.Route {
	switch mode {
	case apps.Completion:
		return rtt.Completion
	case apps.Workflow:
		return rtt.Workflow
	}
	return rtt.Chat
}

func TestDifyctlRunsApps(t *testing.T) {
	w := dcStart(t)
	d := htDifyctl{t: t, s: w.Server, token: w.bearers["normal"]}
	run := func(mode apps.Mode) string { return "apps/" + w.apps[mode].ID + "/run" }

	t.Run("every event of the table arrives as the runtime wrote it, in every mode", func(t *testing.T) {
		for _, mode := range []apps.Mode{apps.Chat, apps.AgentChat, apps.AdvancedChat, apps.Completion, apps.Workflow} {
			d.t = t
			w.rt.On(dcRoute(mode), dcScript(dcEvents...))
			body := `{"inputs":{},"query":"hi"}`
			if mode == apps.Workflow {
				body = `{"inputs":{}}`
			}
			a := d.stream(http.MethodPost, run(mode), body)
			var want, sent []string
			for _, e := range dcEvents {
				want = append(want, regexp.MustCompile(`"event":"([^"]+)"`).FindStringSubmatch(e)[1])
			}
			r := dcFollow(string(mode), a.Body)
			if !slices.Equal(r.names, want) || r.wrong != "" || r.exit != 0 {
				t.Fatalf("%s: %+v", mode, r)
			}
			answer := "Agent. Hello, 世界. The end."
			if mode == apps.Completion {
				answer = "Hello, 世界. The end."
			}
			if r.answer != answer || len(r.thoughts) != 1 || r.metadata["usage"] == nil || r.finished["data"].(map[string]any)["status"] != "succeeded" || r.first["conversation_id"] != "c-1" {
				t.Fatalf("%s: %+v", mode, r)
			}
			for line := range strings.Lines(a.Body) {
				if data, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "data: "); ok {
					sent = append(sent, data)
				}
			}
			task, id := r.first["task_id"].(string), r.finished["workflow_run_id"].(string)
			for i, e := range dcEvents {
				if e = strings.NewReplacer("{task}", task, "{run}", id).Replace(e); sent[i] != e {
					t.Fatalf("%s: %s became %s", mode, e, sent[i])
				}
			}
			w.rt.On(dcRoute(mode))
		}
	})
	t.Run("what it sends, and leaves out, reaches the runtime", func(t *testing.T) {
		d.t = t
		for _, c := range []struct {
			mode apps.Mode
			body string
			want map[string]string // members at the runtime
		}{
			{apps.Chat, `{"inputs":{},"query":"hi"}`, map[string]string{"inputs": `{}`, "query": `"hi"`, "response_mode": `"streaming"`}},
			{apps.Chat, `{"inputs":{"a":"b"},"query":"hi","conversation_id":"0190a1b2-0000-7000-8000-000000000001","workspace_id":"` + w.id + `"}`, map[string]string{"conversation_id": `"0190a1b2-0000-7000-8000-000000000001"`, "workspace_id": ""}},
			{apps.AdvancedChat, `{"inputs":{},"query":"hi","workflow_id":"0190a1b2-0000-7000-8000-00000000000e"}`, map[string]string{"workflow_id": `"0190a1b2-0000-7000-8000-00000000000e"`}},
			{apps.Completion, `{"inputs":{"topic":"x"}}`, map[string]string{"inputs": `{"topic":"x"}`}},
			{apps.Workflow, `{"inputs":{"file":{"type":"document","transfer_method":"remote_url","url":"https://example.com/a.pdf"}}}`, map[string]string{"query": ""}},
		} {
			route := dcRoute(c.mode)
			n := len(w.rt.Calls(route))
			if r := d.follow(c.mode, http.MethodPost, run(c.mode), c.body); r.exit != 0 {
				t.Fatalf("%+v", r)
			}
			call := w.rt.Wait(t, route, n+1)[n]
			for name, value := range c.want {
				if got := call.Member(name); got != value {
					t.Errorf("%s %s: %s is %s", c.mode, c.body, name, got)
				}
			}
			if user := call.Member("user"); !regexp.MustCompile(`^"u_[0-9a-f]{64}"$`).MatchString(user) {
				t.Errorf("user %s", user)
			}
		}
		n := len(w.rt.Calls(rtt.WorkflowByID))
		if r := d.follow(apps.Workflow, http.MethodPost, run(apps.Workflow), `{"inputs":{},"workflow_id":"0190a1b2-0000-7000-8000-00000000000f"}`); r.exit != 0 || len(w.rt.Calls(rtt.WorkflowByID)) != n+1 {
			t.Fatalf("%+v", r)
		}
	})
	t.Run("how a run ends badly, after its stream has begun", func(t *testing.T) {
		d.t = t
		hello := dcEvents[15]
		for name, c := range map[string]struct {
			script rtt.Script
			code   string
			status float64
		}{
			"the runtime's own error":         {dcScript(hello, `{"event":"error","task_id":"{task}","status":400,"code":"completion_request_error","message":"{\"error_type\":\"X\",\"args\":{\"description\":\"no\"}}"}`), "server_4xx_other", 400},
			"the runtime breaks off":          {append(dcScript(hello), rtt.Cut()), "server_5xx", 502},
			"the runtime ends without an end": {dcScript(hello), "server_5xx", 502},
			"the runtime ends with nothing":   {dcScript(), "server_5xx", 502},
			"the runtime writes no JSON":      {append(dcScript(hello), rtt.Raw("data: {\n\n")), "server_5xx", 502},
		} {
			w.rt.On(rtt.Chat, c.script)
			r := d.follow(apps.Chat, http.MethodPost, run(apps.Chat), `{"inputs":{},"query":"hi"}`)
			if r.exit != 1 || r.code != c.code || r.failure["status"] != c.status || r.names[len(r.names)-1] != "error" || r.said == "" || name == "the runtime's own error" && r.said != "no" {
				t.Errorf("%s: %+v", name, r)
			}
		}
		w.rt.On(rtt.Chat)
	})
	t.Run("failed still exits 0, a pause too, and paused without its form 1", func(t *testing.T) {
		d.t = t
		w.rt.On(rtt.Workflow, dcScript(dcEvents[0], `{"event":"workflow_finished","task_id":"{task}","workflow_run_id":"{run}","data":{"status":"failed","error":"no","outputs":null}}`))
		if r := d.follow(apps.Workflow, http.MethodPost, run(apps.Workflow), `{"inputs":{}}`); r.exit != 0 || r.finished["data"].(map[string]any)["status"] != "failed" {
			t.Errorf("%+v", r)
		}
		w.rt.On(rtt.Workflow, dcScript(dcEvents[0], `{"event":"human_input_required","task_id":"{task}","workflow_run_id":"{run}","data":{"form_id":"f","node_id":"n","node_title":"N","form_content":"Sure?","inputs":null,"actions":null,"display_in_ui":true,"form_token":null,"resolved_default_values":{},"expiration_time":1900000000}}`, `{"event":"workflow_paused","task_id":"{task}","workflow_run_id":"{run}","data":{}}`))
		if r := d.follow(apps.Workflow, http.MethodPost, run(apps.Workflow), `{"inputs":{}}`); r.exit != 0 || r.pause == nil {
			t.Errorf("%+v", r)
		}
		w.rt.On(rtt.Workflow, dcScript(dcEvents[0], `{"event":"workflow_paused","task_id":"{task}","workflow_run_id":"{run}","data":{}}`))
		if r := d.follow(apps.Workflow, http.MethodPost, run(apps.Workflow), `{"inputs":{}}`); r.exit != 1 || r.code != "workflow_paused" {
			t.Errorf("%+v", r)
		}
		w.rt.On(rtt.Workflow)
	})
	t.Run("how a run is refused, before its stream", func(t *testing.T) {
		d.t = t
		for _, c := range []struct {
			answer rtt.Step
			exit   int
			own    string
			said   string
		}{
			{rtt.Status(400, "invalid_param", "city is required in input form"), 1, "server_4xx_other", "bad_request"},
			{rtt.Status(400, "app_unavailable", "x"), 1, "server_4xx_other", "app_unavailable"},
			{rtt.Status(400, "provider_quota_exceeded", "x"), 1, "server_4xx_other", "provider_quota_exceeded"},
			{rtt.Status(401, "unauthorized", "x"), 1, "server_5xx", "runtime_key_rejected"},
			{rtt.Status(404, "not_found", "Conversation Not Exists."), 1, "server_4xx_other", "conversation_not_found"},
			{rtt.Status(429, "too_many_requests", "x"), 7, "rate_limited", "rate_limit_error"},
			{rtt.Status(500, "internal_server_error", "x"), 1, "server_5xx", "runtime_unavailable"},
			{rtt.Redirect(302, "http://169.254.169.254/"), 1, "server_5xx", "runtime_unavailable"},
			{rtt.Answer(200, "{}"), 1, "server_5xx", "runtime_unavailable"},
		} {
			w.rt.On(rtt.Chat, rtt.Script{c.answer})
			dcRefused(t, http.MethodPost, d.stream(http.MethodPost, run(apps.Chat), `{"inputs":{},"query":"hi"}`), c.exit, c.own, c.said)
		}
		w.rt.On(rtt.Chat)
		for body, said := range map[string]string{`{"query":"hi"}`: "invalid_param", `{"inputs":{},"query":7}`: "invalid_param"} {
			dcRefused(t, http.MethodPost, d.stream(http.MethodPost, run(apps.Chat), body), 1, "server_4xx_other", said)
		}
		dcRefused(t, http.MethodPost, d.stream(http.MethodPost, run(apps.Workflow), `{"inputs":{},"query":"hi"}`), 1, "server_4xx_other", "query_not_supported_for_workflow")
	})
	t.Run("Ctrl-C drops the connection, and the runtime's work is stopped", func(t *testing.T) {
		w.rt.On(rtt.Chat, append(dcScript(dcEvents[15]), rtt.Hang()))
		defer w.rt.On(rtt.Chat)
		n, stops := len(w.rt.Calls(rtt.Chat)), len(w.rt.Calls(rtt.StopChat))
		c := htDial(t, w.URL)
		c.send(d.request(http.MethodPost, run(apps.Chat), `{"inputs":{},"query":"hi"}`, "application/json", "text/event-stream"))
		res, err := http.ReadResponse(c.in, &http.Request{Method: http.MethodPost})
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 6)
		if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "data: " {
			t.Fatal(err, first)
		}
		_ = c.conn.Close()
		<-w.rt.Wait(t, rtt.Chat, n+1)[n].Dropped()
		w.rt.Wait(t, rtt.StopChat, stops+1)
	})
}

func TestDifyctlUploadsAndResumes(t *testing.T) {
	w := dcStart(t)
	d := htDifyctl{t: t, s: w.Server, token: w.bearers["normal"]}
	t.Run("a file as the client posts it", func(t *testing.T) {
		d.t = t
		for name, media := range map[string]string{"notes.txt": "text/plain;charset=utf-8", "a photo.jpg": "image/jpeg", "noextension": "application/octet-stream", "爱.pdf": "application/pdf"} {
			const boundary = "----WebKitFormBoundary0123456789abcdef"
			body := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\nContent-Type: " + media + "\r\n\r\ncontent of it\r\n--" + boundary + "--\r\n"
			n := len(w.rt.Calls(rtt.Upload))
			a := htAsk(t, w.Server, d.request(http.MethodPost, "apps/"+w.apps[apps.Workflow].ID+"/files/upload", body, "multipart/form-data; boundary="+boundary, "*/*"))
			got := dcWant(t, http.MethodPost, a, dcShape{"id": dcFilled})
			f := w.rt.Wait(t, rtt.Upload, n+1)[n].File
			if f == nil || f.Name != name || f.Size != int64(len("content of it")) {
				t.Fatalf("%s: %+v", a.Body, f)
			}
			input := fmt.Sprintf(`{"inputs":{"doc":{"type":"document","transfer_method":"local_file","upload_file_id":%q}}}`, got["id"])
			if r := d.follow(apps.Workflow, http.MethodPost, "apps/"+w.apps[apps.Workflow].ID+"/run", input); r.exit != 0 {
				t.Fatalf("%+v", r)
			}
		}
	})
	t.Run("resume: the form, its answer, and the run to its end", func(t *testing.T) {
		d.t = t
		app := w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "Approval", Mode: apps.Workflow, APIEnabled: true,
			RuntimeConfig: `{"echo":{"pauses":[{"title":"Approval","content":"Pay?","inputs":[{"output_variable_name":"reason","type":"paragraph"}],"actions":[{"id":"approve","title":"Pay"}],"expires_in":3600}]}}`})
		first := d.follow(apps.Workflow, http.MethodPost, "apps/"+app.ID+"/run", `{"inputs":{}}`)
		if first.exit != 0 || first.pause == nil {
			t.Fatalf("%+v", first)
		}
		data := first.pause["data"].(map[string]any)
		form := "apps/" + app.ID + "/form/human_input/" + data["form_token"].(string)
		got := dcWant(t, http.MethodGet, d.call(http.MethodGet, form, ""), dcShape{"user_actions": dcList(dcShape{"id": dcFilled})})
		if actions := got["user_actions"].([]any); len(actions) != 1 {
			t.Fatalf("%v", got)
		}
		if a := d.call(http.MethodPost, form, `{"action":"approve","inputs":{"reason":"due"}}`); a.Status != http.StatusOK || a.Body != "{}" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		run := first.pause["workflow_run_id"].(string)
		for range 2 { // of a run that is over it is the end alone, as often as it is asked for
			r := d.follow(apps.Workflow, http.MethodGet, "apps/"+app.ID+"/tasks/"+run+"/events?include_state_snapshot=false&continue_on_pause=false", "")
			if r.exit != 0 || r.finished == nil || r.names[len(r.names)-1] != "workflow_finished" {
				t.Fatalf("%+v", r)
			}
		}
		d.follow(apps.Workflow, http.MethodGet, "apps/"+app.ID+"/tasks/"+run+"/events?include_state_snapshot=true&continue_on_pause=true", "")
		a := d.call(http.MethodPost, form, `{"action":"approve","inputs":{}}`)
		if v := dcRead(http.MethodPost, a); v.exit != 1 || v.code != "server_4xx_other" || v.said == "" {
			t.Fatalf("%+v %s", v, a.Body)
		}
		for _, none := range []string{"nowhere", "no%2Frun", "%E7%88%B1"} {
			dcRefused(t, http.MethodGet, d.stream(http.MethodGet, "apps/"+app.ID+"/tasks/"+none+"/events?include_state_snapshot=false&continue_on_pause=false", ""), 1, "server_4xx_other", "workflow_run_not_found")
		}
	})
	t.Run("resume: a further pause brings a form of its own, and one without actions is answered with none", func(t *testing.T) {
		d.t = t
		app := w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "Twice", Mode: apps.Workflow, APIEnabled: true,
			RuntimeConfig: `{"echo":{"pauses":[{"title":"First","content":"Seen?"},{"title":"Second","content":"Pay?","actions":[{"id":"approve","title":"Pay"}]}]}}`})
		run := d.follow(apps.Workflow, http.MethodPost, "apps/"+app.ID+"/run", `{"inputs":{}}`)
		id, seen := "", map[string]bool{}
		for _, action := range []string{"", "approve"} {
			if run.exit != 0 || run.pause == nil {
				t.Fatalf("%+v", run)
			}
			token, _ := run.pause["data"].(map[string]any)["form_token"].(string)
			if token == "" || seen[token] {
				t.Fatalf("form_token %q", token)
			}
			seen[token], id = true, run.pause["workflow_run_id"].(string)
			if a := d.call(http.MethodPost, "apps/"+app.ID+"/form/human_input/"+token, `{"action":"`+action+`","inputs":{}}`); a.Status != http.StatusOK || a.Body != "{}" {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			run = d.follow(apps.Workflow, http.MethodGet, "apps/"+app.ID+"/tasks/"+id+"/events?include_state_snapshot=false&continue_on_pause=false", "")
		}
		if run.exit != 0 || run.finished == nil {
			t.Fatalf("%+v", run)
		}
	})
}

func TestDifyctlUnchanged(t *testing.T) {
	w := dcStart(t)
	t.Run("M-26 difyctl logs in, lists, describes, runs and logs out unchanged", func(t *testing.T) {
		d := htDifyctl{t: t, s: w.Server}
		success := d.login(signedInAs(t, w.Server, wsEmail("normal")))
		d.token = success["token"].(string)
		list := dcWant(t, http.MethodGet, d.call(http.MethodGet, "apps?workspace_id="+success["default_workspace_id"].(string)+"&page=1&limit=20", ""), dcPage(dcApp))
		if list["total"] != float64(len(w.apps)+1) {
			t.Fatalf("%v", list)
		}
		for _, row := range list["data"].([]any) {
			app := row.(map[string]any)
			id, mode := app["id"].(string), apps.Mode(app["mode"].(string))
			info := dcWant(t, http.MethodGet, d.call(http.MethodGet, "apps/"+id+"/describe?fields=info", ""), dcShape{"info": dcObject(dcInfo)})
			if got := info["info"].(map[string]any)["mode"]; got != string(mode) {
				t.Fatalf("%v", info)
			}
			body, _ := json.Marshal(map[string]any{"inputs": map[string]any{}, "query": "hello"})
			if mode == apps.Workflow {
				body = []byte(`{"inputs":{}}`)
			}
			r := d.follow(mode, http.MethodPost, "apps/"+id+"/run", string(body))
			if r.exit != 0 || mode != apps.Workflow && r.answer != "echo:hello" || mode == apps.Workflow && r.finished == nil {
				t.Fatalf("%s: %+v", mode, r)
			}
		}
		dcWant(t, http.MethodDelete, d.call(http.MethodDelete, "account/sessions/self", ""), dcShape{})
		dcRefused(t, http.MethodPost, d.stream(http.MethodPost, "apps/"+w.echo.ID+"/run", `{"inputs":{},"query":"hi"}`), 4, "auth_expired", "invalid_token")
	})
}
