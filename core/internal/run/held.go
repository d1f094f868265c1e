// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// storeLimit bounds what a run writes down: it must not stand still for it.
const storeLimit = 2 * time.Second

// slot is a place among the runs of an app, kept until it is given back.
type slot struct {
	s             *Service
	appID, holder string

	mu    sync.Mutex
	again *time.Timer
	over  bool
}

// limit is how many runs of an app go on at once; 0 is no limit.
func (s *Service) limit(a apps.App) int {
	own := a.MaxActive
	if own == 0 {
		own = s.Bounds.DefaultActive
	}
	switch most := s.Bounds.MaxActive; {
	case own == 0:
		return most
	case most == 0:
		return own
	default:
		return min(own, most)
	}
}

// take takes a slot for a run; nil where the app has no limit, and then no store is asked.
// A store that does not answer refuses: a limit that an outage lifts is none.
func (s *Service) take(ctx context.Context, a apps.App) (*slot, error) {
	limit := s.limit(a)
	if limit == 0 {
		return nil, nil
	}
	h := &slot{s: s, appID: a.ID, holder: canon.NewID()}
	ask, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	ok, err := s.Slots.Take(ask, a.ID, h.holder, limit, s.Now())
	if err != nil {
		s.leave(h.free) // the answer may be what was lost
		return nil, fault.Store(err)
	}
	if !ok {
		return nil, ErrBusy
	}
	h.mu.Lock() // renew finds the timer set, however soon it comes
	defer h.mu.Unlock()
	h.again = time.AfterFunc(SlotLease/3, h.renew)
	return h, nil
}

func (h *slot) renew() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	defer h.s.survive()
	ctx, cancel := context.WithTimeout(context.Background(), storeLimit)
	defer cancel()
	// What fails now has two more tries within the lease.
	if err := h.s.Slots.Renew(ctx, h.appID, h.holder, h.s.Now()); err != nil {
		h.s.Log.Warn("a run's slot was not renewed", slog.String("app_id", h.appID), slog.String("error", err.Error()))
	}
	h.again.Reset(SlotLease / 3)
}

// free gives the slot back; nil has none. What fails is free after its lease.
func (h *slot) free() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	if h.again != nil {
		h.again.Stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeLimit)
	defer cancel()
	if err := h.s.Slots.Free(ctx, h.appID, h.holder); err != nil {
		h.s.Log.Warn("a run's slot was not given back and is free after its lease", slog.String("app_id", h.appID), slog.String("error", err.Error()))
	}
}
