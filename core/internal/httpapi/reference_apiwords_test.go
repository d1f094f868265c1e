// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/core/internal/openapi"
)

const apiIntro = "# The API\n\n" + generated + `
The same as a document for programs is [openapi.json](openapi.json); a running core serves its own at ` + "`/openapi/v1/openapi.json`" + `. What is meant by the words is in
[middleware.md](../specs/v1.0/server/middleware.md), [apps.md](../specs/v1.0/server/apps.md) and [workspaces.md](../specs/v1.0/server/workspaces.md).

In the examples ` + "`$HOST`" + ` is core's origin (` + "`https://sso.example.com`" + `), ` + "`$TOKEN`" + ` an access token, as ` + "`difyauth token`" + ` prints it, ` + "`$CSRF`" + ` the token of
` + "`GET /console/api/csrf-token`" + `, and ` + "`cookies.txt`" + ` has the cookies of a console session.

## What holds everywhere

- Paths are below ` + "`/openapi/v1`" + `, but for those that begin with ` + "`/console`" + ` or ` + "`/.well-known`" + `.
- Bodies are UTF-8 JSON unless another content type is named. A request without a body needs no content type. Answers have ` + "`X-Request-Id`" + `, under which they are in the log.
- Times are UTC with whole seconds, ids are lower-case UUIDs with hyphens; an id in a path that is none reads like an unknown one.
- A list is never null. A page is ` + "`{\"page\",\"limit\",\"total\",\"has_more\",\"data\"}`" + `.
- A failure is ` + "`{\"code\",\"message\",\"status\",\"hint\"?,\"details\"?}`" + `: ` + "`code`" + ` is stable, ` + "`message`" + ` is for people, ` + "`details`" + ` (` + "`[{\"type\",\"msg\",\"loc\"}]`" + `) name the members
  that are not valid. 429 and 503 have ` + "`Retry-After`" + ` where a repeat makes sense. When each code is answered is in [errors.md](errors.md).
- Every bearer route counts on ` + "`bearer.token`" + ` (60 a minute and token unless configured otherwise), and answers ` + "`RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset`" + `.
  What each limit allows is in [middleware.md](../specs/v1.0/server/middleware.md#rate-limits).
- Every GET answers HEAD too, unless it streams. Nothing redirects.
- *EE*: the Enterprise Edition alone has it; elsewhere it is 404 ` + "`not_found`" + `.

`

const apiEvents = `
## Events of a run

A stream is ` + "`text/event-stream`" + ` in UTF-8. An event is ` + "`data: `" + ` with one JSON object, and a blank line; its name is the object's member ` + "`event`" + `, and ` + "`task_id`" + ` is in it once the
runtime has named one. The last event has its blank line too. What is silent for 10 s has ` + "`event: ping`" + `, without data. Names that are not here go through unchanged: skip
what you do not know.

The last event is ` + "`message_end`, `workflow_finished`, `workflow_paused`, `human_input_required` or `error`" + `: a stream without one of them broke off on its way, and its run counts as
failed. A workflow that goes on is followed anew by ` + "`GET /apps/{app}/tasks/{run}/events`" + `, which replays what is over in one ` + "`workflow_finished`" + `. Chat modes are ` + "`chat`, `agent-chat`" + `
and ` + "`advanced-chat`" + `.

| Event | In modes | What a reader needs of it |
| --- | --- | --- |
| ` + "`message`, `agent_message`" + ` | chat modes, completion | ` + "`answer`: a piece of the answer, to be appended; `id`, `message_id`, `conversation_id`, `created_at`" + ` |
| ` + "`message_replace`" + ` | chat modes | ` + "`answer`" + `: in place of all pieces so far |
| ` + "`message_file`" + ` | chat modes | ` + "`id`, `type`, `url`" + ` of a file |
| ` + "`message_end`" + ` | chat modes, completion | the end; ` + "`metadata`" + ` with ` + "`usage`" + ` |
| ` + "`agent_thought`, `agent_log`" + ` | agent-chat, advanced-chat | ` + "`thought`" + `; what the agent does |
| ` + "`tts_message`, `tts_message_end`" + ` | chat modes, completion | ` + "`audio`" + ` in base64 |
| ` + "`workflow_started`" + ` | workflow, advanced-chat | ` + "`workflow_run_id`" + `: what the run is followed by |
| ` + "`node_started`, `node_retry`, `node_finished`, `iteration_started`, `iteration_next`, `iteration_completed`, `loop_started`, `loop_next`, `loop_completed`" + ` | workflow, advanced-chat | ` + "`data`" + `: how far the run has come |
| ` + "`text_chunk`, `text_replace`" + ` | workflow | ` + "`data.text`" + ` |
| ` + "`workflow_finished`" + ` | workflow, advanced-chat | ` + "`data.status`" + ` (` + "`succeeded`, `failed`, `stopped`" + `), ` + "`data.outputs`, `data.error`" + `; the end of a workflow. A run that failed has this event and no ` + "`error`" + ` |
| ` + "`human_input_required`" + ` | workflow, advanced-chat | the run waits for somebody: ` + "`workflow_run_id`, `data.form_token`" + ` (may be null), ` + "`data.form_content`, `data.inputs`, `data.actions`, `data.expiration_time`" + ` |
| ` + "`human_input_form_filled`, `human_input_form_timeout`" + ` | workflow, advanced-chat | what became of the form |
| ` + "`workflow_paused`" + ` | workflow, advanced-chat | nothing; the stream may end |
| ` + "`error`" + ` | all | ` + "`code`, `status` (a number), `message`" + `, as a failure's: the run failed, or its caller's access ended; always the last |
`

