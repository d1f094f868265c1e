// SPDX-License-Identifier: Apache-2.0

package echo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/echo"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

const ada, bob = "u_ada", "u_bob"

// clock is what forms and what is kept go by.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

func begin(t *testing.T, interval time.Duration) (*echo.Runtime, *clock) {
	t.Helper()
	c := &clock{at: time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)}
	return echo.New(echo.Options{Now: c.now, Interval: interval}), c
}

func target(mode apps.Mode, config string) run.Target {
	return run.Target{AppID: "0190d1f4-7c3a-7b1e-9c55-0242ac120002", Mode: mode, Runtime: apps.RuntimeEcho, Config: config}
}

func asking(query string) run.Request {
	r := run.Request{Inputs: json.RawMessage(`{}`), User: ada}
	if query != "" {
		r.Query = &query
	}
	return r
}

// seen is an event as a client reads it.
type seen struct {
	Event        string         `json:"event"`
	ID           string         `json:"id"`
	TaskID       string         `json:"task_id"`
	MessageID    string         `json:"message_id"`
	Conversation string         `json:"conversation_id"`
	Run          string         `json:"workflow_run_id"`
	Answer       string         `json:"answer"`
	Thought      string         `json:"thought"`
	Metadata     map[string]any `json:"metadata"`
	Created      int64          `json:"created_at"`
	Status       int            `json:"status"`
	Code         string         `json:"code"`
	Message      string         `json:"message"`
	Data         map[string]any `json:"data"`
}

// drain reads a stream to its end, and checks of each event what holds for all.
func drain(t *testing.T, s run.Stream) (all []seen) {
	t.Helper()
	defer func() { _ = s.Close() }()
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("after %s: %v", eventNames(all), err)
		}
		all = append(all, read(t, e))
	}
}

func read(t *testing.T, e run.Event) (one seen) {
	t.Helper()
	text, ok := bytes.CutPrefix(e.Frame, []byte("data: "))
	if !ok || !bytes.HasSuffix(text, []byte("}\n\n")) || bytes.Count(text, []byte("\n")) != 2 {
		t.Fatalf("a frame is %q", e.Frame)
	}
	if err := json.Unmarshal(text, &one); err != nil {
		t.Fatal(err)
	}
	if one.Event != e.Name || one.TaskID != e.TaskID || one.Run != e.WorkflowRunID || !canon.IsID(e.TaskID) {
		t.Fatalf("%+v is not %s", e, text)
	}
	return one
}

func eventNames(all []seen) string {
	list := make([]string, len(all))
	for i, e := range all {
		list[i] = e.Event
	}
	return strings.Join(list, " ")
}

func answer(all []seen) (text string) {
	for _, e := range all {
		text += e.Answer
	}
	return text
}

func stream(t *testing.T, r *echo.Runtime, on run.Target, q run.Request) []seen {
	t.Helper()
	s, err := r.Stream(t.Context(), on, q)
	if err != nil {
		t.Fatal(err)
	}
	return drain(t, s)
}

// says checks a failure and its sentence.
func says(t *testing.T, err error, want *fault.Error, text string) {
	t.Helper()
	if !errors.Is(err, want) || text != "" && fault.Of(err).Text() != text {
		t.Errorf("%v says %q, want %v saying %q", err, fault.Of(err).Text(), want, text)
	}
}

