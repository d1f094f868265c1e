// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/faulttest"
)

// FaultyReplay wraps the marks of used messages. Its method is named "Replay.Consume".
func FaultyReplay(r envelope.Replay, f *Faults) envelope.Replay { return faultyReplay{r, f} }

type faultyReplay struct {
	r envelope.Replay
	f *Faults
}

func (w faultyReplay) Consume(ctx context.Context, audience envelope.Audience, id string, ttl time.Duration) (bool, error) {
	return faulttest.Get(ctx, w.f, "Replay.Consume", func() (bool, error) { return w.r.Consume(ctx, audience, id, ttl) })
}
