// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	rtt "github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// This file is the table of what runtimes do wrong and of what clients then learn, over
// every route that asks a runtime: the failure before a stream, or of an answer in one
// piece (API-20), and the failure within a stream (API-17).

// rfKey is in no answer, log, event, store or metric, though the runtimes here say it
// whenever they can.
const rfKey = "app-KEY.of_the+runtime-canary"

type rfWorld struct {
	*dcWorld
	binary string
	record run.Record // a workflow run of the member, which its runtime calls "running"
	file   string
	cases  sync.WaitGroup
	told   sync.Map // doors and codes of which difyauth was asked
}

// at begins a case beside all others: most of them wait.
func (w *rfWorld) at(t *testing.T, name string, f func(t *testing.T)) {
	w.cases.Go(func() { t.Run(name, f) })
}

// first: what core answers is the same whatever the runtime has done, and difyauth, a
// process each time, reads it once at each door.
func (w *rfWorld) first(t *testing.T, d rfDoor, code string) bool {
	_, loaded := w.told.LoadOrStore(d.name+" "+code, true)
	return !loaded && d.cli != "" && !t.Failed()
}

func rfStart(t *testing.T, options ...apitest.Option) *rfWorld {
	t.Helper()
	w := &rfWorld{dcWorld: dcStart(t, append([]apitest.Option{unlimited(), apitest.Set("SHUTDOWN_GRACE", "0s"), apitest.Set("LOG_LEVEL", "debug")}, options...)...), binary: daBuild(t)}
	who := token.AccountSubject(w.ids["normal"], "")
	w.record = run.Record{ID: canon.NewID(), WorkspaceID: w.id, SubjectKey: who.Key(), TokenID: canon.NewID(), Mode: apps.Workflow, TaskID: canon.NewID(),
		WorkflowRunID: canon.NewID(), Status: run.Running, StartedAt: w.Clock.Now()}
	w.file = filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(w.file, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// runtime is a new one with an app of a mode at an address, which is the runtime's own
// when none is given.
func (w *rfWorld) runtime(t *testing.T, mode apps.Mode, address string) (*rtt.Runtime, string) {
	t.Helper()
	rt := rtt.New(t, rfKey)
	if address == "" {
		address = rt.URL
	}
	id := canon.NewID()
	w.NewApp(t, apps.App{ID: id, WorkspaceID: w.id, Mode: mode, APIEnabled: true, Runtime: apps.RuntimeDify, RuntimeURL: address,
		SealedKey: w.App.Registry.Sealing.Seal([]byte(rfKey), apps.KeyPlace(id))})
	return rt, id
}

// rfDoor is a route that asks a runtime, as difyctl asks it, and the command of difyauth
// that does. The runtime's other routes are well.
type rfDoor struct {
	name   string
	route  rtt.Route
	mode   apps.Mode
	method string
	path   string // below the app
	body   string
	stream bool // Accept is that of a stream
	// whole: what the runtime answers is read, and not its status alone.
	whole bool
	// quiet: whatever the runtime says, the answer is this.
	quiet string
	// cli is the command; {app}, {run} and {file} stand for themselves. Exit is 1 where it
	// fails before a stream.
	cli string
	// begun is the script of the route that is asked first.
	begun func(*rtt.Runtime)
}

var rfDoors = []rfDoor{
	{name: "a run that streams", route: rtt.Chat, mode: apps.Chat, method: "POST", path: "/run", body: rnHello, stream: true, whole: true, cli: "run {app} hello"},
	{name: "a run in one piece", route: rtt.Chat, mode: apps.Chat, method: "POST", path: "/run", body: `{"inputs":{},"query":"hello","response_mode":"blocking"}`, whole: true, cli: "run {app} hello --blocking"},
	{name: "a workflow by its id", route: rtt.WorkflowByID, mode: apps.Workflow, method: "POST", path: "/workflows/run", body: `{"inputs":{},"workflow_id":"` + rfSome + `"}`, stream: true, whole: true},
	{name: "a completion", route: rtt.Completion, mode: apps.Completion, method: "POST", path: "/completion-messages", body: `{"inputs":{}}`, stream: true, whole: true},
	{name: "a description", route: rtt.Parameters, mode: apps.Chat, method: "GET", path: "/describe?fields=parameters", whole: true, cli: "apps describe {app}"},
	{name: "a file", route: rtt.Upload, mode: apps.Workflow, method: "POST", path: "/files/upload", body: tsForm("a.txt", "text/plain", "a file"), whole: true, cli: "run {app} -f invoice=@{file}"},
	{name: "a form", route: rtt.Form, mode: apps.Workflow, method: "GET", path: "/form/human_input/tok", whole: true, cli: "resume {app} tok --run {run}"},
	{name: "an answer to a form", route: rtt.Submit, mode: apps.Workflow, method: "POST", path: "/form/human_input/tok", body: `{"inputs":{},"action":"yes"}`, cli: "resume {app} tok --run {run} --action yes"},
	{name: "the end of a conversation", route: rtt.Conversation, mode: apps.Chat, method: "DELETE", path: "/conversations/" + rfSome},
	{name: "how a run went", route: rtt.Detail, mode: apps.Workflow, method: "GET", path: "/tasks/{run}/events", stream: true, whole: true, cli: "resume {app} tok --run {run} --action yes"},
	{name: "the events of a run", route: rtt.Events, mode: apps.Workflow, method: "GET", path: "/tasks/{run}/events", stream: true, whole: true, cli: "resume {app} tok --run {run} --action yes", begun: rfRunning},
	{name: "a stop", route: rtt.StopWorkflow, mode: apps.Workflow, method: "POST", path: "/tasks/{task}/stop", quiet: `{"result":"success"}`},
}

const rfSome = "0190a1b2-0000-7000-8000-000000000001"

func rfRunning(rt *rtt.Runtime) {
	rt.On(rtt.Detail, rtt.Script{rtt.Answer(200, `{"id":"x","status":"running","outputs":null,"error":null,"created_at":1700000000}`)})
}

// app prepares a door: its runtime, and a run on record.
func (w *rfWorld) app(t *testing.T, d rfDoor, address string) (rt *rtt.Runtime, id string, fill *strings.Replacer) {
	t.Helper()
	rt, id = w.runtime(t, d.mode, address)
	r := w.record
	r.ID, r.AppID, r.TaskID, r.WorkflowRunID = canon.NewID(), id, canon.NewID(), canon.NewID()
	if err := w.App.Stores.Runs.Begin(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if d.begun != nil {
		d.begun(rt)
	}
	return rt, id, strings.NewReplacer("{app}", id, "{run}", r.WorkflowRunID, "{task}", r.TaskID, "{file}", w.file)
}

// ask is what difyctl sends and reads.
func (w *rfWorld) ask(t *testing.T, d rfDoor, id string, fill *strings.Replacer) apitest.Answer {
	t.Helper()
	kind, accept := "application/json", "*/*"
	if d.route == rtt.Upload {
		kind = tsMultipart
	}
	if d.stream {
		accept = "text/event-stream"
	}
	c := htDifyctl{t: t, s: w.Server, token: w.bearers["normal"]}
	return htAsk(t, w.Server, c.request(d.method, "apps/"+id+fill.Replace(d.path), fill.Replace(d.body), kind, accept))
}

// secret fails when an answer, or what a client printed of it, holds the key or an address.
func (w *rfWorld) secret(t *testing.T, rt *rtt.Runtime, read string) {
	t.Helper()
	keys := &apitest.Scanner{}
	keys.Add("key", rfKey)
	keys.Add("address", strings.TrimPrefix(rt.URL, "http://"))
	if found := keys.Find([]byte(read)); found != nil {
		t.Errorf("%q in %.300s", found, read)
	}
}

// rfFault is what a runtime does in place of an answer.
type rfFault struct {
	name    string
	script  rtt.Script
	address string
	status  int
	code    string
	body    bool   // it is in the answer's body, which not every route reads
	says    string // what difyauth makes of it; empty is status and code
}

// before plays one fault at every door.
func (w *rfWorld) before(t *testing.T, f rfFault) {
	t.Helper()
	for _, d := range rfDoors {
		if f.body && !d.whole {
			continue
		}
		w.at(t, "API-17 API-20 TOK-13 "+f.name+": "+d.name, func(t *testing.T) {
			rt, id, fill := w.app(t, d, f.address)
			rt.On(d.route, f.script)
			a := w.ask(t, d, id, fill)
			w.secret(t, rt, a.Body)
			if d.quiet != "" {
				tsWantBody(t, a, http.StatusOK, d.quiet)
				return
			}
			wantAnswer(t, a, f.status, f.code)
			wantFailureShape(t, a)
			own, exit := "server_5xx", 1
			switch {
			case f.status == http.StatusTooManyRequests:
				own, exit = "rate_limited", 7
			case f.status < 500:
				own = "server_4xx_other"
			}
			dcRefused(t, d.method, a, exit, own, f.code)
			if !w.first(t, d, f.code) {
				return
			}
			m := daSignedIn(t, w.binary, w.wsWorld, "normal")
			_, errs := m.run(exit, strings.Fields(fill.Replace(d.cli))...)
			w.secret(t, rt, m.said.String())
			says := f.says
			switch {
			case says != "":
			case f.code == "runtime_unavailable":
				says = "what the app runs on does not answer"
			case f.code == "runtime_timeout":
				says = "what the app runs on has not answered in time"
			default:
				says = htItoa(f.status) + " " + f.code
			}
			if !strings.Contains(errs, says) {
				t.Errorf("difyauth says %q", errs)
			}
		})
	}
}

// rfElsewhere counts who comes to an address of this machine that no app names.
func rfElsewhere(t *testing.T) (address string, came func() bool) {
	t.Helper()
	rt := rtt.New(t, rfKey)
	return rt.URL, func() bool { return rt.Opened() > 0 }
}

func TestRuntimesThatFail(t *testing.T) {
	slow(t)
	w := rfStart(t)
	elsewhere, came := rfElsewhere(t)
	secure := rtt.NewTLS(t, rfKey)
	free, err := testserver.FreePort("127.0.0.1") // which no other runtime of these tests gets
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://127.0.0.1:" + free
	plain := rtt.New(t, rfKey)
	t.Run("before", func(t *testing.T) {
		for _, f := range []rfFault{
			{name: "nobody listens", address: closed, status: 502, code: "runtime_unavailable"},
			{name: "no TLS where it belongs", address: strings.Replace(plain.URL, "http:", "https:", 1), status: 502, code: "runtime_unavailable"},
			{name: "a certificate of nobody that we trust", address: secure.URL, status: 502, code: "runtime_unavailable"},
			{name: "it hangs up", script: rtt.Script{rtt.Cut()}, status: 502, code: "runtime_unavailable"},
			{name: "no HTTP", script: rtt.Script{rtt.Wire(rfKey + "\r\n\r\n")}, status: 502, code: "runtime_unavailable"},
			{name: "500", script: rtt.Script{rtt.Status(500, rfKey, rfKey)}, status: 502, code: "runtime_unavailable"},
			{name: "400 with the key", script: rtt.Script{rtt.Status(400, "invalid_param", "not "+rfKey)}, status: 400, code: "bad_request"},
			{name: "401", script: rtt.Script{rtt.Status(401, "unauthorized", rfKey)}, status: 502, code: "runtime_key_rejected", says: "refuses the app's key"},
			{name: "429", script: rtt.Script{rtt.Header("Retry-After", "1"), rtt.Status(429, "x", rfKey)}, status: 429, code: "rate_limit_error", says: "a limit of its own: try again in 1 second"},
			{name: "a redirect to what listens here", script: rtt.Script{rtt.Redirect(307, elsewhere+"/"+rfKey)}, status: 502, code: "runtime_unavailable"},
			{name: "a redirect to our inner listener", script: rtt.Script{rtt.Redirect(302, w.Inner+"/inner/api/"+rfKey)}, status: 502, code: "runtime_unavailable"},
			{name: "a redirect to the metadata of a cloud", script: rtt.Script{rtt.Redirect(301, "http://169.254.169.254/"+rfKey)}, status: 502, code: "runtime_unavailable"},
			{name: "a page", script: rtt.Script{rtt.Header("Content-Type", "text/html"), rtt.Answer(200, "<h1>"+rfKey+"</h1>")}, status: 502, code: "runtime_unavailable", body: true},
			{name: "an answer that breaks off", script: rtt.Script{rtt.Header("Content-Type", "application/json"), rtt.Raw(`{"a":"` + rfKey), rtt.Cut()}, status: 502, code: "runtime_unavailable", body: true},
			{name: "10 MB in one piece", script: rtt.Script{rtt.Answer(200, `{"a":"`+strings.Repeat("x", 10<<20)+`"}`)}, status: 502, code: "runtime_unavailable", body: true},
		} {
			w.before(t, f)
		}
		w.cases.Wait()
	})
	if came() {
		t.Error("a redirect was followed")
	}
	if strings.Contains(w.Log.String(), `"path":"/inner/api/`) {
		t.Error("the inner listener was asked")
	}
	hello := rtt.Event(`{"event":"message","task_id":"{task}","workflow_run_id":"{run}","answer":"Half"}`)
	t.Run("within", func(t *testing.T) {
		for name, steps := range map[string]rtt.Script{
			"it breaks off between two events": {rtt.Cut()},
			"it breaks off within an event":    {rtt.Raw(`data: {"event":"message","answer":"` + rfKey), rtt.Cut()},
			"it ends within an event":          {rtt.Raw(`data: {"event":"message_end","a":"` + rfKey + `"}` + "\n")},
			"it ends before the end":           {},
			"what is no JSON":                  {rtt.Event(rfKey)},
			"what is no object":                {rtt.Event(`["` + rfKey + `"]`)},
			"bytes that are no events":         {rtt.Raw("\x00\xff\x1b[2J" + rfKey + "\n\n\x00")},
			"an event of 10 MB":                {rtt.Big(10 << 20), hello},
			"a line without an end":            {rtt.Endless("data: x")},
		} {
			w.within(t, name, append(rtt.Script{rtt.Begin(), hello}, steps...), 502, "runtime_unavailable")
		}
		w.cases.Wait()
	})
	t.Run("API-20 TOK-13 the key is in no log, event, row or metric", func(t *testing.T) { w.leftBehind(t) })
}

// within plays a fault after the first event, at each door with a stream.
func (w *rfWorld) within(t *testing.T, name string, script rtt.Script, status int, code string) {
	t.Helper()
	for _, d := range rfDoors {
		if !d.stream || d.route == rtt.Detail {
			continue
		}
		w.at(t, "API-17 TOK-13 "+name+": "+d.name, func(t *testing.T) {
			rt, id, fill := w.app(t, d, "")
			rt.On(d.route, script)
			a := w.ask(t, d, id, fill)
			w.secret(t, rt, a.Body)
			r := dcFollow(string(d.mode), a.Body)
			if a.Status != http.StatusOK || r.wrong != "" || r.exit != 1 || r.code != "server_5xx" || r.answer != "Half" || !strings.HasSuffix(a.Body, "}\n\n") {
				t.Fatalf("%d %+v %.300s", a.Status, r, a.Body)
			}
			call := rt.Wait(t, d.route, 1)[0]
			if f := r.failure; f["code"] != code || f["status"] != float64(status) || f["task_id"] != call.Task || f["message"] == "" || r.names[len(r.names)-1] != "error" {
				t.Errorf("%v", f)
			}
			<-call.Done() // nobody holds the runtime's connection on
			if !w.first(t, d, code+" within") {
				return
			}
			m := daSignedIn(t, w.binary, w.wsWorld, "normal")
			out, errs := m.run(9, strings.Fields(fill.Replace(d.cli))...)
			w.secret(t, rt, m.said.String())
			if !strings.HasPrefix(out, "Half") && d.mode == apps.Chat || !strings.Contains(errs, "("+htItoa(status)+" "+code+")") {
				t.Errorf("difyauth says %q, %q", out, errs)
			}
		})
	}
}

// Whatever is late is told as such; nothing hangs with its runtime.
func TestRuntimesThatAreSilent(t *testing.T) {
	slow(t)
	w := rfStart(t, apitest.Set("RUNTIME_HEADER_TIMEOUT", "700ms"), apitest.Set("RUNTIME_IDLE_TIMEOUT", "700ms"), apitest.Set("RUN_BLOCKING_TIMEOUT", "700ms"))
	t.Run("silence", func(t *testing.T) {
		w.before(t, rfFault{name: "no answer", script: rtt.Script{rtt.Hang()}, status: 504, code: "runtime_timeout"})
		hello := rtt.Event(`{"event":"message","task_id":"{task}","workflow_run_id":"{run}","answer":"Half"}`)
		w.within(t, "endless silence", rtt.Script{rtt.Begin(), hello, rtt.Hang()}, 504, "runtime_timeout")
		w.within(t, "endless comments", rtt.Script{rtt.Begin(), hello, rfComments}, 504, "runtime_timeout")
		w.within(t, "silence within an event", rtt.Script{rtt.Begin(), hello, rtt.Raw(`data: {"event":"mess`), rtt.Hang()}, 504, "runtime_timeout")
		w.cases.Wait()
	})
	t.Run("API-20 TOK-13 the key is in no log, event, row or metric", func(t *testing.T) { w.leftBehind(t) })
}

// rfComments is what a runtime says that has nothing to say.
func rfComments(e *rtt.Exchange) {
	for {
		rtt.Raw(": " + rfKey + "\n\n")(e)
		rtt.Pause(20 * time.Millisecond)(e)
	}
}

// leftBehind looks for the key in all that a server keeps or shows.
func (w *rfWorld) leftBehind(t *testing.T) {
	t.Helper()
	eventually(t, func() (bool, string) {
		said := strings.Count(w.Log.String(), `"event":"app.run.openapi"`)
		return said > 0 && sqlInt(t, w.Server, `SELECT count(*) FROM audit_events WHERE event = 'app.run.openapi'`) == said, "the events are not on record: " + htItoa(said)
	})
	if !rfFound([]byte("a "+rfKey)) || !rfFound([]byte(base64.StdEncoding.EncodeToString([]byte("Bearer "+rfKey)))) {
		t.Fatal("it would not be found")
	}
	places := map[string][]byte{"log": []byte(w.Log.String()), "metrics": []byte(htInner(t, w.Server, "/metrics").Body)}
	if w.Pair != nil {
		places["Postgres"], places["Redis"] = sqlDump(t, w.Server), redisDump(t, w.Pair)
	} else {
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(filepath.Join(w.Dir, app.DatabaseFile+suffix))
			if err != nil && suffix == "" {
				t.Fatal(err)
			}
			places["database"] = append(places["database"], content...)
		}
	}
	for place, content := range places {
		if rfFound(content) {
			t.Errorf("the %s holds the key", place)
		}
		if knows := bytes.Contains(content, []byte(w.ids["normal"])); !knows && place != "metrics" && place != "Redis" {
			t.Errorf("%s is not what was meant", place)
		}
	}
	if all := strings.Join(sqlTexts(t, w.Server, `SELECT coalesce(fields, '{}') FROM audit_events`), "\n"); all == "" || rfFound([]byte(all)) {
		t.Error("an event holds the key")
	}
}

// rfFound looks for the key plain, in hex and in base64 wherever it begins. The scanner of
// answers decodes whatever may be either, and takes a minute for a log of this size.
func rfFound(content []byte) bool {
	forms := [][]byte{[]byte(rfKey), []byte(hex.EncodeToString([]byte(rfKey)))}
	for shift := range 3 {
		whole := base64.RawURLEncoding.EncodeToString(append(make([]byte, shift), rfKey...))
		inner := whole[4 : len(whole)-4]
		forms = append(forms, []byte(inner), []byte(strings.NewReplacer("-", "+", "_", "/").Replace(inner)))
	}
	return slices.ContainsFunc(forms, func(form []byte) bool { return bytes.Contains(content, form) })
}