func TestWhatEachModeAnswers(t *testing.T) {
	for mode, want := range map[apps.Mode]string{
		apps.Chat:         "message message message message_end",
		apps.AgentChat:    "agent_thought agent_message agent_message agent_message message_end",
		apps.AdvancedChat: "workflow_started node_started message message message node_finished workflow_finished message_end",
		apps.Completion:   "message message message message_end",
		apps.Workflow:     "workflow_started node_started node_finished workflow_finished",
	} {
		t.Run(string(mode), func(t *testing.T) {
			r, c := begin(t, echo.AtOnce)
			q := asking("hello <there>")
			if mode == apps.Workflow {
				q = asking("")
				q.Inputs = json.RawMessage(`{"n":1e2,"s":"é"}`)
			}
			all := stream(t, r, target(mode, ""), q)
			if got := eventNames(all); got != want {
				t.Fatalf("%s", got)
			}
			last := all[len(all)-1]
			if mode == apps.Workflow {
				if out, _ := json.Marshal(last.Data["outputs"]); string(out) != `{"n":100,"s":"é"}` || last.Data["status"] != "succeeded" || last.Data["error"] != nil {
					t.Errorf("%+v", last.Data)
				}
			} else if got := answer(all); got != "echo:hello <there>" || last.Metadata["usage"] == nil {
				t.Errorf("%q, %+v", got, last)
			}
			for _, e := range all {
				if mode.Chats() != canon.IsID(e.Conversation) && e.Answer+e.Thought != "" || e.TaskID != all[0].TaskID || e.MessageID != "" && e.Created != c.now().Unix() {
					t.Errorf("%+v", e)
				}
			}
			body, err := r.Block(t.Context(), target(mode, ""), q)
			if err != nil {
				t.Fatal(err)
			}
			var whole seen
			if err := json.Unmarshal(body, &whole); err != nil || !canon.IsID(whole.TaskID) || whole.Answer != answer(all) || (whole.Data["status"] == "succeeded") != (mode == apps.Workflow) {
				t.Errorf("%s, %v", body, err)
			}
		})
	}
	r, _ := begin(t, echo.AtOnce)
	for _, mode := range []apps.Mode{apps.Agent, apps.Channel, apps.RAGPipeline} {
		_, err := r.Stream(t.Context(), target(mode, ""), asking("x"))
		says(t, err, run.ErrAppUnavailable, "")
	}
	t.Run("a completion without a query says its inputs, and a long answer comes in few pieces", func(t *testing.T) {
		q := asking("")
		q.Inputs = json.RawMessage(`{"a":"b"}`)
		if got := answer(stream(t, r, target(apps.Completion, ""), q)); got != `echo:{"a":"b"}` {
			t.Errorf("%q", got)
		}
		long := strings.Repeat("word  ", 1000)
		all := stream(t, r, target(apps.Chat, ""), asking(long))
		if answer(all) != "echo:"+long || len(all) > 40 || len(all) < 20 {
			t.Errorf("%d events", len(all))
		}
	})
}

