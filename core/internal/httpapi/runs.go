// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	stdjson "encoding/json"
	"errors"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// runRequest is the body of a run; user and whatever else stands in it is dropped.
type runRequest struct {
	Inputs         stdjson.RawMessage `json:"inputs" doc:"by the app's input_schema" api:"required;holds=object"`
	Query          *string            `json:"query,omitempty" doc:"needed by apps that chat, refused by workflows"`
	Files          stdjson.RawMessage `json:"files,omitempty" doc:"of the message; uploaded before, or by their address" api:"holds=objects"`
	ConversationID *string            `json:"conversation_id,omitempty" doc:"of apps that chat; empty begins another"`
	WorkflowID     *string            `json:"workflow_id,omitempty" doc:"a version of a workflow other than the published one"`
	WorkspaceID    *string            `json:"workspace_id,omitempty" doc:"told, not judged: the app says where it belongs"`
	AutoName       *bool              `json:"auto_generate_name,omitempty" doc:"whether a conversation is given a name" api:"default=true"`
	ResponseMode   *string            `json:"response_mode,omitempty" doc:"a stream of events, or one answer at the end" api:"enum=streaming|blocking;default=streaming"`
}

// ask judges the form of a run's body; what an app's mode makes of it is the service's.
func (r runRequest) ask() (a run.Ask, blocking bool, err error) {
	var problems wire.Problems
	a = run.Ask{Inputs: requireObject(&problems, r.Inputs, "inputs"), Query: r.Query, AutoName: r.AutoName == nil || *r.AutoName}
	if r.Files != nil {
		a.Files = r.Files
		var files []stdjson.RawMessage
		if stdjson.Unmarshal(r.Files, &files) != nil {
			problems.Add("type_error", "must be an array of objects", "files")
		}
		for i, f := range files {
			requireObject(&problems, f, "files", i)
		}
	}
	if r.ConversationID != nil {
		a.ConversationID = *r.ConversationID
	}
	if r.WorkflowID != nil {
		a.WorkflowID = *r.WorkflowID
	}
	switch {
	case r.ResponseMode == nil || *r.ResponseMode == "streaming":
	case *r.ResponseMode == "blocking":
		blocking = true
	default:
		problems.Add("enum", "must be streaming or blocking", "response_mode")
	}
	return a, blocking, problems.Fault(errInvalidParam)
}

// run has the app of the path run. An alias serves the modes that takes says.
func (a *api) run(takes func(apps.Mode) bool) fiber.Handler {
	return func(c *fiber.Ctx) error {
		var req runRequest
		if err := decodeOpen(c, &req); err != nil {
			return err
		}
		ask, blocking, err := req.ask()
		if err != nil {
			return err
		}
		who := callerOf(c)
		if !takes(who.App.App.Mode) {
			return run.ErrAppUnavailable
		}
		by := runCaller(who)
		attended := server.Attend(c)
		if blocking {
			body, err := a.Run.Block(attended.Context(), by, who.App.App, ask)
			if err != nil {
				return unlessLeft(err)
			}
			c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
			return c.Send(body)
		}
		live, err := a.Run.Start(attended.Context(), by, who.App.App, ask)
		if err != nil {
			return unlessLeft(err)
		}
		return a.serve(c, attended, live)
	}
}

// runCaller is who has an app run.
func runCaller(who *authz.Caller) run.Caller {
	return run.Caller{Subject: who.Subject, TokenID: who.SessionID, Kind: who.Kind.SubjectType}
}

// unlessLeft keeps a client's leaving from the log of what went wrong here. Nobody reads
// the answer.
func unlessLeft(err error) error {
	if errors.Is(err, server.ErrLeft) {
		return server.ErrBadRequest.Because(err)
	}
	return err
}
