// SPDX-License-Identifier: Apache-2.0

package run

import (
	"encoding/json"
	"strings"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// Ask is what a caller wants to have run, its form not yet judged for an app's mode.
type Ask struct {
	Inputs         json.RawMessage // an object
	Query          *string
	Files          json.RawMessage // an array of objects, or nil
	ConversationID string
	WorkflowID     string
	AutoName       bool
}

// judge gives what a runtime of an app of this mode is asked for
// (docs/specs/v1.0/server/apps.md, Run). What the mode has no use for is dropped.
func judge(mode apps.Mode, a Ask, by token.Subject) (Request, error) {
	r := Request{Inputs: a.Inputs, Query: a.Query, Files: a.Files, User: UserOf(by)}
	switch {
	case mode.Chats():
		if a.Query == nil || strings.TrimSpace(*a.Query) == "" {
			return r, ErrQueryRequired
		}
		r.AutoName = a.AutoName
		if r.ConversationID = strings.TrimSpace(a.ConversationID); r.ConversationID != "" && !canon.IsID(r.ConversationID) {
			return r, ErrNoConversation
		}
	case mode == apps.Completion:
		if r.Query == nil {
			none := ""
			r.Query = &none
		}
	case mode == apps.Workflow:
		if a.Query != nil {
			return r, ErrQueryRefused
		}
	default:
		return r, ErrNotRunnable
	}
	if mode != apps.Completion {
		// An id becomes part of a path: one that is none names no workflow.
		if r.WorkflowID = strings.TrimSpace(a.WorkflowID); r.WorkflowID != "" && !canon.IsID(r.WorkflowID) {
			return r, ErrNoWorkflowRun
		}
	}
	return r, nil
}
