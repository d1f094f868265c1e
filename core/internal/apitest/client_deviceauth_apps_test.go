// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	rtt "github.com/dify-sso/dify-sso/core/internal/runtimetest"
)

func TestDifyauthRunsApps(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command; not part of test-fast")
	}
	binary := daBuild(t)
	w := dcStart(t)
	m := daSignedIn(t, binary, w.wsWorld, "normal")
	chat, workflow := w.apps[apps.Chat], w.apps[apps.Workflow]
	approval := w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "Approval", Mode: apps.Workflow, APIEnabled: true,
		RuntimeConfig: `{"user_input_form":[{"text-input":{"variable":"name","label":"Name","required":true,"max_length":20}}],"echo":{"pauses":[{"title":"Approval","content":"Pay?","inputs":[{"output_variable_name":"reason","type":"paragraph"}],"actions":[{"id":"approve","title":"Pay"},{"id":"reject","title":"Do not"}],"expires_in":3600}]}}`})
	run := func(t *testing.T, code int, args ...string) (out, errs string) {
		t.Helper()
		m.t = t
		return m.run(code, append([]string{"run"}, args...)...)
	}

	t.Run("apps are listed and described", func(t *testing.T) {
		m.t = t
		out, _ := m.run(0, "apps", "list", "-A")
		for _, a := range []apps.App{chat, workflow, w.echo, approval} {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(a.Name) + ` +` + string(a.Mode) + ` .* ` + a.ID + `$`).MatchString(out) {
				t.Fatalf("no %s in\n%s", a.Name, out)
			}
		}
		if out, _ := m.run(0, "apps", "list", "--limit", "2", "--mode", "workflow"); strings.Count(out, "\n") != 3 {
			t.Fatal(out)
		}
		if out, _ := m.run(0, "apps", "describe", "Approval"); !regexp.MustCompile(`(?m)^name +text +yes +Name; at most 20 characters$`).MatchString(out) {
			t.Fatal(out)
		}
		out, _ = m.run(0, "apps", "describe", approval.ID, "-o", "json")
		var d struct {
			Schema struct{ Type string } `json:"input_schema"`
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil || d.Schema.Type != "object" {
			t.Fatal(err, out)
		}
	})
	t.Run("an app answers, as text and as events", func(t *testing.T) {
		if out, _ := run(t, 0, "Echo", "hello there"); out != "echo:hello there\n" {
			t.Fatalf("%q", out)
		}
		if out, _ := run(t, 0, chat.ID, "hello"); out != "echo:hello\n" {
			t.Fatalf("%q", out)
		}
		if out, _ := run(t, 0, chat.ID, "hello", "--blocking"); out != "echo:hello\n" {
			t.Fatalf("%q", out)
		}
		out, _ := run(t, 0, workflow.ID, "-o", "json")
		names := ""
		for line := range strings.Lines(out) {
			var e struct{ Event string }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err, line)
			}
			names += e.Event + " "
		}
		if names != "workflow_started text_chunk workflow_finished " {
			t.Fatal(names)
		}
		if out, _ := run(t, 0, workflow.ID); out != "done\n" {
			t.Fatalf("%q", out)
		}
	})
	t.Run("a run that fails, is broken off or cut off has its exit code", func(t *testing.T) {
		w.rt.On(rtt.Workflow, dcScript(`{"event":"workflow_started","task_id":"{task}","workflow_run_id":"{run}"}`, `{"event":"workflow_finished","task_id":"{task}","workflow_run_id":"{run}","data":{"status":"failed","error":"no sum"}}`))
		if _, errs := run(t, 8, workflow.ID); errs != "difyauth: the run failed: no sum\n" {
			t.Fatal(errs)
		}
		w.rt.On(rtt.Workflow)
		w.rt.On(rtt.Chat, append(dcScript(`{"event":"message","task_id":"{task}","answer":"Half"}`), rtt.Cut()))
		if out, errs := run(t, 9, chat.ID, "hi"); out != "Half\n" || !strings.Contains(errs, "(502 runtime_unavailable)") {
			t.Fatal(out, errs)
		}
		w.rt.On(rtt.Chat, rtt.Script{rtt.Status(500, "x", "y")})
		if _, errs := run(t, 1, chat.ID, "hi"); !strings.Contains(errs, "what the app runs on does not answer") {
			t.Fatal(errs)
		}
		w.rt.On(rtt.Chat)
		if _, errs := run(t, 1, "Approval"); !strings.Contains(errs, "name is required in input form") {
			t.Fatal(errs)
		}
		if _, errs := run(t, 1, chat.ID); !strings.Contains(errs, "that app wants a query") {
			t.Fatal(errs)
		}
	})
	t.Run("a run that waits for a person is answered and followed", func(t *testing.T) {
		out, errs := run(t, 3, "Approval", "-i", "name=Ada")
		told := regexp.MustCompile(`\n    difyauth resume (\S+) (\S+) --run (\S+) --action approve -i 'reason=…'\n`).FindStringSubmatch(out)
		if told == nil || !strings.Contains(out, "Pay?") || !strings.Contains(errs, "waits for a person") {
			t.Fatal(out, errs)
		}
		if _, errs := m.run(2, "resume", told[1], told[2], "--run", told[3]); !strings.Contains(errs, "(approve, reject)") {
			t.Fatal(errs)
		}
		if out, _ := m.run(0, "resume", told[1], told[2], "--run", told[3], "--action", "approve", "-i", "reason=due"); out == "" {
			t.Fatal("no outputs")
		}
		m.run(1, "resume", told[1], told[2], "--run", told[3], "--action", "approve")
	})
	t.Run("a file is uploaded and named in the run", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "may.pdf")
		if err := os.WriteFile(file, []byte("%PDF-1.7"), 0o600); err != nil {
			t.Fatal(err)
		}
		ups, runs := len(w.rt.Calls(rtt.Upload)), len(w.rt.Calls(rtt.Workflow))
		run(t, 0, workflow.ID, "-f", "invoice=@"+file, "-i", "months:=3")
		up := w.rt.Wait(t, rtt.Upload, ups+1)[ups]
		if up.File == nil || up.File.Name != "may.pdf" || up.File.Size != 8 {
			t.Fatalf("%+v", up.File)
		}
		if got := w.rt.Wait(t, rtt.Workflow, runs+1)[runs].Member("inputs"); !strings.Contains(got, `"upload_file_id":"`) || !strings.Contains(got, `"months":3`) {
			t.Fatal(got)
		}
	})
	t.Run("Ctrl-C stops the work at the runtime", func(t *testing.T) {
		w.rt.On(rtt.Chat, append(dcScript(`{"event":"message","task_id":"{task}","answer":"Half"}`), rtt.Hang()))
		defer w.rt.On(rtt.Chat)
		n, stops := len(w.rt.Calls(rtt.Chat)), len(w.rt.Calls(rtt.StopChat))
		cmd := m.command("run", chat.ID, "hi")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		half := make([]byte, 4) // it comes at once, before the run is over
		if _, err := io.ReadFull(out, half); err != nil || string(half) != "Half" {
			t.Fatalf("%q %v", half, err)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 || errs.String() != "difyauth: stopped, and the work on the server with it\n" {
			t.Fatal(code, errs.String())
		}
		w.rt.Wait(t, rtt.StopChat, stops+1)
		<-w.rt.Wait(t, rtt.Chat, n+1)[n].Dropped()
	})
	t.Run("people without an account run what is open to them", func(t *testing.T) { daGuest(t, binary) })
	t.Run("what was said holds no token", func(t *testing.T) {
		if said := m.said.String(); said == "" || strings.Contains(said, "dfoa_") || strings.Contains(said, w.rt.Key) || strings.Contains(said, "Bearer") {
			t.Error(said)
		}
	})
}

