// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/servertest"
)

// The events of runs, as an app's runtime writes them.
const (
	hello     = `{"event":"message","task_id":"task-1","message_id":"m-1","conversation_id":"conv-1","answer":"Hello, "}`
	world     = `{"event":"message","task_id":"task-1","message_id":"m-1","conversation_id":"conv-1","answer":"world.\nSecond line \u001b[31mred\u202e 👩\u200d💻"}`
	talked    = `{"event":"message_end","task_id":"task-1","message_id":"m-1","conversation_id":"conv-1","metadata":{"usage":{"total_tokens":7}}}`
	began     = `{"event":"workflow_started","task_id":"task-1","workflow_run_id":"run-1","data":{"id":"run-1"}}`
	node      = `{"event":"node_started","task_id":"task-1","workflow_run_id":"run-1","data":{"title":"Read the\u001b[2J invoice"}}`
	nodeDone  = `{"event":"node_finished","task_id":"task-1","workflow_run_id":"run-1","data":{"title":"Read the invoice","status":"succeeded","elapsed_time":1.25}}`
	nodeFails = `{"event":"node_finished","task_id":"task-1","workflow_run_id":"run-1","data":{"title":"Add it up","status":"failed","error":"no sum","elapsed_time":0.1}}`
	succeeded = `{"event":"workflow_finished","task_id":"task-1","workflow_run_id":"run-1","data":{"status":"succeeded","outputs":{"sum":12.50,"items":["a","b\u009b"]}}}`
	oneText   = `{"event":"workflow_finished","task_id":"task-1","workflow_run_id":"run-1","data":{"status":"succeeded","outputs":{"text":"All is well"}}}`
	failedRun = `{"event":"workflow_finished","task_id":"task-1","workflow_run_id":"run-1","data":{"status":"failed","error":"the model said no","outputs":null}}`
	stopped   = `{"event":"workflow_finished","task_id":"task-1","workflow_run_id":"run-1","data":{"status":"stopped","outputs":null}}`
	waits     = `{"event":"human_input_required","task_id":"task-1","workflow_run_id":"run-1","data":{"form_id":"f","node_id":"n","node_title":"Approval","form_content":"Pay **12.50** to ACME?\nThink \u001b[5mtwice.","inputs":[{"type":"paragraph","output_variable_name":"reason"}],"actions":[{"id":"approve","title":"Pay"},{"id":"reject","title":"Do not"}],"display_in_ui":true,"form_token":"form-1","resolved_default_values":{},"expiration_time":1767369845}}`
	paused    = `{"event":"workflow_paused","task_id":"task-1","workflow_run_id":"run-1","data":{"status":"paused"}}`
	askAgain  = `{"event":"human_input_required","task_id":"task-1","workflow_run_id":"run-1","data":{"node_title":"Second","form_content":"Sure?","inputs":null,"actions":null,"form_token":null,"expiration_time":null}}`
)

func chunk(text string) string {
	return `{"event":"text_chunk","task_id":"task-1","workflow_run_id":"run-1","data":{"text":"` + text + `"}}`
}

func broken(status, message string) string {
	return `{"event":"error","task_id":"task-1","code":"runtime_unavailable","status":` + status + `,"message":` + message + `}`
}

// running signs in on a server whose two apps run so.
func running(s *stage, steps ...servertest.Step) {
	withApps(s)
	s.login()
	for i := range s.server.Apps {
		s.server.Apps[i].Script = steps
	}
}

