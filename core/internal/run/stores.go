// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// Status is how far a run has come.
type Status string

// The statuses of a run.
const (
	Running  Status = "running"
	Paused   Status = "paused"
	Finished Status = "finished"
	Failed   Status = "failed"
	Stopped  Status = "stopped"
)

// Record is a run on record: whose it is, and by which names its runtime knows it.
type Record struct {
	ID            string
	AppID         string
	WorkspaceID   string
	SubjectKey    string
	TokenID       string
	Mode          apps.Mode
	TaskID        string
	WorkflowRunID string
	Status        Status
	StartedAt     time.Time
	FinishedAt    *time.Time
}

// statusOf reads how a runtime says that a run has ended. What is no word of failure is a
// good end: a run of a workflow may have succeeded in part.
func statusOf(word string) Status {
	switch word {
	case "failed":
		return Failed
	case "stopped":
		return Stopped
	}
	return Finished
}

// Over reports a status that a run does not leave.
func (s Status) Over() bool { return s == Finished || s == Failed || s == Stopped }

// ErrNoRun is answered for a run that is not on record, or not this subject's of this app.
var ErrNoRun = errors.New("run: no such run on record")

// Runs keeps what was run.
type Runs interface {
	// Begin puts a run on record once its runtime has named a task. A task of the app that
	// is on record already stays as it is: a follower reads what the starter wrote.
	Begin(ctx context.Context, r Record) error
	// Settle notes the workflow run's id, where it became known later, and the status, and
	// with one that is over the time. A run that is over stays as it is.
	Settle(ctx context.Context, id, workflowRunID string, s Status, at time.Time) error
	// Lose ends as failed at most limit runs that are running on record and began before the
	// time, in one statement, and gives their number; rows that another statement has locked
	// may be passed over.
	Lose(ctx context.Context, before, at time.Time, limit int) (int64, error)
	// ByTask finds a run of this app and subject, or returns ErrNoRun.
	ByTask(ctx context.Context, appID, subjectKey, taskID string) (Record, error)
	// ByWorkflowRun is ByTask for the id of a workflow run.
	ByWorkflowRun(ctx context.Context, appID, subjectKey, workflowRunID string) (Record, error)
}

// Slots bounds how many runs of an app go on at once, over all processes. A slot that its
// holder does not renew is free after its lease.
type Slots interface {
	// Take gives the holder a slot while fewer than limit are held, and repeats its answer
	// to the same holder.
	Take(ctx context.Context, appID, holder string, limit int, now time.Time) (ok bool, err error)
	// Renew keeps a slot for another lease.
	Renew(ctx context.Context, appID, holder string, now time.Time) error
	// Free gives a slot back.
	Free(ctx context.Context, appID, holder string) error
}

// SlotLease is for how long a slot is held without being renewed.
const SlotLease = 10 * time.Minute
