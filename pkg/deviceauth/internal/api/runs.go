// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

const (
	maxBlocking  = 8<<20 + 1<<16    // bytes of the answer of a blocking run, which has 8 MiB at most
	stopTimeout  = 3 * time.Second  // of a request that a person waits for after Ctrl-C
	uploadWait   = 10 * time.Minute // of one file
	beginWait    = 10 * time.Minute // until the first byte: the server bounds it more closely
	silenceLimit = 90 * time.Second // between two events: the server speaks every 10 s
)

// Run is what a run is given.
type Run struct {
	Inputs         map[string]any   `json:"inputs"`
	Query          *string          `json:"query,omitempty"`
	Files          []map[string]any `json:"files,omitempty"`
	ConversationID string           `json:"conversation_id,omitempty"`
	WorkflowID     string           `json:"workflow_id,omitempty"`
	Mode           string           `json:"response_mode,omitempty"`
}

// Start begins a run. It is never repeated: the first attempt may have begun it.
func (a *API) Start(ctx context.Context, app string, r Run) (*Stream, error) {
	req, err := a.request(ctx, http.MethodPost, appPath(app)+"/run", r)
	if err != nil {
		return nil, err
	}
	return a.stream(req)
}

// Follow gives the events of a workflow run from now on; of one that is over, its end.
func (a *API) Follow(ctx context.Context, app, run string) (*Stream, error) {
	for attempt := 1; ; attempt++ {
		req, err := a.request(ctx, http.MethodGet, appPath(app)+"/tasks/"+url.PathEscape(run)+"/events?include_state_snapshot=false&continue_on_pause=false", nil)
		if err != nil {
			return nil, err
		}
		s, err := a.stream(req)
		if err == nil || attempt == maxAttempts || !a.patient(ctx, err) {
			return s, err
		}
	}
}

// Block runs to the end and gives the answer as it came.
func (a *API) Block(ctx context.Context, app string, r Run) (json.RawMessage, error) {
	r.Mode = "blocking"
	req, err := a.request(ctx, http.MethodPost, appPath(app)+"/run", r)
	if err != nil {
		return nil, err
	}
	res, err := a.do(a.unhurried(), req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBlocking+1))
	switch {
	case err != nil:
		return nil, a.unanswered(ctx, err)
	case len(body) > maxBlocking:
		return nil, badAnswer(res.StatusCode, "it is longer than 8 MiB")
	case !json.Valid(body) || !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")):
		return nil, badAnswer(res.StatusCode, "it is no JSON object")
	}
	return body, nil
}

// Stop ends the work of a task, if it is one of the holder's.
func (a *API) Stop(ctx context.Context, app, task string) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return a.call(ctx, http.MethodPost, appPath(app)+"/tasks/"+url.PathEscape(task)+"/stop", nil)
}

// Upload sends a file while it is read, and gives the id under which a run may name it.
func (a *API) Upload(ctx context.Context, app, name string, content io.Reader) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, uploadWait)
	defer cancel()
	out, in := io.Pipe()
	form := multipart.NewWriter(in)
	var broken error // of the file, which is no fault of the network
	done := make(chan struct{})
	go func() {
		defer close(done)
		part, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {mime.FormatMediaType("form-data", map[string]string{"name": "file", "filename": name})},
			"Content-Type":        {mediaType(name)},
		})
		if err == nil {
			_, err = io.Copy(part, failing{content, &broken})
		}
		if err == nil {
			err = form.Close()
		}
		in.CloseWithError(err)
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+appPath(app)+"/files/upload", out)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", form.FormDataContentType())
	res, err := a.do(a.unhurried(), req)
	_ = out.Close()
	<-done
	if broken != nil {
		return "", broken
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var v struct {
		ID string `json:"id"`
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return "", a.unanswered(ctx, err)
	}
	if json.Unmarshal(body, &v) != nil || v.ID == "" {
		return "", badAnswer(res.StatusCode, "it does not name the file")
	}
	return v.ID, nil
}

// failing remembers why reading failed.
type failing struct {
	r   io.Reader
	err *error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		*f.err = err
	}
	return n, err
}

func mediaType(name string) string {
	if t := mime.TypeByExtension(strings.ToLower(filepath.Ext(name))); t != "" {
		return t
	}
	return "application/octet-stream"
}

// Form is what a run that waits asks of a person.
type Form struct {
	Content  string          `json:"form_content"`
	Inputs   json.RawMessage `json:"inputs"`
	Defaults json.RawMessage `json:"resolved_default_values"`
	Actions  []Action        `json:"user_actions"`
}

// Action is one way to answer a form.
type Action struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

func formPath(app, form string) string {
	return appPath(app) + "/form/human_input/" + url.PathEscape(form)
}

// Form reads a form that waits.
func (a *API) Form(ctx context.Context, app, form string) (Form, error) {
	var f Form
	err := a.call(ctx, http.MethodGet, formPath(app, form), &f)
	return f, err
}

// Submit answers a form. It is taken once.
func (a *API) Submit(ctx context.Context, app, form, action string, inputs map[string]any) error {
	return a.send(ctx, http.MethodPost, formPath(app, form), map[string]any{"action": action, "inputs": inputs}, nil)
}

// unhurried is the client without a bound on a whole answer.
func (a *API) unhurried() *http.Client {
	h := *a.http
	h.Timeout = 0
	return &h
}

func badAnswer(status int, what string) error {
	return &deviceauth.Error{Status: status, Err: fmt.Errorf("%w: %s", deviceauth.ErrBadAnswer, what)}
}
