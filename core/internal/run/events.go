// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
)

// accepted is app.run.openapi.
type accepted struct {
	AppID       string            `json:"app_id"`
	WorkspaceID string            `json:"workspace_id"`
	Mode        apps.Mode         `json:"mode"`
	CallerKind  token.SubjectType `json:"caller_kind"`
	TokenID     string            `json:"token_id"`
	Subject     string            `json:"subject"`
}

// EventName implements audit.Details.
func (accepted) EventName() string { return "app.run.openapi" }

// accept puts on record what is about to be asked of a runtime in somebody's name. The
// event comes before the runtime is asked, so that nothing a runtime did is without one,
// and it does not hold the run up: it waits for its table like every event that tells and
// commits nothing.
func (s *Service) accept(ctx context.Context, who Caller, a apps.App) {
	actor := audit.Anonymous
	if id := who.Subject.AccountID; id != "" {
		actor = audit.Account(id)
	}
	s.Recorder.Later(audit.New(ctx, s.Now(), actor, accepted{
		AppID: a.ID, WorkspaceID: a.WorkspaceID, Mode: a.Mode, CallerKind: who.Kind, TokenID: who.TokenID, Subject: who.Subject.ID,
	}).About(who.Subject.Key()).Token(who.TokenID).Workspace(a.WorkspaceID))
}

// AuditKinds lists the kinds of event of this package.
func AuditKinds() []audit.Kind {
	return []audit.Kind{{Of: accepted{}, When: "a run of an app was accepted, and its runtime is about to be asked"}}
}