// daGuest is somebody whom an identity provider alone knows.
func daGuest(t *testing.T, binary string) {
	t.Helper()
	w := wsStart(t, apitest.Enterprise(t))
	open := w.NewApp(t, apps.App{WorkspaceID: w.foreign, Name: "Open", Mode: apps.Chat, APIEnabled: true, Access: apps.Public})
	closed := w.NewApp(t, apps.App{WorkspaceID: w.id, Name: "Closed", Mode: apps.Chat, APIEnabled: true})
	m := &daMachine{t: t, binary: binary, dir: filepath.Join(t.TempDir(), "difyauth"), said: &bytes.Buffer{},
		environ: []string{"DIFYAUTH_TOKEN=" + exGuest(t, w.Server, "ann", "ann@corp.example", "corp"), "DIFYAUTH_HOST=" + w.URL}}
	if out, _ := m.run(0, "apps", "list"); !strings.Contains(out, open.ID) || strings.Contains(out, closed.ID) {
		t.Fatal(out)
	}
	if out, _ := m.run(0, "apps", "describe", "Open"); !strings.Contains(out, open.ID) {
		t.Fatal(out)
	}
	if out, _ := m.run(0, "run", "Open", "hello"); out != "echo:hello\n" {
		t.Fatalf("%q", out)
	}
	if _, errs := m.run(1, "run", closed.ID, "hello"); !strings.Contains(errs, "no app that you may run has that id") {
		t.Fatal(errs)
	}
	for _, args := range [][]string{{"workspaces", "list"}, {"members", "list"}} {
		if _, errs := m.run(1, args...); !strings.Contains(errs, "belongs to no workspace") {
			t.Fatal(errs)
		}
	}
	if said := m.said.String(); strings.Contains(said, "dfoe_") {
		t.Error(said)
	}
}
