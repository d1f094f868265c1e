// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/trace"
)

// Start asks for a login. The code was found pending.
type Start struct {
	UserCode   string // canonical
	ClientID   string // of the device grant
	Connection string // an id; at most one of it and Email is set
	Email      string // canonical
	Fresh      bool
	Locale     string // en or zh-Hans
}

// Started is a login that the browser may go on with. Where Choice is set the person
// has to choose a connection first, and StartURL is empty.
type Started struct {
	Flow     Flow
	StartURL string
	Choice   *Offer
}

// Begin draws a flow and asks the bridge for a login. It returns *RefusedError. The
// device grant is not touched.
func (s *Service) Begin(ctx context.Context, r Start) (Started, error) {
	flow := newFlow(r.UserCode)
	begun, err := s.Bridge.Begin(ctx, Order{
		UserCodeDigest: s.codeDigest(r.UserCode), Nonce: s.nonce(flow), Binding: flow.binding(),
		Connection: r.Connection, Email: r.Email, Fresh: r.Fresh, Locale: r.Locale, RequestID: audit.RequestOf(ctx).ID,
	})
	if errors.Is(err, ErrChoiceRequired) {
		offer, err := s.Offered(ctx)
		if err != nil {
			return Started{}, s.notStarted(ctx, r, err)
		}
		return Started{Flow: flow, Choice: &offer}, nil
	}
	if err != nil {
		return Started{}, s.notStarted(ctx, r, err)
	}
	trace.Of(ctx).Attempt(begun.Reference)
	s.Recorder.Later(audit.New(ctx, s.Now(), audit.Anonymous, loginStarted{Connection: r.Connection, ClientID: r.ClientID, Attempt: begun.Reference}))
	return Started{Flow: flow, StartURL: begun.StartURL}, nil
}

// notStarted refuses a login that the bridge did not begin. That it failed core is on
// record: the person reads no more than that it does not work right now.
func (s *Service) notStarted(ctx context.Context, r Start, err error) error {
	if silent, ok := errors.AsType[*SilentError](err); ok {
		s.Recorder.Later(audit.New(ctx, s.Now(), audit.Anonymous,
			loginNotStarted{Cause: silent.cause(), Status: silent.Status, Code: silent.Code, Connection: r.Connection, ClientID: r.ClientID}))
	}
	return &RefusedError{Code: publicOf(err), cause: err}
}
