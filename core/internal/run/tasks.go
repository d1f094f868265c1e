// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Stop ends a task of this app that this subject has begun. Of any other nothing happens:
// what is told about it is the same as about one that is over. It returns what the runtime
// refuses with, for the log: to the caller the task is out of their hands either way.
func (s *Service) Stop(ctx context.Context, who Caller, a apps.App, taskID string) (refused, err error) {
	if !canon.IsID(taskID) {
		return nil, nil // neither the store nor a runtime is asked
	}
	switch _, err := s.Store.ByTask(ctx, a.ID, who.Subject.Key(), taskID); {
	case errors.Is(err, ErrNoRun):
		return nil, nil
	case err != nil:
		return nil, fault.Store(err)
	}
	t, runtime, err := s.target(a)
	if err != nil {
		return nil, err
	}
	return runtime.Stop(ctx, t, taskID, UserOf(who.Subject)), nil
}

// Follow gives the events of a workflow run that this subject has begun: of one that is over
// its end alone, of another what is still to come. It returns ErrNoReconnect for apps whose
// runs are not followed, and ErrNoWorkflowRun. The context is the stream's, too.
func (s *Service) Follow(ctx context.Context, who Caller, a apps.App, workflowRunID string, o EventOptions) (Stream, error) {
	if a.Mode != apps.Workflow && a.Mode != apps.AdvancedChat {
		return nil, ErrNoReconnect
	}
	if !canon.IsID(workflowRunID) {
		return nil, ErrNoWorkflowRun // neither the store nor a runtime is asked
	}
	record, err := s.Store.ByWorkflowRun(ctx, a.ID, who.Subject.Key(), workflowRunID)
	if errors.Is(err, ErrNoRun) {
		return nil, ErrNoWorkflowRun
	}
	if err != nil {
		return nil, fault.Store(err)
	}
	t, runtime, err := s.target(a)
	if err != nil {
		return nil, err
	}
	over, err := s.over(ctx, runtime, t, record)
	if over != nil || err != nil {
		return over, err
	}
	live, err := runtime.Events(ctx, t, workflowRunID, UserOf(who.Subject), o)
	if errors.Is(err, ErrNoWorkflowRun) { // it may have ended between the two questions
		if over, late := s.over(ctx, runtime, t, record); over != nil || late != nil {
			return over, late
		}
	}
	if err != nil {
		return nil, err
	}
	return &followed{Stream: live, note: func(status Status) { s.note(ctx, record, status) }}, nil
}

// over gives the one event of a run that is over, or nil of one that goes on.
func (s *Service) over(ctx context.Context, runtime Runtime, t Target, r Record) (Stream, error) {
	outcome, err := runtime.Outcome(ctx, t, r.WorkflowRunID)
	if err != nil || !outcome.Finished {
		return nil, err
	}
	data, err := json.Marshal(finished{Event: "workflow_finished", TaskID: r.TaskID, WorkflowRunID: r.WorkflowRunID, Data: outcome.Event})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	var said struct {
		Status string `json:"status"`
	}
	_ = json.Unmarshal(outcome.Event, &said) // what it does not say it has not
	status := statusOf(said.Status)
	s.note(ctx, r, status)
	return &single{event: Event{
		Frame: append(append([]byte("data: "), data...), "\n\n"...), Name: "workflow_finished", TaskID: r.TaskID, WorkflowRunID: r.WorkflowRunID,
		Failed: status == Failed,
	}}, nil
}

// finished is the event of a run that ended while nobody listened.
type finished struct {
	Event         string          `json:"event"`
	TaskID        string          `json:"task_id,omitempty"`
	WorkflowRunID string          `json:"workflow_run_id"`
	Data          json.RawMessage `json:"data"`
}

// note writes how a run has ended: who began it may have left long ago, as with one that
// waited for somebody. A store that fails here costs the follower nothing.
func (s *Service) note(ctx context.Context, r Record, status Status) {
	if r.Status.Over() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	_ = s.Store.Settle(ctx, r.ID, r.WorkflowRunID, status, s.Now())
}

// followed is a stream that notes how its run ends.
type followed struct {
	Stream
	note func(Status)
}

// Next implements Stream.
func (f *followed) Next() (Event, error) {
	e, err := f.Stream.Next()
	if err == nil && e.Name == "workflow_finished" {
		status := Finished
		if e.Failed {
			status = Failed
		}
		f.note(status)
	}
	return e, err
}

// single is a stream of one event.
type single struct {
	event Event
	read  bool
}

// Next implements Stream.
func (s *single) Next() (Event, error) {
	if s.read {
		return Event{}, io.EOF
	}
	s.read = true
	return s.event, nil
}

// Ready implements Stream.
func (s *single) Ready() bool { return !s.read }

// Close implements Stream.
func (s *single) Close() error { return nil }
