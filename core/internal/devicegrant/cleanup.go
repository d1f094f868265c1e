// SPDX-License-Identifier: Apache-2.0

package devicegrant

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// cleanup is a redeemed grant whose deletion failed. A later claim of it rotates the
// very row that it minted, and none once that row has ended (the fence is in SQL), so
// the retry only tidies up.
type cleanup struct {
	ref   secret.Digest
	owner string
	until time.Time
}

// maxCleanup bounds the list; what does not fit is left to the store's own expiry.
const maxCleanup = 10_000

// settleDelete deletes a claimed grant, later if not now.
func (s *Service) settleDelete(ctx context.Context, g Grant) {
	if s.Store.Delete(ctx, g.Ref, g.Owner) == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cleanup) < maxCleanup {
		s.cleanup = append(s.cleanup, cleanup{ref: g.Ref, owner: g.Owner, until: g.LeaseUntil.Add(LeaseGrace)})
	}
}

// RunCleanup repeats failed deletions until ctx ends.
func (s *Service) RunCleanup(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.retryCleanup(ctx)
		}
	}
}

func (s *Service) retryCleanup(ctx context.Context) {
	s.mu.Lock()
	todo := s.cleanup
	s.cleanup = nil
	s.mu.Unlock()
	now := s.Now()
	for _, c := range todo {
		if now.After(c.until) || s.Store.Delete(ctx, c.ref, c.owner) == nil {
			continue
		}
		s.mu.Lock()
		s.cleanup = append(s.cleanup, c)
		s.mu.Unlock()
	}
}
