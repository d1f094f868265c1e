// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	stdjson "encoding/json"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// runBody caps the body of a run.
const runBody = 1 << 20

// runRows run apps. The last exists in the Enterprise Edition alone.
func (a *api) runRows() []row {
	const one = base + "/apps/:" + appParam
	rule := authz.Rule{Subjects: anySubject, Scope: token.ScopeAppsRun, App: true}
	external := rule
	external.Subjects = []token.SubjectType{token.SubjectExternal}
	runs := func(path, summary string, rule authz.Rule, sample runExample, handle fiber.Handler, more ...*fault.Error) row {
		return row{method: http.MethodPost, path: path, caller: bearer, rule: rule, media: []string{json}, body: runBody, handle: handle,
			about: operation{
				summary: summary, body: runRequest{}, sample: sample.request,
				answers: map[int]any{http.StatusOK: mixed{events{}, map[string]stdjson.RawMessage{}}},
				samples: map[int]any{http.StatusOK: mixed{sample.events, sample.answer}},
				fails:   append(more, runFails...),
			}}
	}
	rows := []row{
		runs(one+"/run", "Run an app", rule, chatExample, a.run(apps.Mode.Known)),
		runs(one+"/chat-messages", "Run an app that chats", rule, chatExample, a.run(apps.Mode.Chats), run.ErrAppUnavailable),
		runs(one+"/completion-messages", "Run an app that completes", rule, completionExample, a.run(is(apps.Completion)), run.ErrAppUnavailable),
		runs(one+"/workflows/run", "Run a workflow", rule, workflowExample, a.run(is(apps.Workflow)), run.ErrAppUnavailable),
	}
	if !a.Enterprise {
		return rows
	}
	return append(rows, runs(base+"/permitted-external-apps/:"+appParam+"/run", "Run an app as somebody without an account", external, chatExample, a.run(apps.Mode.Known)))
}

func is(mode apps.Mode) func(apps.Mode) bool { return func(m apps.Mode) bool { return m == mode } }

// runFails is what a run fails with, before its stream or in the place of its answer.
var runFails = []*fault.Error{
	run.ErrQueryRequired, run.ErrQueryRefused, run.ErrNotRunnable, run.ErrBusy, run.ErrQuota,
	run.ErrRefused, run.ErrAppUnavailable, run.ErrConversationOver, run.ErrNoProvider, run.ErrProviderQuota, run.ErrModel, run.ErrCompletion,
	run.ErrNoConversation, run.ErrNoWorkflowRun, run.ErrFileTooLarge, run.ErrFileType,
	run.ErrUnavailable, run.ErrKeyRejected, run.ErrTimeout,
}

// runExample is an example of a run for the API's document.
type runExample struct {
	request runRequest
	events  string
	answer  stdjson.RawMessage
}

const runTask = `"task_id":"c3800678-a077-43df-a102-53f23ed20b88"`

func exampleOf(request runRequest, answer string, events ...string) runExample {
	e := runExample{request: request, answer: stdjson.RawMessage(answer)}
	for _, data := range events {
		e.events += "data: " + data + "\n\n"
	}
	return e
}

// The examples of the API's document.
var (
	chatExample = exampleOf(runRequest{Inputs: stdjson.RawMessage(`{"order":"4711"}`), Query: new("Where is my order?")},
		`{"event":"message",`+runTask+`,"answer":"On its way."}`,
		`{"event":"message",`+runTask+`,"conversation_id":"45701982-8118-4bc5-8e9b-64562b4555f2","answer":"On its way."}`, `{"event":"message_end",`+runTask+`,"metadata":{}}`)
	completionExample = exampleOf(runRequest{Inputs: stdjson.RawMessage(`{"text":"Good morning."}`)},
		`{"event":"message",`+runTask+`,"answer":"早上好。"}`,
		`{"event":"message",`+runTask+`,"answer":"早上好。"}`, `{"event":"message_end",`+runTask+`,"metadata":{}}`)
	workflowExample = exampleOf(runRequest{Inputs: stdjson.RawMessage(`{"order":"4711"}`)},
		`{`+runTask+`,"workflow_run_id":"5c1f3b9e-2c0a-4f6b-9a55-4b3f7c7a1d2e","data":{"status":"succeeded","outputs":{"state":"on its way"}}}`,
		`{"event":"workflow_started",`+runTask+`,"workflow_run_id":"5c1f3b9e-2c0a-4f6b-9a55-4b3f7c7a1d2e","data":{}}`,
		`{"event":"workflow_finished",`+runTask+`,"workflow_run_id":"5c1f3b9e-2c0a-4f6b-9a55-4b3f7c7a1d2e","data":{"status":"succeeded","outputs":{"state":"on its way"}}}`)
)