// typeOf says in words what a schema takes.
func (p *apiPage) typeOf(s *openapi.Schema) string {
	link := func(name string) string { return "[" + name + "](#" + slug(name) + ")" }
	if s.Ref != "" {
		return link(nameOf(s.Ref))
	}
	if len(s.OneOf) > 0 {
		var of []string
		for _, one := range s.OneOf {
			of = append(of, p.typeOf(one))
		}
		return strings.Join(of, " or ")
	}
	var kinds []string
	switch kind := s.Type.(type) {
	case nil:
		return "anything"
	case string:
		kinds = []string{kind}
	case []any:
		for _, k := range kind {
			kinds = append(kinds, fmt.Sprint(k))
		}
	}
	if s.ContentMediaType != "" {
		return "a file"
	}
	text := strings.Join(kinds, " or ")
	if kinds[0] == "array" && s.Items != nil {
		text = "list of " + p.typeOf(s.Items) + strings.TrimPrefix(text, "array")
	}
	return text + bounds(s)
}

func bounds(s *openapi.Schema) string {
	var more []string
	say := func(format string, v *int) {
		if v != nil {
			more = append(more, fmt.Sprintf(format, *v))
		}
	}
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			if v != nil {
				values = append(values, fmt.Sprintf("`%v`", v))
			}
		}
		more = append(more, strings.Join(values, " "))
	}
	if s.Format != "" {
		more = append(more, s.Format)
	}
	if s.Pattern != "" {
		more = append(more, "`"+strings.ReplaceAll(s.Pattern, "|", `\|`)+"`")
	}
	if s.MaxLength == nil && s.MinLength != nil && *s.MinLength == 1 {
		more = append(more, "not empty")
	} else {
		say("from %d characters", s.MinLength)
	}
	say("at most %d characters", s.MaxLength)
	say("from %d", s.Minimum)
	say("to %d", s.Maximum)
	if s.Default != nil {
		more = append(more, fmt.Sprintf("default `%v`", s.Default))
	}
	if len(more) == 0 {
		return ""
	}
	return ": " + strings.Join(more, ", ")
}

// pathValues are what the examples put into paths and queries.
var pathValues = map[string]string{
	appParam: appSample.ID, workspaceParam: sampleWorkspace, "member": sampleMember, "id": sampleSession, "task": "c3800678-a077-43df-a102-53f23ed20b88",
	"run": "5c1f3b9e-2c0a-4f6b-9a55-4b3f7c7a1d2e", "token": "cNVTs3P2rY5Ja", "conversation": "45701982-8118-4bc5-8e9b-64562b4555f2", "import": "0197d0c8-3f00-7000-8000-000000000006",
	"workspace_id": sampleWorkspace, "user_code": sampleUserCode,
}

// curl writes the request of the example as somebody types it.
func (p *apiPage) curl(r row, op *openapi.Operation) string {
	words := []string{"curl"}
	if r.streams() {
		words[0] += " -N"
	}
	if r.method != http.MethodGet && (r.method != http.MethodPost || len(r.media) == 0) {
		words[0] += " -X " + r.method
	}
	path, query := template(r.path), ""
	for _, q := range op.Parameters {
		value := pathValues[q.Name]
		if q.Name == "id" && strings.Contains(path, "/apps/") {
			value = appSample.ID
		}
		if value == "" && q.Required {
			p.t.Errorf("%s: no example of %s (pathValues)", heading(r), q.Name)
		}
		if q.In == "path" {
			path = strings.Replace(path, "{"+q.Name+"}", value, 1)
		} else if q.Required || value != "" && r.caller == cookieRead {
			query += "?" + q.Name + "=" + value
		}
	}
	words[0] += ` "$HOST` + path + query + `"`
	switch r.caller {
	case bearer:
		words = append(words, `-H "Authorization: Bearer $TOKEN"`)
	case cookieRead:
		words = append(words, "-b cookies.txt")
	case cookieWrite, cookieLoose:
		words = append(words, `-b cookies.txt -H "X-CSRF-Token: $CSRF"`)
	case client:
		words = append(words, `-u "$CLIENT_ID:$CLIENT_SECRET"`)
	case signIn:
		words = append(words, "-c cookies.txt")
	}
	if op.Body != nil {
		switch r.media[0] {
		case json:
			words = append(words, "-H 'Content-Type: application/json'", "-d '"+string(p.examples.Paths[template(r.path)][strings.ToLower(r.method)].RequestBody.Content[json].Example)+"'")
		case parts:
			words = append(words, "-F 'file=@notes.txt;type=text/plain'")
		default:
			values := op.Body.Content[r.media[0]].Example.(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(values)) {
				words = append(words, fmt.Sprintf("--data-urlencode '%s=%v'", name, values[name]))
			}
		}
	}
	return strings.Join(words, " \\\n  ")
}
