// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

var errNoAnswer = errors.New("the runtime's answer is no JSON object")

// asked sends a request and reads what comes back. absent is what a 404 means, nil where it
// tells by its words.
func (c *Client) asked(ctx context.Context, cancel context.CancelCauseFunc, t run.Target, req *http.Request, absent *fault.Error) (json.RawMessage, error) {
	answer, err := c.Egress.Do(req)
	if err != nil {
		return nil, failure(ctx, t, err)
	}
	defer func() { _ = answer.Body.Close() }()
	timer := time.AfterFunc(c.Answer, func() { cancel(errSlow) })
	defer timer.Stop()
	switch answer.StatusCode {
	case http.StatusNoContent:
		return nil, nil
	case http.StatusOK, http.StatusCreated:
	default:
		return nil, c.refusedBy(t, answer, absent)
	}
	content, err := within(answer.Body, answer.ContentLength, maxAnswer)
	if err != nil {
		return nil, failure(ctx, t, err)
	}
	return content, nil
}

// refusedBy reads a refusal. One that does not end in time or is too long still has its status.
func (c *Client) refusedBy(t run.Target, answer *http.Response, absent *fault.Error) error {
	content, err := within(answer.Body, answer.ContentLength, maxRefusal)
	if err != nil {
		content = nil
	}
	return c.refused(t, answer.StatusCode, answer.Header, content, absent)
}

// object asks for a JSON object; absent is as for asked.
func (c *Client) object(ctx context.Context, t run.Target, absent *fault.Error, path string) (json.RawMessage, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := c.request(ctx, t, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	content, err := c.asked(ctx, cancel, t, req, absent)
	if err != nil {
		return nil, err
	}
	if absent != nil && string(bytes.TrimSpace(content)) == "null" {
		return nil, absent // some versions answer so of what is not there
	}
	return objectOf(content)
}

func objectOf(content []byte) (json.RawMessage, error) {
	var s scanner
	if !s.object(content) {
		return nil, run.ErrUnavailable.Because(errNoAnswer)
	}
	return content, nil
}

// done asks for something to be done; whatever a success says is nothing to us.
func (c *Client) done(ctx context.Context, t run.Target, absent *fault.Error, method, path string, members any) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := c.jsonRequest(ctx, t, method, path, members)
	if err != nil {
		return err
	}
	req, stop := c.sentWithin(req, cancel)
	defer stop()
	_, err = c.asked(ctx, cancel, t, req, absent)
	return err
}

// Parameters implements run.Runtime.
func (c *Client) Parameters(ctx context.Context, t run.Target) (json.RawMessage, error) {
	content, err := c.object(ctx, t, nil, "parameters")
	if errors.Is(err, run.ErrAppUnavailable) {
		return nil, run.ErrNotConfigured.Because(err)
	}
	return content, err
}

// Info gives the mode in which the runtime has the app, empty when it does not say.
func (c *Client) Info(ctx context.Context, t run.Target) (mode string, err error) {
	content, err := c.object(ctx, t, nil, "info")
	if err != nil {
		return "", err
	}
	var said struct {
		Mode string `json:"mode"`
	}
	_ = json.Unmarshal(content, &said) // a mode of another type is none
	return said.Mode, nil
}

// Block implements run.Runtime.
func (c *Client) Block(ctx context.Context, t run.Target, r run.Request) (json.RawMessage, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	whole := time.AfterFunc(c.Blocking, func() { cancel(errSlow) })
	defer whole.Stop()
	req, err := c.runRequest(ctx, t, r, "blocking")
	if err != nil {
		return nil, err
	}
	// The answer has no time of its own here: it may come as it is made.
	answer, err := c.Egress.Wait(req)
	if err != nil {
		return nil, failure(ctx, t, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, c.refusedBy(t, answer, nil)
	}
	content, err := within(answer.Body, answer.ContentLength, maxBlocking)
	if err != nil {
		return nil, failure(ctx, t, err)
	}
	return objectOf(content)
}

// Stop implements run.Runtime.
func (c *Client) Stop(ctx context.Context, t run.Target, taskID, user string) error {
	path, err := stopPath(t.Mode, taskID)
	if err == nil {
		err = known(user)
	}
	if err != nil {
		return err
	}
	return c.done(ctx, t, nil, http.MethodPost, path, named{user})
}

// named is the body that only says for whom.
type named struct {
	User string `json:"user"`
}

// Outcome implements run.Runtime.
func (c *Client) Outcome(ctx context.Context, t run.Target, workflowRunID string) (run.Outcome, error) {
	id, ok := segment(workflowRunID)
	if !ok {
		return run.Outcome{}, run.ErrNoWorkflowRun
	}
	content, err := c.object(ctx, t, run.ErrNoWorkflowRun, "workflows/run/"+id)
	if err != nil {
		return run.Outcome{}, err
	}
	return outcomeOf(content)
}

// Form implements run.Runtime.
func (c *Client) Form(ctx context.Context, t run.Target, formToken string) (json.RawMessage, error) {
	token, ok := segment(formToken)
	if !ok {
		return nil, run.ErrFormNotFound
	}
	return c.object(ctx, t, run.ErrFormNotFound, "form/human_input/"+token)
}

// Submit implements run.Runtime.
func (c *Client) Submit(ctx context.Context, t run.Target, formToken, user, action string, inputs json.RawMessage) error {
	token, ok := segment(formToken)
	if !ok {
		return run.ErrFormNotFound
	}
	if err := known(user); err != nil {
		return err
	}
	if len(inputs) == 0 {
		inputs = json.RawMessage("{}")
	}
	return c.done(ctx, t, run.ErrFormNotFound, http.MethodPost, "form/human_input/"+token, struct {
		Inputs json.RawMessage `json:"inputs"`
		Action string          `json:"action"`
		User   string          `json:"user"`
	}{inputs, action, user})
}

// DeleteConversation implements run.Runtime.
func (c *Client) DeleteConversation(ctx context.Context, t run.Target, conversationID, user string) error {
	id, ok := segment(conversationID)
	if !ok {
		return run.ErrNoConversation
	}
	if err := known(user); err != nil {
		return err
	}
	return c.done(ctx, t, run.ErrNoConversation, http.MethodDelete, "conversations/"+id, named{user})
}

// Events implements run.Runtime.
func (c *Client) Events(ctx context.Context, t run.Target, workflowRunID, user string, o run.EventOptions) (run.Stream, error) {
	id, ok := segment(workflowRunID)
	if !ok {
		return nil, run.ErrNoWorkflowRun
	}
	if err := known(user); err != nil {
		return nil, err
	}
	query := url.Values{
		"user": {user}, "include_state_snapshot": {strconv.FormatBool(o.Snapshot)}, "continue_on_pause": {strconv.FormatBool(o.ContinueOnPause)},
	}
	return c.stream(ctx, t, run.ErrNoWorkflowRun, func(ctx context.Context) (*http.Request, error) {
		return c.request(ctx, t, http.MethodGet, "workflow/"+id+"/events", query, nil)
	})
}

// Stream implements run.Runtime.
func (c *Client) Stream(ctx context.Context, t run.Target, r run.Request) (run.Stream, error) {
	return c.stream(ctx, t, nil, func(ctx context.Context) (*http.Request, error) { return c.runRequest(ctx, t, r, "streaming") })
}
