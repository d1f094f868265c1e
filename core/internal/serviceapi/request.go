// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

var errUser = errors.New("serviceapi: a user that run.UserOf did not make")

// request is a call before it is sent. The last element of path may be foreign.
func (c *Client) request(ctx context.Context, t run.Target, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	base, err := c.Egress.Base(t.URL)
	if err != nil {
		return nil, failure(ctx, t, err)
	}
	// Dify shows its base address with the version at its end.
	prefix := strings.TrimSuffix(strings.TrimRight(base.EscapedPath(), "/"), "/v1")
	address := base.Scheme + "://" + base.Host + prefix + "/v1/" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, run.ErrUnavailable.Because(errors.New("serviceapi: the address and the path make no request"))
	}
	if !t.Key.IsZero() {
		req.Header.Set("Authorization", "Bearer "+t.Key.Reveal())
	}
	return req, nil
}

// jsonRequest is request with a body of JSON.
func (c *Client) jsonRequest(ctx context.Context, t run.Target, method, path string, body any) (*http.Request, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fault.ErrInternal.Because(err)
	}
	req, err := c.request(ctx, t, method, path, nil, bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// sentWithin ends a call whose runtime has not taken the request for RUNTIME_IDLE_TIMEOUT:
// net/http gives time for a connection, and for an answer once all was sent. The caller
// calls stop.
func (c *Client) sentWithin(req *http.Request, cancel context.CancelCauseFunc) (out *http.Request, stop func() bool) {
	timer := time.AfterFunc(c.Idle, func() { cancel(errSlow) })
	timer.Stop()
	trace := &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { timer.Reset(c.Idle) },
		WroteRequest: func(httptrace.WroteRequestInfo) { timer.Stop() },
	}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), trace)), timer.Stop
}

// segment makes one element of a path of a foreign text, or nothing of one that some
// servers read as several, or as a step upwards.
func segment(s string) (string, bool) {
	if s == "" || s == "." || s == ".." || len(s) > 255 || strings.ContainsAny(s, `/\%?#;`) {
		return "", false
	}
	for _, c := range []byte(s) {
		if c < ' ' || c == 0x7f {
			return "", false
		}
	}
	return url.PathEscape(s), true
}

// known refuses a call in the name of what is no user of ours.
func known(user string) error {
	if !strings.HasPrefix(user, "u_") {
		return fault.ErrInternal.Because(errUser)
	}
	return nil
}

// body is a run as runtimes are asked for it.
type body struct {
	Inputs         json.RawMessage `json:"inputs"`
	Query          *string         `json:"query,omitempty"`
	Files          json.RawMessage `json:"files,omitempty"`
	ResponseMode   string          `json:"response_mode"`
	User           string          `json:"user"`
	ConversationID string          `json:"conversation_id,omitempty"`
	WorkflowID     string          `json:"workflow_id,omitempty"`
	AutoName       *bool           `json:"auto_generate_name,omitempty"`
}

// runRequest routes a run by the app's mode.
func (c *Client) runRequest(ctx context.Context, t run.Target, r run.Request, how string) (*http.Request, error) {
	if err := known(r.User); err != nil {
		return nil, err
	}
	b := body{Inputs: r.Inputs, Query: r.Query, Files: r.Files, ResponseMode: how, User: r.User}
	if len(b.Inputs) == 0 {
		b.Inputs = json.RawMessage("{}")
	}
	var path string
	switch {
	case t.Mode.Chats():
		path = "chat-messages"
		b.ConversationID, b.WorkflowID, b.AutoName = r.ConversationID, r.WorkflowID, &r.AutoName
	case t.Mode == apps.Completion:
		path = "completion-messages"
		if b.Query == nil {
			b.Query = new(string)
		}
	case t.Mode == apps.Workflow:
		path = "workflows/run"
		b.Query = nil
		if r.WorkflowID != "" {
			id, ok := segment(r.WorkflowID)
			if !ok {
				return nil, run.ErrRefused.Because(errors.New("serviceapi: a workflow_id that is none"))
			}
			path = "workflows/" + id + "/run"
		}
	default:
		return nil, run.ErrNotRunnable
	}
	return c.jsonRequest(ctx, t, http.MethodPost, path, b)
}

// stopPath is where a task is ended.
func stopPath(m apps.Mode, task string) (string, error) {
	id, ok := segment(task)
	switch {
	case !ok:
		return "", run.ErrRefused.Because(errors.New("serviceapi: a task id that is none"))
	case m.Chats():
		return "chat-messages/" + id + "/stop", nil
	case m == apps.Completion:
		return "completion-messages/" + id + "/stop", nil
	case m == apps.Workflow:
		return "workflows/tasks/" + id + "/stop", nil
	default:
		return "", run.ErrNotRunnable
	}
}
