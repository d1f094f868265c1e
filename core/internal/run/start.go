// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// begun is a run that a runtime is asked for, and what goes with it.
type begun struct {
	s       *Service
	target  Target
	runtime Runtime
	request Request
	record  Record
	slot    *slot
	log     *slog.Logger
}

// begin judges a request, takes a slot and puts the run on record as accepted.
func (s *Service) begin(ctx context.Context, who Caller, a apps.App, ask Ask) (*begun, error) {
	request, err := judge(a.Mode, ask, who.Subject)
	if err != nil {
		return nil, err
	}
	target, runtime, err := s.target(a)
	if err != nil {
		return nil, err
	}
	slot, err := s.take(ctx, a)
	if err != nil {
		return nil, err
	}
	s.accept(ctx, who, a)
	return &begun{
		s: s, target: target, runtime: runtime, request: request, slot: slot,
		record: Record{
			ID: canon.NewID(), AppID: a.ID, WorkspaceID: a.WorkspaceID, SubjectKey: who.Subject.Key(), TokenID: who.TokenID, Mode: a.Mode,
			Status: Running, StartedAt: s.Now(),
		},
		log: s.Log.With(slog.String("app_id", a.ID), slog.String("request_id", audit.RequestOf(ctx).ID)),
	}, nil
}

// Start has an app run and returns once its runtime has begun to answer. The Live goes on
// until ctx ends, and its Serve must be called. A run that ctx has ended fails with the
// cause of that.
func (s *Service) Start(ctx context.Context, who Caller, a apps.App, ask Ask) (*Live, error) {
	b, err := s.begin(ctx, who, a, ask)
	if err != nil {
		return nil, s.neverBegan(ctx, a.Mode, err)
	}
	asked, cancel := context.WithCancel(ctx)
	stream, err := b.runtime.Stream(asked, b.target, b.request)
	if err != nil {
		cancel()
		b.slot.free()
		return nil, s.neverBegan(ctx, a.Mode, ended(ctx, err))
	}
	return &Live{s: s, stream: stream, cancel: cancel, own: b, log: b.log}, nil
}

// Watch gives a stream that somebody follows who did not start it here: nothing is stopped
// when they leave, and nothing put on record.
func (s *Service) Watch(stream Stream) *Live {
	return &Live{s: s, stream: stream, cancel: func() {}, log: s.Log}
}

// Block has an app run to its end and gives its runtime's answer. It fails like Start.
func (s *Service) Block(ctx context.Context, who Caller, a apps.App, ask Ask) (json.RawMessage, error) {
	b, err := s.begin(ctx, who, a, ask)
	if err != nil {
		return nil, s.neverBegan(ctx, a.Mode, err)
	}
	defer b.slot.free()
	limited, cancel := context.WithTimeout(ctx, s.Bounds.Blocking)
	defer cancel()
	body, err := b.runtime.Block(limited, b.target, b.request)
	if err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			err = ErrTimeout.Because(err)
		}
		return nil, s.neverBegan(ctx, a.Mode, ended(ctx, err))
	}
	s.Ended(a.Mode, blocked(body))
	b.settleBlocked(ctx, body)
	return body, nil
}

// settleBlocked puts on record what a whole answer names.
func (b *begun) settleBlocked(ctx context.Context, body json.RawMessage) {
	var named struct {
		TaskID        string `json:"task_id"`
		WorkflowRunID string `json:"workflow_run_id"`
		Data          struct {
			Status string `json:"status"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &named) != nil || !isID(named.TaskID) {
		return
	}
	if !isID(named.WorkflowRunID) {
		named.WorkflowRunID = ""
	}
	at := b.s.Now()
	b.record.TaskID, b.record.WorkflowRunID, b.record.Status, b.record.FinishedAt = named.TaskID, named.WorkflowRunID, statusOf(named.Data.Status), &at
	if named.Data.Status == "paused" {
		b.record.Status, b.record.FinishedAt = Paused, nil
	}
	b.put(ctx)
}

// isID reports what may be kept as a runtime's id, as of events: up to 128 printable signs.
func isID(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// put puts the run on record. A run that cannot be put there goes on all the same: it was
// paid for already, and all that is lost is to stop it or to follow it again by its ids.
func (b *begun) put(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	if err := b.s.Store.Begin(ctx, b.record); err != nil {
		b.log.Warn("a run is not on record: it can be neither stopped by its id nor followed again", slog.String("error", err.Error()))
		return false
	}
	return true
}

// ended gives why a runtime was asked in vain: that the service ends outweighs what became
// of the call, and of a call that was given up because its client left the cause is left
// as it is, for it is no failure of anybody's.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fault.Of(err)
}