func TestTranscriptsOfRuns(t *testing.T) {
	const bot, check = "01920000-0000-7000-8000-000000000001", "Invoice check"
	transcripts(t, map[string]func(*stage){
		"run-chat": func(s *stage) {
			running(s, servertest.Steps(hello, world, talked)...)
			s.expect(0, "run", bot, "hi")
			s.expect(0, "run", bot, "hi", "-o", "json")
			s.screen, s.trace = true, true
			s.expect(0, "run", bot, "hi", "--conversation", "conv-1")
			s.screen, s.trace, s.typed = false, false, []typed{{0, "from "}, {0, "stdin\n"}}
			s.expect(0, "run", bot, "-")
			if got := s.server.Requests(); got[len(got)-1].Body != `{"inputs":{},"query":"from stdin"}` {
				s.t.Errorf("sent %s", got[len(got)-1].Body)
			}
		},
		"run-agent": func(s *stage) {
			running(s, servertest.Steps(`{"event":"agent_thought","task_id":"task-1","thought":"It may be\n\u001b[1m14","tool":"clock"}`,
				`{"event":"agent_message","task_id":"task-1","answer":"It is"}`, `{"event":"agent_thought","task_id":"task-1","thought":"sure","tool":""}`, `{"event":"agent_message","task_id":"task-1","answer":" 14:00"}`,
				`{"event":"message_file","task_id":"task-1","type":"image","url":"https://files.example.com/clock.png"}`, `{"event":"message_replace","task_id":"task-1","answer":"I cannot say."}`,
				`{"event":"something_new","task_id":"task-1"}`, talked)...)
			s.expect(0, "run", bot, "what time is it?")
			s.screen, s.trace = true, true
			s.expect(0, "run", bot, "what time is it?")
		},
		"run-workflow": func(s *stage) {
			running(s, servertest.Steps(began, node, nodeDone, succeeded)...)
			s.expect(0, "run", check, "-i", "customer=ACME", "-i", "months:=3")
			s.trace = true
			s.expect(0, "run", check)
			s.expect(0, "run", check, "-o", "json")
			running(s, servertest.Steps(began, oneText)...)
			s.expect(0, "run", check)
			running(s, servertest.Steps(began, chunk("All is"), chunk(" well"), oneText)...) // said once
			s.expect(0, "run", check)
			running(s, servertest.Steps(began, chunk("Other words"), oneText)...)
			s.expect(0, "run", check)
			running(s, servertest.Steps(began, hello, world, oneText, talked)...) // a chatflow
			s.expect(0, "run", check)
			s.expect(1, "run", check, "a question")
			s.expect(1, "run", bot)
		},
		"run-failed": func(s *stage) {
			running(s, servertest.Steps(began, node, nodeFails, failedRun)...)
			s.trace = true
			s.expect(8, "run", check)
			s.expect(8, "run", check, "-o", "json")
			running(s, servertest.Steps(began, stopped)...)
			s.expect(8, "run", check)
			s.trace = false
			running(s, servertest.Steps(hello, broken("502", `"The app's runtime does not answer\u001b[2J as it should."`), world)...)
			s.expect(9, "run", bot, "hi")
			s.expect(9, "run", bot, "hi", "-o", "json")
			running(s, servertest.Steps(broken("400", `"{\"error_type\":\"PluginInvokeError\",\"args\":{\"description\":\"The key is used up.\"}}"`))...)
			s.expect(9, "run", bot, "hi")
			running(s, servertest.Steps(hello, `{"event":"error","code":"invalid_token","status":401,"message":"The access token is not valid"}`)...)
			s.expect(4, "run", bot, "hi")
		},
		"run-cut-off": func(s *stage) {
			running(s, servertest.Steps(hello)...)
			s.expect(10, "run", bot, "hi")
			s.expect(10, "run", bot, "hi", "-o", "json")
			running(s, servertest.Step{Event: hello}, servertest.Step{Cut: true})
			s.expect(10, "run", bot, "hi")
			running(s)
			s.expect(10, "run", bot, "hi")
			running(s, servertest.Step{Event: hello}, servertest.Step{Raw: "data: " + talked + "\n"}) // no blank line, no event
			s.expect(10, "run", bot, "hi")
			running(s, servertest.Step{Raw: "data: [DONE]\n\n"})
			s.expect(10, "run", bot, "hi")
			running(s, servertest.Step{Event: hello}, servertest.Step{Hold: true}, servertest.Step{})
			s.expect(10, "run", bot, "hi")
			synctest.Wait()
			if got := s.server.Left(); len(got) != 1 {
				s.t.Errorf("the connection stands: %v", got)
			}
			s.server.Fault = at("/run", 1, &servertest.Fault{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: "{}"})
			s.expect(1, "run", bot, "hi")
		},
		"run-pings": func(s *stage) {
			ping := servertest.Step{After: 80 * time.Second, Raw: "event: ping\n\n"}
			running(s, servertest.Step{Event: hello}, ping, ping, servertest.Step{After: 80 * time.Second, Raw: ": still there\n"}, ping,
				servertest.Step{Raw: "event: message\r\ndata:{\"answer\":\ndata: \"of two lines\"}\r\n\r\n"}, servertest.Step{Event: talked})
			s.expect(0, "run", bot, "hi")
			s.expect(0, "run", bot, "hi", "-o", "json")
		},
		"run-stopped": func(s *stage) {
			running(s, servertest.Step{Event: hello}, servertest.Step{Hold: true}, servertest.Step{})
			s.stop = 5 * time.Second
			s.expect(130, "run", bot, "hi")
			if got := s.server.Stopped(); len(got) != 1 || got[0] != bot+"/task-1" {
				s.t.Errorf("stopped %v", got)
			}
			s.expect(130, "run", bot, "hi", "-o", "json")
			s.server.Fault = at("/stop", 1, servertest.Unavailable("2"))
			s.expect(130, "run", bot, "hi")
			s.server.Fault = nil
			running(s, servertest.Step{Event: hello}, servertest.Step{Stopped: true, Event: talked}) // the app ends its answer as it is stopped
			s.expect(130, "run", bot, "hi")
			running(s, servertest.Step{Hold: true}, servertest.Step{})
			s.stop = 2 * time.Second
			s.expect(130, "run", bot, "hi") // before any event
			synctest.Wait()
			if got := s.server.Left(); len(got) < 4 { // and the one that ended by itself, if it came to that
				s.t.Errorf("connections stand: %v", got)
			}
		},
		"run-paused": func(s *stage) {
			running(s, servertest.Steps(began, node, waits, paused, succeeded)...)
			s.server.Apps[1].Resumed = servertest.Steps(began, askAgain, paused)
			s.server.Apps[1].Form = `{"form_content":"Pay?","inputs":[],"resolved_default_values":{},"user_actions":[{"id":"approve"},{"id":"reject"}],"expiration_time":1767369845}`
			s.expect(3, "run", check)
			s.expect(3, "run", check, "-o", "json")
			s.expect(2, "resume", check, "form-1", "--run", "run-1")
			s.expect(3, "resume", check, "form-1", "--run", "run-1", "--action", "approve", "-i", "reason=it is due")
			if got := s.server.Answered(); len(got) != 1 || got[0] != `{"action":"approve","inputs":{"reason":"it is due"}}` {
				s.t.Errorf("answered %q", got)
			}
			s.expect(1, "resume", check, "form-1", "--run", "run-1", "--action", "approve")
			s.server.Apps[1].Form = `{"user_actions":[{"id":"go"}]}`
			s.server.Apps[1].Resumed = servertest.Steps(succeeded)
			s.expect(0, "resume", check, "form-1", "--run", "run-1")
			s.server.Apps[1].Form = `{"user_actions":[]}`
			s.expect(0, "resume", check, "form-1", "--run", "run-1", "-o", "json")
			if got := s.server.Answered(); got[1] != `{"action":"go","inputs":{}}` || got[2] != `{"action":"","inputs":{}}` {
				s.t.Errorf("answered %q", got)
			}
			running(s, servertest.Step{Event: waits}, servertest.Step{Event: askAgain}, servertest.Step{Hold: true}, servertest.Step{}) // a server that holds the line
			s.expect(3, "run", check)
			for _, args := range [][]string{{"resume", check}, {"resume", check, "form-1"}} {
				s.expect(2, args...)
			}
		},
		"run-blocking": func(s *stage) {
			running(s)
			s.server.Apps[0].Blocking = `{"event":"message","task_id":"task-1","conversation_id":"conv-1","mode":"chat","answer":"Hello \u001b[0m"}`
			s.expect(0, "run", bot, "hi", "--blocking")
			s.expect(0, "run", bot, "hi", "--blocking", "-o", "json")
			for _, c := range []struct {
				body string
				exit int
			}{
				{`{"workflow_run_id":"run-1","task_id":"task-1","data":{"status":"succeeded","outputs":{"text":"All is well"}}}`, 0},
				{`{"workflow_run_id":"run-1","task_id":"task-1","data":{"status":"failed","error":"no","outputs":{}}}`, 8},
				{`{"event":"workflow_paused","workflow_run_id":"run-1","data":{"status":"paused"}}`, 3},
				{`[]`, 1},
			} {
				s.server.Apps[1].Blocking = c.body
				s.expect(c.exit, "run", check, "--blocking")
			}
			s.stop = time.Second
			s.server.On = func(r *http.Request) {
				select {
				case <-r.Context().Done():
				case <-time.After(time.Minute):
				}
			}
			s.expect(130, "run", bot, "hi", "--blocking")
		},
		"run-refused": func(s *stage) {
			running(s)
			for _, c := range []struct {
				exit, status  int
				code, message string
			}{
				{1, 404, "app_not_found", "No such app."}, {1, 403, "app_access_denied", "x"}, {1, 403, "service_api_disabled", "x"}, {1, 404, "conversation_not_found", "x"}, {1, 422, "mode_not_runnable", "x"},
				{1, 400, "bad_request", "customer is required in input form"}, {1, 502, "runtime_unavailable", "The app's runtime does not answer as it should."}, {1, 502, "runtime_key_rejected", "x"},
				{7, 429, "rate_limit_error", "The app's runtime has reached a limit of its own."}, {7, 429, "too_many_requests", "As many runs"}, {4, 401, "invalid_token", "x"},
			} {
				f := servertest.Refusal(c.status, c.code, c.message)
				if c.status == 429 {
					f.Header.Set("Retry-After", "5")
				}
				n := len(s.server.Requests())
				s.server.Fault = at("/run", 1, f)
				s.expect(c.exit, "run", bot, "hi")
				if got := s.server.Requests(); len(got) != n+1 {
					s.t.Errorf("a run was asked for %d times", len(got)-n)
				}
			}
		},
		"run-files": func(s *stage) {
			running(s, servertest.Steps(began, oneText)...)
			dir := s.t.TempDir()
			s.t.Chdir(dir)
			for name, text := range map[string]string{"may.pdf": "%PDF", "a photo.JPG": "photo", "in.json": `{"customer":"ACME","months":12345678901234567890}`, "list.json": "[]"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					s.t.Fatal(err)
				}
			}
			s.expect(0, "run", check, "--inputs", "in.json", "-i", "customer=Other", "-f", "invoice=@may.pdf", "-f", "more=@a photo.JPG", "-f", "more=https://example.com/x/sound.mp3?a=b.c", "-f", "https://example.com/plain")
			const sent = `{"inputs":{"customer":"Other","invoice":{"transfer_method":"local_file","type":"document","upload_file_id":"01920000-0000-7000-8000-000000000901"},` +
				`"months":12345678901234567890,"more":[{"transfer_method":"local_file","type":"image","upload_file_id":"01920000-0000-7000-8000-000000000902"},` +
				`{"transfer_method":"remote_url","type":"audio","url":"https://example.com/x/sound.mp3?a=b.c"}]},` +
				`"files":[{"transfer_method":"remote_url","type":"custom","url":"https://example.com/plain"}]}`
			all := s.server.Requests()
			if got := all[len(all)-1].Body; got != sent {
				s.t.Errorf("sent %s", got)
			}
			if got := s.server.Uploads(); len(got) != 2 || got[0] != (servertest.Upload{Name: "may.pdf", Type: "application/pdf", Content: "%PDF"}) || got[1] != (servertest.Upload{Name: "a photo.JPG", Type: "image/jpeg", Content: "photo"}) {
				s.t.Errorf("uploaded %+v", got)
			}
			s.typed = []typed{{0, `{"customer":"from stdin"}`}}
			s.expect(0, "run", check, "--inputs", "-")
			n := len(s.server.Requests())
			for _, args := range [][]string{{"--inputs", "list.json"}, {"-i", "x"}, {"-i", "=x"}, {"-i", "x:={"}, {"-f", "x"}, {"-f", "x=may.pdf"}, {"-f", "x=@"}, {"-f", "x=@."}, {"-", "--inputs", "-"}, {"a", "b"}} {
				s.expect(2, append([]string{"run", check}, args...)...)
			}
			s.expect(1, "run", check, "-f", "x=@absent.pdf")
			s.expect(1, "run", check, "--inputs", "absent.json")
			if len(s.server.Requests()) != n {
				s.t.Error("the server was asked")
			}
			s.server.Fault = at("/upload", 1, servertest.Refusal(413, "file_too_large", "x"))
			s.expect(1, "run", check, "-f", "invoice=@may.pdf")
		},
	})
}