func TestParameters(t *testing.T) {
	r, _ := begin(t, echo.AtOnce)
	const config = `{"opening_statement":"Hi","user_input_form":[{"number":{"variable":"n","label":"N","required":true}}],"echo":{"slow_ms":1}}`
	body, err := r.Parameters(t.Context(), target(apps.Chat, config))
	var got map[string]json.RawMessage
	if err != nil || json.Unmarshal(body, &got) != nil || len(got) != 12 || got["echo"] != nil || string(got["opening_statement"]) != `"Hi"` ||
		string(got["user_input_form"]) != `[{"number":{"variable":"n","label":"N","required":true}}]` {
		t.Errorf("%s, %v", body, err)
	}
	_, err = r.Parameters(t.Context(), target(apps.Chat, `{"echo":{"not_configured":true}}`))
	says(t, err, run.ErrNotConfigured, "")
	_, err = r.Stream(t.Context(), target(apps.Chat, `{"echo":{"not_configured":true}}`), asking("x"))
	says(t, err, run.ErrNotConfigured, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = r.Parameters(ctx, target(apps.Chat, `{"echo":{"slow_ms":60000}}`))
	says(t, err, run.ErrTimeout, "")
	_, err = r.Stream(ctx, target(apps.Chat, `{"echo":{"slow_ms":60000}}`), asking("x"))
	says(t, err, run.ErrTimeout, "")
}

func TestConfigsThatDoNotHold(t *testing.T) {
	for config, want := range map[string]string{
		`x`:                                   "no JSON object",
		`null`:                                "no JSON object",
		`[]`:                                  "no JSON object",
		`{"opening":"x"}`:                     `"opening" is no member`,
		`{"user_input_form":{}}`:              "user_input_form: it is no list",
		`{"user_input_form":[1]}`:             "user_input_form: it is no list",
		`{"user_input_form":[{"number":{}}]}`: "row 1 has no variable",
		`{"user_input_form":[{"number":{"variable":"a"},"file":{}}]}`: "row 1 has not exactly one kind",
		`{"echo":{"pause":1}}`:                                                               "echo: its members",
		`{"echo":{"fail_after":-1}}`:                                                         "count events from 1",
		`{"echo":{"slow_ms":600001}}`:                                                        "slow_ms",
		`{"echo":{"pauses":[{"inputs":[{}]}]}}`:                                              "input of pause 1 has no",
		`{"echo":{"pauses":[{"actions":[{"title":"x"}]}]}}`:                                  "action of pause 1 has no id",
		`{"echo":{"pauses":[{"expires_in":86401}]}}`:                                         "expires_in of pause 1",
		`{"echo":{"pauses":[{"defaults":[1]}]}}`:                                             "defaults of pause 1",
		`{"echo":{"pauses":[{},{},{},{},{},{},{},{},{}]}}`:                                   "at most 8 pauses",
		`{"opening_statement":"` + strings.Repeat("x", echo.MaxConfig) + `"}`:                "longer than",
		`{"user_input_form":[{"text-input":{"variable":"v","max_length":"` + "ten" + `"}}]}`: "row 1",
	} {
		if err := echo.Check(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v", config, err)
		}
		r, _ := begin(t, echo.AtOnce)
		_, err := r.Stream(t.Context(), target(apps.Chat, config), asking("x"))
		if !errors.Is(err, run.ErrAppUnavailable) || !strings.HasPrefix(fault.Of(err).Text(), "The app's runtime_config does not hold: ") || len(fault.Of(err).Text()) > 600 {
			t.Errorf("%.80s: %v", config, err)
		}
	}
	for _, config := range []string{"", "{}", `{"user_input_form":null}`, `{"echo":null}`} {
		if err := echo.Check(config); err != nil {
			t.Errorf("%s: %v", config, err)
		}
	}
}

const everyKind = `{"user_input_form":[
	{"text-input":{"variable":"name","label":"Name","required":true,"max_length":4}},
	{"paragraph":{"variable":"text","label":"Text","max_length":5}},
	{"select":{"variable":"tone","label":"Tone","options":["plain","warm"]}},
	{"number":{"variable":"n","label":"N"}},
	{"checkbox":{"variable":"on","label":"On"}},
	{"file":{"variable":"file","label":"File"}},
	{"file-list":{"variable":"files","label":"Files","max_length":2}},
	{"external_data_tool":{"variable":"x","required":true}},
	{"json_object":{"variable":"j"}}]}`

func TestInputsInTheWordsOfARuntime(t *testing.T) {
	for inputs, want := range map[string]string{
		`{}`:                                `name is required in input form`,
		`{"name":""}`:                       `name is required in input form`,
		`{"name":null}`:                     `name is required in input form`,
		`{"name":5}`:                        `(type 'text-input') name in input form must be a string`,
		`{"name":"éééé1"}`:                  `name in input form must be less than 4 characters`,
		`{"name":"a","text":"123456"}`:      `text in input form must be less than 5 characters`,
		`{"name":"a","tone":"cold"}`:        `tone in input form must be one of the following: ['plain', 'warm']`,
		`{"name":"a","tone":["plain"]}`:     `(type 'select') tone in input form must be a string`,
		`{"name":"a","n":"five"}`:           `n in input form must be a valid number`,
		`{"name":"a","n":true}`:             `n in input form must be a valid number`,
		`{"name":"a","n":{}}`:               `n in input form must be a valid number`,
		`{"name":"a","on":"yes"}`:           `on in input form must be a boolean value`,
		`{"name":"a","file":"x"}`:           `file in input form must be a file`,
		`{"name":"a","files":{}}`:           `files in input form must be a list of files`,
		`{"name":"a","files":["x"]}`:        `files in input form must be a list of files`,
		`{"name":"a","files":[{},{},{}]}`:   `files in input form must be less than 2 files`,
		`{"name":"a","x":1,"files":[null]}`: `files in input form must be a list of files`,
		`{"name":"a"}`:                      `x is required in input form`,
		`[]`:                                `inputs must be an object`,
		`{"name":"a","x":1,"file":{"transfer_method":"local_file"}}`: `Invalid upload file`,
	} {
		r, _ := begin(t, echo.AtOnce)
		q := run.Request{Inputs: json.RawMessage(inputs), User: ada}
		_, err := r.Stream(t.Context(), target(apps.Workflow, everyKind), q)
		says(t, err, run.ErrRefused, want)
		_, err = r.Block(t.Context(), target(apps.Workflow, everyKind), q)
		says(t, err, run.ErrRefused, want)
	}
	r, _ := begin(t, echo.AtOnce)
	for _, inputs := range []string{
		`{"name":"éééé","text":"12345","tone":"warm","n":"5.5","on":false,"x":1,"extra":[1,"a"]}`,
		`{"name":"a","n":-1e3,"x":"y","file":{"transfer_method":"remote_url","url":"https://a.example/b.png"},"files":[{"transfer_method":"remote_url","url":"https://a.example/b.png"}]}`,
	} {
		q := run.Request{Inputs: json.RawMessage(inputs), User: ada}
		all := stream(t, r, target(apps.Workflow, everyKind), q)
		var want any
		if err := json.Unmarshal(q.Inputs, &want); err != nil {
			t.Fatal(err)
		}
		if got, want := string(marshal(t, all[len(all)-1].Data["outputs"])), string(marshal(t, want)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestConversationsAndFilesAreTheirOwners(t *testing.T) {
	r, c := begin(t, echo.AtOnce)
	on := target(apps.Chat, "")
	other := on
	other.AppID = canon.NewID()
	first := stream(t, r, on, asking("one"))[0].Conversation
	again := asking("two")
	again.ConversationID = first
	if got := stream(t, r, on, again)[0].Conversation; got != first {
		t.Errorf("%s, then %s", first, got)
	}
	foreign := again
	foreign.User = bob
	_, err := r.Stream(t.Context(), on, foreign)
	says(t, err, run.ErrNoConversation, "")
	_, err = r.Stream(t.Context(), other, again)
	says(t, err, run.ErrNoConversation, "")
	says(t, r.DeleteConversation(t.Context(), on, first, bob), run.ErrNoConversation, "")
	says(t, r.DeleteConversation(t.Context(), other, first, ada), run.ErrNoConversation, "")
	if err := r.DeleteConversation(t.Context(), on, first, ada); err != nil {
		t.Error(err)
	}
	_, err = r.Stream(t.Context(), on, again)
	says(t, err, run.ErrNoConversation, "")

	body, err := r.Upload(t.Context(), on, ada, run.File{Name: "a.b.PNG", MediaType: "image/png", Content: strings.NewReader("hello")})
	var file struct {
		ID, Name, Extension string
		Size, CreatedAt     int64
		MimeType            string `json:"mime_type"`
		Digest              string `json:"sha256"`
	}
	if err != nil || json.Unmarshal(body, &file) != nil || !canon.IsID(file.ID) || file.Name != "a.b.PNG" || file.Size != 5 || file.Extension != "png" || file.MimeType != "image/png" ||
		file.Digest != "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" {
		t.Fatalf("%s, %v", body, err)
	}
	ref := `{"type":"image","transfer_method":"local_file","upload_file_id":"` + file.ID + `"}`
	for name, tc := range map[string]struct {
		on   run.Target
		user string
		ok   bool
	}{"ada": {on, ada, true}, "bob": {on, bob, false}, "another app": {other, ada, false}} {
		q := asking("look")
		q.User, q.Files = tc.user, json.RawMessage("["+ref+"]")
		s, err := r.Stream(t.Context(), tc.on, q)
		if !tc.ok {
			says(t, err, run.ErrRefused, "Invalid upload file")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := answer(drain(t, s)); !strings.Contains(got, `"name":"a.b.PNG","size":5`) {
			t.Errorf("%s: %q", name, got)
		}
	}
	w := target(apps.Workflow, "")
	q := asking("")
	q.Inputs = json.RawMessage(`{"doc":` + ref + `,"docs":[` + ref + `]}`)
	all := stream(t, r, w, q)
	if out := string(marshal(t, all[len(all)-1].Data["outputs"])); strings.Count(out, `"name":"a.b.PNG"`) != 2 {
		t.Error(out)
	}
	c.pass(25 * time.Hour)
	_, err = r.Stream(t.Context(), w, q)
	says(t, err, run.ErrRefused, "Invalid upload file")

	t.Run("a reader's failure is the caller's own", func(t *testing.T) {
		broken := io.MultiReader(strings.NewReader("x"), failing{})
		if _, err := r.Upload(t.Context(), on, ada, run.File{Name: "x", Content: broken}); !errors.Is(err, run.ErrFileTooLarge) {
			t.Error(err)
		}
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, run.ErrFileTooLarge }
