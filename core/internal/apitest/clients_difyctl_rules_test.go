// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// The reader must find what the client stumbles over: a suite read by one that does not
// would prove nothing.
func TestTheReaderOfDifyctl(t *testing.T) {
	const body = `{"code":"bad_request","message":"m","status":400`
	answer := func(status int, body string, headers ...string) apitest.Answer {
		h := http.Header{}
		if len(headers) == 0 {
			h.Set("Content-Type", "application/json")
		}
		for i := 0; i+1 < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return apitest.Answer{Status: status, Header: h, Body: body}
	}
	for name, c := range map[string]struct {
		method string
		answer apitest.Answer
		exit   int
		code   string
		said   string
		crash  bool
	}{
		"JSON":                        {answer: answer(200, `{"data":[]}`)},
		"JSON with a charset":         {answer: answer(200, `{}`, "Content-Type", "application/json; charset=utf-8")},
		"no content type":             {answer: answer(200, `{}`, "X", "y")},
		"201":                         {answer: answer(201, `{}`)},
		"HTML":                        {answer: answer(200, `<p>`, "Content-Type", "text/html"), exit: 1, crash: true},
		"JSON by another name":        {answer: answer(200, `{}`, "Content-Type", "application/vnd.api+json"), exit: 1, crash: true},
		"a Content-Disposition":       {answer: answer(200, `{}`, "Content-Type", "application/json", "Content-Disposition", "inline"), exit: 1, crash: true},
		"nothing on GET":              {answer: answer(200, ``), exit: 1, crash: true},
		"nothing on DELETE":           {method: "DELETE", answer: answer(204, ``, "X", "y")},
		"no JSON":                     {answer: answer(200, `{`), exit: 1, code: "invalid_json"},
		"a null page":                 {answer: answer(200, `{"data":null}`), exit: 1, crash: true},
		"null workspaces":             {answer: answer(200, `{"workspaces":null}`), exit: 1, crash: true},
		"null dependencies":           {answer: answer(200, `{"leaked_dependencies":null}`), exit: 1, crash: true},
		"null actions":                {answer: answer(200, `{"user_actions":null}`), exit: 1, crash: true},
		"members that nobody knows":   {answer: answer(200, `{"data":[],"more":{"data":null}}`)},
		"a redirect":                  {answer: answer(302, ``), exit: 1, crash: true},
		"400":                         {answer: answer(400, body+`}`), exit: 1, code: "server_4xx_other", said: "bad_request"},
		"401":                         {answer: answer(401, body+`}`), exit: 4, code: "auth_expired", said: "bad_request"},
		"403":                         {answer: answer(403, body+`}`), exit: 1, code: "server_4xx_other", said: "bad_request"},
		"404":                         {answer: answer(404, body+`}`), exit: 1, code: "server_4xx_other", said: "bad_request"},
		"409":                         {answer: answer(409, body+`}`), exit: 1, code: "server_4xx_other", said: "bad_request"},
		"422":                         {answer: answer(422, body+`}`), exit: 1, code: "server_4xx_other", said: "bad_request"},
		"429":                         {answer: answer(429, body+`}`), exit: 7, code: "rate_limited", said: "bad_request"},
		"500":                         {answer: answer(500, body+`}`), exit: 1, code: "server_5xx", said: "bad_request"},
		"503":                         {answer: answer(503, body+`}`), exit: 1, code: "server_5xx", said: "bad_request"},
		"a string beside":             {answer: answer(400, body+`,"error":"x"}`), exit: 1, code: "server_4xx_other", said: "bad_request"},
		"a hint":                      {answer: answer(400, body+`,"hint":"h","details":[{"type":"t","msg":"m","loc":["a",1]},{"type":"t","msg":"m"}]}`), exit: 1, code: "server_4xx_other", said: "bad_request"},
		"nulls":                       {answer: answer(400, body+`,"hint":null,"details":null}`), exit: 1, code: "server_4xx_other", said: "bad_request"},
		"a number as hint":            {answer: answer(400, body+`,"hint":1}`), exit: 1, code: "server_4xx_other"},
		"a detail without type":       {answer: answer(400, body+`,"details":[{"msg":"m"}]}`), exit: 1, code: "server_4xx_other"},
		"a detail with a null msg":    {answer: answer(400, body+`,"details":[{"type":"t","msg":null}]}`), exit: 1, code: "server_4xx_other"},
		"a place that is a fraction":  {answer: answer(400, body+`,"details":[{"type":"t","msg":"m","loc":[1.5]}]}`), exit: 1, code: "server_4xx_other"},
		"a place that is none":        {answer: answer(400, body+`,"details":[{"type":"t","msg":"m","loc":"a"}]}`), exit: 1, code: "server_4xx_other"},
		"details that are no list":    {answer: answer(400, body+`,"details":{}}`), exit: 1, code: "server_4xx_other"},
		"status as a string":          {answer: answer(400, `{"code":"c","message":"m","status":"400"}`), exit: 1, code: "server_4xx_other"},
		"no status":                   {answer: answer(400, `{"code":"c","message":"m"}`), exit: 1, code: "server_4xx_other"},
		"no message":                  {answer: answer(400, `{"code":"c","status":400}`), exit: 1, code: "server_4xx_other"},
		"code is null":                {answer: answer(400, `{"code":null,"message":"m","status":400}`), exit: 1, code: "server_4xx_other"},
		"a nested error":              {answer: answer(400, `{"error":{"code":"c"}}`), exit: 1, code: "server_4xx_other"},
		"a page of somebody's proxy":  {answer: answer(502, `<html>`, "Content-Type", "text/html"), exit: 1, code: "server_5xx"},
		"a limit of somebody's proxy": {answer: answer(429, ``), exit: 7, code: "rate_limited"},
	} {
		t.Run(name, func(t *testing.T) {
			method := c.method
			if method == "" {
				method = http.MethodGet
			}
			if v := dcRead(method, c.answer); v.exit != c.exit || v.code != c.code || v.said != c.said || (v.crash != "") != c.crash {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestTheShapesOfDifyctl(t *testing.T) {
	row := dcShape{"id": dcFilled, "n": dcInt, "b": dcBool, "note": dcMaybe(dcString), "label": dcNeverNull(dcString), "rows": dcList(dcShape{"name": dcString}), "role": dcOneOf("a", "b")}
	good := map[string]any{"id": "x", "n": 1.0, "b": true, "rows": []any{map[string]any{"name": ""}}, "role": "a"}
	if wrong := row.wrong(good); wrong != "" {
		t.Fatal(wrong)
	}
	for name, change := range map[string]any{"id": "", "n": 1.5, "b": "true", "note": 1.0, "label": nil, "rows": nil, "role": "c"} {
		bad := map[string]any{}
		for k, v := range good {
			bad[k] = v
		}
		bad[name] = change
		if wrong := row.wrong(bad); !strings.HasPrefix(wrong, "."+name+" ") {
			t.Errorf("%s of %v passes: %q", name, change, wrong)
		}
	}
	if wrong := row.wrong(nil); wrong == "" {
		t.Error("null passes for an object")
	}
}

// The stream reader, event by event.
func TestTheStreamReaderOfDifyctl(t *testing.T) {
	const done = "data: {\"event\":\"message_end\",\"metadata\":{}}\n\n"
	hello := "data: {\"event\":\"message\",\"id\":\"i\",\"conversation_id\":\"c\",\"message_id\":\"m\",\"task_id\":\"t\",\"created_at\":1,\"answer\":\"Hello\"}\n\n"
	pause := `{"event":"human_input_required","task_id":"t","workflow_run_id":"r","data":{"form_id":"f","node_id":"n","node_title":"N","form_content":"c","inputs":null,"actions":[{"id":"go"}],"display_in_ui":true,"form_token":null,"resolved_default_values":{},"expiration_time":1}}`
	for name, c := range map[string]struct {
		mode, sent string
		answer     string
		exit       int
		code       string
		wrong      bool
		paused     bool
	}{
		"LF":                            {"chat", hello + done, "Hello", 0, "", false, false},
		"CRLF":                          {"chat", strings.ReplaceAll(hello+done, "\n", "\r\n"), "Hello", 0, "", false, false},
		"no blank after the colon":      {"chat", "data:{\"event\":\"message\",\"answer\":\"x\"}\n\n", "x", 0, "", false, false},
		"two lines of data":             {"chat", "data: {\"event\":\"message\",\ndata: \"answer\":\"x\"}\n\n", "x", 0, "", false, false},
		"the event line goes before":    {"chat", "event: agent_message\ndata: {\"event\":\"message\",\"answer\":\"x\"}\n\n", "x", 0, "", false, false},
		"comments and pings":            {"chat", ": x\n\nevent: ping\n\n" + hello, "Hello", 0, "", false, false},
		"the last without blank line":   {"chat", hello + "data: {\"event\":\"message\",\"answer\":\"lost\"}\n", "Hello", 0, "", false, false},
		"no JSON":                       {"chat", "data: x\n\n", "", 1, "invalid_json", false, false},
		"agent messages":                {"agent-chat", "data: {\"event\":\"agent_message\",\"answer\":\"x\"}\n\n", "x", 0, "", false, false},
		"completion reads no agent":     {"completion", "data: {\"event\":\"agent_message\",\"answer\":\"x\"}\n\n", "", 0, "", false, false},
		"an answer that is no string":   {"chat", "data: {\"event\":\"message\",\"answer\":1}\n\n", "", 0, "", true, false},
		"failed still exits 0":          {"workflow", "data: {\"event\":\"workflow_finished\",\"data\":{\"status\":\"failed\",\"outputs\":null}}\n\n", "", 0, "", false, false},
		"a pause":                       {"workflow", "data: " + pause + "\n\n" + hello, "", 0, "", false, true},
		"a pause without its form":      {"workflow", "data: {\"event\":\"human_input_required\",\"data\":{}}\n\n", "", 0, "", true, true},
		"paused, and no form":           {"workflow", "data: {\"event\":\"workflow_paused\"}\n\n", "", 1, "workflow_paused", false, false},
		"an error of ours":              {"chat", hello + "data: {\"event\":\"error\",\"code\":\"c\",\"status\":400,\"message\":\"m\"}\n\n", "Hello", 1, "server_4xx_other", false, false},
		"an error of 401":               {"chat", "data: {\"event\":\"error\",\"code\":\"c\",\"status\":401,\"message\":\"m\"}\n\n", "", 1, "server_4xx_other", false, false},
		"an error of the runtime":       {"chat", "data: {\"event\":\"error\",\"code\":\"c\",\"status\":502,\"message\":\"m\"}\n\n", "", 1, "server_5xx", false, false},
		"an error whose status is text": {"chat", "data: {\"event\":\"error\",\"status\":\"502\",\"message\":\"m\"}\n\n", "", 1, "server_5xx", true, false},
		"an empty stream":               {"chat", "", "", 0, "", false, false},
		"JSON in a stream's place":      {"chat", "{\"answer\":\"x\"}", "", 0, "", false, false},
		"an error of 429":               {"chat", "data: {\"event\":\"error\",\"code\":\"c\",\"status\":429,\"message\":\"m\"}\n\n", "", 1, "server_4xx_other", false, false},
		"an error of 499":               {"chat", "data: {\"event\":\"error\",\"status\":499,\"message\":\"m\"}\n\n", "", 1, "server_4xx_other", false, false},
		"an error of 0":                 {"chat", "data: {\"event\":\"error\",\"status\":0,\"message\":\"m\"}\n\n", "", 1, "server_5xx", false, false},
		"nothing follows an error":      {"chat", "data: {\"event\":\"error\",\"status\":502,\"message\":\"m\"}\n\n" + hello, "", 1, "server_5xx", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := dcFollow(c.mode, c.sent)
			if r.answer != c.answer || r.exit != c.exit || r.code != c.code || (r.wrong != "") != c.wrong || (r.pause != nil) != c.paused {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("a message that is JSON is unwrapped", func(t *testing.T) {
		for message, want := range map[string]string{`m`: "m", `{\"error_type\":\"X\",\"args\":{\"description\":\"no\"}}`: "no", `{\"other\":1}`: `{"other":1}`} {
			if r := dcFollow("chat", "data: {\"event\":\"error\",\"status\":400,\"message\":\""+message+"\"}\n\n"); r.said != want {
				t.Errorf("%s is said as %q", message, r.said)
			}
		}
	})
}
