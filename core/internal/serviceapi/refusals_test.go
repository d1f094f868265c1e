// SPDX-License-Identifier: Apache-2.0

package serviceapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/runtimetest"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	status := runtimetest.Status
	answer := runtimetest.Answer
	retry := func(value string) runtimetest.Step { return runtimetest.Header("Retry-After", value) }
	every := []string{"parameters", "info", "stream", "block", "stop", "events", "outcome", "upload", "form", "submit", "conversation", "export", "lacks", "import", "acknowledge"}
	described := []string{"export", "lacks", "import", "acknowledge"}
	except := func(names ...string) (list []string) {
		for _, n := range every {
			if !strings.Contains(strings.Join(names, " "), n) {
				list = append(list, n)
			}
		}
		return list
	}
	for _, tc := range []struct {
		name   string
		calls  []string
		script runtimetest.Script
		want   *fault.Error
		text   string // empty is the sentinel's
		retry  time.Duration
	}{
		{"400 app_unavailable", except("parameters"), runtimetest.Script{status(400, "app_unavailable", "App unavailable")}, run.ErrAppUnavailable, "App unavailable", 0},
		{"400 app_unavailable of parameters", []string{"parameters"}, runtimetest.Script{status(400, "app_unavailable", "App unavailable")}, run.ErrNotConfigured, "", 0},
		{"400 conversation_completed", every, runtimetest.Script{status(400, "conversation_completed", "Over")}, run.ErrConversationOver, "Over", 0},
		{"400 provider_not_initialize", every, runtimetest.Script{status(400, "provider_not_initialize", "No key")}, run.ErrNoProvider, "No key", 0},
		{"400 provider_quota_exceeded", every, runtimetest.Script{status(400, "provider_quota_exceeded", "Used up")}, run.ErrProviderQuota, "Used up", 0},
		{"400 model_currently_not_support", every, runtimetest.Script{status(400, "model_currently_not_support", "No model")}, run.ErrModel, "No model", 0},
		{"400 completion_request_error", every, runtimetest.Script{status(400, "completion_request_error", "It failed")}, run.ErrCompletion, "It failed", 0},
		{"400 invalid_form_data", every, runtimetest.Script{status(400, "invalid_form_data", "No such action")}, run.ErrFormData, "No such action", 0},
		{"400 no_file_uploaded", every, runtimetest.Script{status(400, "no_file_uploaded", "No file")}, run.ErrNoFile, "No file", 0},
		{"400 too_many_files", every, runtimetest.Script{status(400, "too_many_files", "One file")}, run.ErrManyFiles, "One file", 0},
		{"400 filename_not_exists", every, runtimetest.Script{status(400, "filename_not_exists", "No name")}, run.ErrNoFileName, "No name", 0},
		{"400 file_extension_blocked", every, runtimetest.Script{status(400, "file_extension_blocked", "Blocked")}, run.ErrFileBlocked, "Blocked", 0},
		{"400 with another code", every, runtimetest.Script{status(400, "invalid_param", "age in input form must be a valid number")}, run.ErrRefused, "age in input form must be a valid number", 0},
		{"400 with a code of ours that is no runtime's", every, runtimetest.Script{status(400, "invalid_token", "Sign in again")}, run.ErrRefused, "Sign in again", 0},
		{"400 without a message", every, runtimetest.Script{answer(400, `{"code":"completion_request_error"}`)}, run.ErrCompletion, "", 0},
		{"400 with a message that is no text", every, runtimetest.Script{answer(400, `{"code":"invalid_param","message":{"inputs":"needed"}}`)}, run.ErrRefused, "", 0},
		{"400 with a code that is no text", every, runtimetest.Script{answer(400, `{"code":["app_unavailable"],"message":"Hm"}`)}, run.ErrRefused, "Hm", 0},
		{"400 in HTML", every, runtimetest.Script{answer(400, `<h1>Bad Request</h1>`)}, run.ErrRefused, "", 0},
		{"400 without a body", every, runtimetest.Script{answer(400, ``)}, run.ErrRefused, "", 0},
		{"400 null", every, runtimetest.Script{answer(400, `null`)}, run.ErrRefused, "", 0},
		{"400 without an end", every, runtimetest.Script{runtimetest.Header("Content-Length", "100000000"), answer(400, `{"code":"app_unavailable"`)}, run.ErrRefused, "", 0},
		{"400 of 100 KiB", every, runtimetest.Script{status(400, "app_unavailable", strings.Repeat("x", 100<<10))}, run.ErrRefused, "", 0},
		{"400 with 500 characters", every, runtimetest.Script{status(400, "x", strings.Repeat("é", 500))}, run.ErrRefused, strings.Repeat("é", 500), 0},
		{"400 with more", every, runtimetest.Script{status(400, "x", strings.Repeat("世", 501))}, run.ErrRefused, strings.Repeat("世", 500), 0},
		{"400 with control characters", every, runtimetest.Script{status(400, "x", " \x00a\x1b[31mb\r\nc\u0085\u202ed\u2066\u2028e\u200f\t")}, run.ErrRefused, "a[31mbcde", 0},
		{"400 with joined emoji", every, runtimetest.Script{status(400, "x", "👩\u200d👧")}, run.ErrRefused, "👩\u200d👧", 0},
		{"400 with nothing but control characters", every, runtimetest.Script{status(400, "x", "\x00\x01\n")}, run.ErrRefused, "", 0},
		{"400 that is no UTF-8", every, runtimetest.Script{answer(400, "{\"code\":\"app_unavailable\",\"message\":\"a\xff\"}")}, run.ErrRefused, "", 0},
		{"400 with the app's key", every, runtimetest.Script{status(400, "x", "The key "+key+" is wrong")}, run.ErrRefused, "", 0},
		{"400 with the app's key where it is cut", every, runtimetest.Script{status(400, "x", strings.Repeat("x", 495)+key)}, run.ErrRefused, "", 0},
		{"400 with the app's key in pieces", every, runtimetest.Script{status(400, "x", key[:5]+"\u200b"+key[5:])}, run.ErrRefused, "", 0},
		{"400 with the runtime's address", every, runtimetest.Script{status(400, "x", "http://127.0.0.1:80/v1 says no")}, run.ErrRefused, "", 0},

		{"401", every, runtimetest.Script{status(401, "unauthorized", "Access token is invalid "+key)}, run.ErrKeyRejected, "", 0},
		{"403", every, runtimetest.Script{status(403, "forbidden", key)}, run.ErrKeyRejected, "", 0},

		{"404 about a conversation", []string{"stream", "block", "conversation"}, runtimetest.Script{status(404, "not_found", "Conversation Not Exists.")}, run.ErrNoConversation, "", 0},
		{"404 by its code", []string{"stream", "block"}, runtimetest.Script{status(404, "conversation_not_found", "No")}, run.ErrNoConversation, "", 0},
		{"404 about a workflow", []string{"stream", "block", "stop", "events", "outcome"}, runtimetest.Script{status(404, "not_found", "Workflow not found")}, run.ErrNoWorkflowRun, "", 0},
		{"404 of a workflow run", []string{"events", "outcome"}, runtimetest.Script{status(404, "not_found", "Not found")}, run.ErrNoWorkflowRun, "", 0},
		{"404 of a conversation", []string{"conversation"}, runtimetest.Script{status(404, "not_found", "Not found")}, run.ErrNoConversation, "", 0},
		{"404 of a form", []string{"form", "submit"}, runtimetest.Script{status(404, "not_found", "Form not found")}, run.ErrFormNotFound, "", 0},
		{"404 about something else", []string{"parameters", "stream", "block", "stop", "upload"}, runtimetest.Script{status(404, "not_found", "No such app")}, run.ErrUnavailable, "", 0},
		{"404 of an import", []string{"acknowledge"}, runtimetest.Script{status(404, "not_found", "Not found")}, run.ErrNoImport, "", 0},
		{"404 of a version", []string{"export"}, runtimetest.Script{status(404, "not_found", "Workflow not found")}, run.ErrNoWorkflowRun, "", 0},
		{"API-25 404 of forms, which nobody said that it has", []string{"form", "submit"}, runtimetest.Script{status(404, "not_found", "The requested URL was not found on the server.")}, run.ErrUnsupported, "", 0},
		{"404 of a route that it has not", except("form", "submit"), runtimetest.Script{status(404, "not_found", "The requested URL was not found on the server. If you entered the URL manually …")}, run.ErrUnavailable, "", 0},
		{"404 in HTML", every, runtimetest.Script{answer(404, "<h1>conversation workflow</h1>")}, run.ErrUnavailable, "", 0},

		{"412 submitted", every, runtimetest.Script{status(412, "human_input_form_submitted", "x")}, run.ErrFormSubmitted, "", 0},
		{"412 expired", every, runtimetest.Script{status(412, "human_input_form_expired", "x")}, run.ErrFormExpired, "", 0},
		{"412 otherwise", every, runtimetest.Script{status(412, "precondition_failed", "x")}, run.ErrUnavailable, "", 0},
		{"413", every, runtimetest.Script{status(413, "file_too_large", "x")}, run.ErrFileTooLarge, "", 0},
		{"415", every, runtimetest.Script{status(415, "unsupported_file_type", "x")}, run.ErrFileType, "", 0},

		{"429", every, runtimetest.Script{status(429, "rate_limit_error", "Too many")}, run.ErrQuota, "", 0},
		{"429 with seconds", every, runtimetest.Script{retry("7"), status(429, "x", "y")}, run.ErrQuota, "", 7 * time.Second},
		{"429 with a date", every, runtimetest.Script{retry(today.Add(90 * time.Second).UTC().Format(http.TimeFormat)), status(429, "x", "y")}, run.ErrQuota, "", 90 * time.Second},
		{"429 with a date that is over", every, runtimetest.Script{retry(today.Add(-time.Hour).UTC().Format(http.TimeFormat)), status(429, "x", "y")}, run.ErrQuota, "", 0},
		{"429 with a day", every, runtimetest.Script{retry("86400"), status(429, "x", "y")}, run.ErrQuota, "", time.Hour},
		{"429 with ages", every, runtimetest.Script{retry("99999999999999999999999999"), status(429, "x", "y")}, run.ErrQuota, "", time.Hour},
		{"429 with less than nothing", every, runtimetest.Script{retry("-5"), status(429, "x", "y")}, run.ErrQuota, "", 0},
		{"429 with a word", every, runtimetest.Script{retry("soon"), status(429, "x", "y")}, run.ErrQuota, "", 0},

		{"500", every, runtimetest.Script{status(500, "internal_server_error", key+" http://127.0.0.1/")}, run.ErrUnavailable, "", 0},
		{"502 in HTML", every, runtimetest.Script{answer(502, "<h1>Bad Gateway</h1>")}, run.ErrUnavailable, "", 0},
		{"503", every, runtimetest.Script{retry("7"), status(503, "x", "y")}, run.ErrUnavailable, "", 0},
		{"504", every, runtimetest.Script{status(504, "x", "y")}, run.ErrUnavailable, "", 0},
		{"405", every, runtimetest.Script{status(405, "x", "y")}, run.ErrUnavailable, "", 0},
		{"422", every, runtimetest.Script{status(422, "x", "y")}, run.ErrUnavailable, "", 0},
		{"202", except("export", "lacks", "import", "acknowledge"), runtimetest.Script{answer(202, "{}")}, run.ErrUnavailable, "", 0},
		{"API-32 302", every, runtimetest.Script{runtimetest.Redirect(302, "/v1/parameters")}, run.ErrUnavailable, "", 0},
		{"API-32 307 elsewhere", every, runtimetest.Script{runtimetest.Redirect(307, "http://localhost:1/")}, run.ErrUnavailable, "", 0},
		{"no JSON", []string{"parameters", "info", "block", "outcome", "upload", "form"}, runtimetest.Script{answer(200, "<h1>It works</h1>")}, run.ErrUnavailable, "", 0},
		{"JSON that is no object", []string{"parameters", "info", "block", "outcome", "upload", "form"}, runtimetest.Script{answer(200, `[{}]`)}, run.ErrUnavailable, "", 0},
		{"nothing", []string{"parameters", "info", "block", "outcome", "upload", "form"}, runtimetest.Script{answer(200, ``)}, run.ErrUnavailable, "", 0},
		{"JSON where events belong", []string{"stream", "events"}, runtimetest.Script{answer(200, `{"event":"message"}`)}, run.ErrUnavailable, "", 0},
		{"events that say they are JSON", []string{"stream", "events"}, runtimetest.Script{answer(200, "data: {\"event\":\"message_end\"}\n\n")}, run.ErrUnavailable, "", 0},
		{"events of another status", []string{"stream", "events"}, runtimetest.Script{runtimetest.Header("Content-Type", "text/event-stream"), answer(202, "data: {\"event\":\"message_end\"}\n\n")}, run.ErrUnavailable, "", 0},
		{"events where JSON belongs", []string{"parameters", "info", "block", "outcome", "upload", "form"}, runtimetest.Script{runtimetest.Begin(), runtimetest.Event(`{}`)}, run.ErrUnavailable, "", 0},
		{"an encoded answer", every, runtimetest.Script{runtimetest.Header("Content-Encoding", "gzip"), answer(200, `{}`)}, run.ErrUnavailable, "", 0},
		{"an answer that breaks off", every, runtimetest.Script{runtimetest.Raw(`{"a":`), runtimetest.Cut()}, run.ErrUnavailable, "", 0},
		{"an endless answer", every, runtimetest.Script{runtimetest.Endless("x")}, run.ErrUnavailable, "", 0},
		{"no answer", every, runtimetest.Script{runtimetest.Cut()}, run.ErrUnavailable, "", 0},
		{"no HTTP", every, runtimetest.Script{runtimetest.Wire("SSH-2.0 " + key + "\r\n")}, run.ErrUnavailable, "", 0},
		{"a broken header", every, runtimetest.Script{runtimetest.Wire("HTTP/1.1 200 OK\r\n" + key + "\r\n\r\n")}, run.ErrUnavailable, "", 0},
		{"a head of 100 KiB", every, runtimetest.Script{runtimetest.Wire("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n")}, run.ErrUnavailable, "", 0},
		{"no JSON of a description", described, runtimetest.Script{answer(200, "<h1>It works</h1>")}, run.ErrUnavailable, "", 0},
		{"no object of one", described, runtimetest.Script{answer(200, `[{}]`)}, run.ErrUnavailable, "", 0},
		{"nothing of one", described, runtimetest.Script{answer(200, ``)}, run.ErrUnavailable, "", 0},
	} {
		t.Run("API-20 "+tc.name, func(t *testing.T) {
			rt, c := runtime(t, limits{})
			at := target(rt, apps.Chat)
			text := tc.text
			if text == "" {
				text = tc.want.Text()
			}
			for _, name := range tc.calls {
				rt.On(calls[name].route, tc.script)
				err := calls[name].do(t, c, at)
				if f := fault.Of(err); !errors.Is(err, tc.want) || f.Code() != tc.want.Code() || f.Kind() != tc.want.Kind() || f.Text() != text || f.Retry() != tc.retry {
					t.Errorf("%s: %v: %q after %v", name, err, f.Text(), f.Retry())
				}
				quiet(t, err, at)
			}
		})
	}
}
