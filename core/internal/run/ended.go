// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// End says how a run ended for its client.
type End string

// The ends of a run.
const (
	EndSucceeded   End = "succeeded"   // its last event came, or it waits for somebody's input
	EndFailed      End = "failed"      // its runtime says that it failed
	EndStopped     End = "stopped"     // its client left
	EndCut         End = "cut"         // we ended it: too long, too silent, a token that ended, a shutdown
	EndRefused     End = "refused"     // it never began, for its form, a limit or what its runtime says of it
	EndUnavailable End = "unavailable" // its runtime or a store of ours did not answer, or broke off
)

// Ends lists every End.
var Ends = []End{EndSucceeded, EndFailed, EndStopped, EndCut, EndRefused, EndUnavailable}

// neverBegan tells of a run that did not begin, and gives the failure back.
func (s *Service) neverBegan(ctx context.Context, mode apps.Mode, err error) error {
	end := EndRefused
	switch fault.Of(err).Kind() {
	case fault.Internal, fault.Unavailable, fault.BadGateway, fault.GatewayTimeout:
		end = EndUnavailable
	}
	if ctx.Err() != nil {
		end = endOf(context.Cause(ctx))
	}
	s.Ended(mode, end)
	return err
}

// endOf tells what we have ended from what its client has: an end of ours is a fault.
func endOf(cause error) End {
	if _, ours := errors.AsType[*fault.Error](cause); ours {
		return EndCut
	}
	return EndStopped
}

// blocked says how a run in one piece ended, by its whole answer.
func blocked(body json.RawMessage) End {
	var named struct {
		Data struct {
			Status string `json:"status"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &named) == nil && statusOf(named.Data.Status) == Failed {
		return EndFailed
	}
	return EndSucceeded
}

// end says how a stream ended.
func (l *Live) end(cause error) End {
	switch {
	case l.failed || l.final == "error":
		return EndFailed
	case l.final != "":
		return EndSucceeded
	case cause != nil:
		return endOf(cause)
	}
	return EndUnavailable
}
