// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"
	"regexp"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
)

// formToken is the shape of a form's token: whatever may stand in a path unescaped. Other
// text never reaches a runtime.
var formToken = regexp.MustCompile(`^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,511}$`)

// Form gives a form that waits for somebody, as the app's runtime describes it. The runtime
// knows a form by its token and the app's key, so another app's is not found. It returns
// ErrFormNotFound, ErrFormSubmitted and ErrFormExpired.
func (s *Service) Form(ctx context.Context, a apps.App, token string) (json.RawMessage, error) {
	if !formToken.MatchString(token) {
		return nil, ErrFormNotFound
	}
	t, runtime, err := s.target(a)
	if err != nil {
		return nil, err
	}
	return runtime.Form(ctx, t, token)
}

// Submit answers a form; its errors are Form's and ErrFormData.
func (s *Service) Submit(ctx context.Context, who Caller, a apps.App, token, action string, inputs json.RawMessage) error {
	if !formToken.MatchString(token) {
		return ErrFormNotFound
	}
	t, runtime, err := s.target(a)
	if err != nil {
		return err
	}
	return runtime.Submit(ctx, t, token, UserOf(who.Subject), action, inputs)
}

// DeleteConversation forgets a conversation of the caller. It returns ErrNoConversation for
// one that is malformed, unknown or somebody else's, and in apps that hold none.
func (s *Service) DeleteConversation(ctx context.Context, who Caller, a apps.App, id string) error {
	if !a.Mode.Chats() || !canon.IsID(id) {
		return ErrNoConversation // no runtime is asked
	}
	t, runtime, err := s.target(a)
	if err != nil {
		return err
	}
	return runtime.DeleteConversation(ctx, t, id, UserOf(who.Subject))
}
