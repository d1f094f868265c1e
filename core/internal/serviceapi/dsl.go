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
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// The routes of this file are none of Dify's Service API. They are what a runtime serves
// beside it that declares "dsl" (docs/specs/v1.0/server/apps.md, Import and export).

// maxExport bounds what is read of an export; a description that is longer could not be
// imported either.
const maxExport = 10 << 20

var _ run.DSL = (*Client)(nil)

var errShape = errors.New("the runtime's answer has not the members that it must have")

// Export implements run.DSL.
func (c *Client) Export(ctx context.Context, t run.Target, user string, o run.ExportOptions) (string, error) {
	query := url.Values{"include_secret": {strconv.FormatBool(o.Secrets)}}
	if o.WorkflowID != "" {
		query.Set("workflow_id", o.WorkflowID)
	}
	var said struct {
		Data *string `json:"data"`
	}
	if err := c.told(ctx, t, user, "apps/export", query, maxExport, &said); err != nil {
		return "", err
	}
	if said.Data == nil {
		return "", run.ErrUnavailable.Because(errShape)
	}
	return *said.Data, nil
}

// Dependencies implements run.DSL.
func (c *Client) Dependencies(ctx context.Context, t run.Target, user string) ([]json.RawMessage, error) {
	var said struct {
		Leaked json.RawMessage `json:"leaked_dependencies"`
	}
	if err := c.told(ctx, t, user, "apps/check-dependencies", url.Values{}, maxAnswer, &said); err != nil {
		return nil, err
	}
	list := []json.RawMessage{}
	if said.Leaked == nil || json.Unmarshal(said.Leaked, &list) != nil {
		return nil, run.ErrUnavailable.Because(errShape)
	}
	if list == nil { // null is how some languages write an empty list
		return []json.RawMessage{}, nil
	}
	for _, d := range list {
		var s scanner
		if !s.object(d) {
			return nil, run.ErrUnavailable.Because(errShape)
		}
	}
	return list, nil
}

// told asks for an object of at most so many bytes and reads it into into.
func (c *Client) told(ctx context.Context, t run.Target, user, path string, query url.Values, most int64, into any) error {
	if err := known(user); err != nil {
		return err
	}
	query.Set("user", user)
	req, err := c.request(ctx, t, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	return c.within(ctx, t, req, nil, most, into)
}

// within sends a request and reads the object of the answer.
func (c *Client) within(ctx context.Context, t run.Target, req *http.Request, absent *fault.Error, most int64, into any) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answer, err := c.Egress.Do(req.WithContext(ctx))
	if err != nil {
		return failure(ctx, t, err)
	}
	defer func() { _ = answer.Body.Close() }()
	timer := time.AfterFunc(c.Answer, func() { cancel(errSlow) })
	defer timer.Stop()
	switch answer.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted:
	default:
		return c.refusedBy(t, answer, absent)
	}
	content, err := within(answer.Body, answer.ContentLength, most)
	if err != nil {
		return failure(ctx, t, err)
	}
	if content, err = objectOf(content); err != nil {
		return err
	}
	if json.Unmarshal(content, into) != nil {
		return run.ErrUnavailable.Because(errShape)
	}
	return nil
}

// Import implements run.DSL. The key says which app is meant, so that no id of one is sent:
// those of the registry name nothing at a runtime.
func (c *Client) Import(ctx context.Context, t run.Target, user string, d run.Description) (run.Imported, error) {
	return c.imported(ctx, t, user, "apps/imports", nil, struct {
		run.Description
		User string `json:"user"`
	}{d, user})
}

// Confirm implements run.DSL.
func (c *Client) Confirm(ctx context.Context, t run.Target, user, importID string) (run.Imported, error) {
	id, ok := segment(importID)
	if !ok {
		return run.Imported{}, run.ErrNoImport
	}
	return c.imported(ctx, t, user, "apps/imports/"+id+"/confirm", run.ErrNoImport, named{user})
}

func (c *Client) imported(ctx context.Context, t run.Target, user, path string, absent *fault.Error, body any) (run.Imported, error) {
	if err := known(user); err != nil {
		return run.Imported{}, err
	}
	encoded, err := plain(body)
	if err != nil {
		return run.Imported{}, fault.ErrInternal.Because(err)
	}
	req, err := c.request(ctx, t, http.MethodPost, path, nil, bytes.NewReader(encoded))
	if err != nil {
		return run.Imported{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	var said struct {
		ID     string           `json:"id"`
		Status run.ImportStatus `json:"status"`
		Error  string           `json:"error"`
		AppID  string           `json:"app_id"`
		Name   string           `json:"name"`
		Mode   apps.Mode        `json:"mode"`
		Key    string           `json:"app_key"`
	}
	if err := c.within(ctx, t, req, absent, maxAnswer, &said); err != nil {
		return run.Imported{}, err
	}
	got := run.Imported{ID: said.ID, Status: said.Status, Name: said.Name, Mode: said.Mode, Key: secret.New(said.Key)}
	switch got.Status {
	case run.ImportCompleted, run.ImportWarned, run.ImportPending, run.ImportFailed:
	default:
		return run.Imported{}, run.ErrUnavailable.Because(errShape)
	}
	if !nameable(said.ID) {
		return run.Imported{}, run.ErrUnavailable.Because(errShape)
	}
	if nameable(said.AppID) && !tells(said.AppID, t) && (said.Key == "" || !strings.Contains(said.AppID, said.Key)) {
		got.AppID = said.AppID
	}
	// The key of a new app is as little told as that of the call, also where something stood in
	// its midst that is gone now.
	if text := (refusal{message: said.Error}).sentence(t); said.Key == "" || !strings.Contains(said.Error, said.Key) && !strings.Contains(text, said.Key) {
		got.Error = text
	}
	if got.Error == "" && got.Status == run.ImportFailed {
		got.Error = "The app's runtime does not say why."
	}
	return got, nil
}

// plain is JSON without the escapes for HTML, which would make six bytes of one in texts of
// many MiB.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// nameable reports an id that a runtime may give: part of a path, and of a sentence.
func nameable(id string) bool {
	if _, ok := segment(id); !ok || len(id) > 128 {
		return false
	}
	return !strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' })
}
