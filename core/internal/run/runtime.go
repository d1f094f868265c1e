// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Target is an app as its runtime is asked for it.
type Target struct {
	AppID    string
	Name     string
	Mode     apps.Mode
	Runtime  apps.Runtime
	URL      string // base address; empty for echo
	Key      secret.Text
	Config   string // what the echo runtime reads
	Features apps.Features
}

// Request is a run whose form has been judged for the app's mode.
type Request struct {
	Inputs         json.RawMessage // an object
	Query          *string
	Files          json.RawMessage // an array of objects, or nil
	ConversationID string
	WorkflowID     string
	AutoName       bool
	User           string // UserOf
}

// EventOptions are the flags of following a run again.
type EventOptions struct{ Snapshot, ContinueOnPause bool }

// File is an upload while it is read.
type File struct {
	Name      string
	MediaType string
	Content   io.Reader
}

// Outcome is a workflow run that is over, or not yet.
type Outcome struct {
	Finished bool
	// Event is what the member data of its workflow_finished event holds: a JSON object with
	// status, outputs and so on.
	Event json.RawMessage
}

// Runtime is what apps run on. Every method returns a failure of this package's
// vocabulary; none carries the key or the address. What is called a body is the runtime's
// own JSON object, unchanged.
type Runtime interface {
	// Parameters gives the body of /v1/parameters, or ErrNotConfigured.
	Parameters(ctx context.Context, t Target) (json.RawMessage, error)
	// Stream starts a run and returns once the runtime has begun to answer. The context
	// ends the run.
	Stream(ctx context.Context, t Target, r Request) (Stream, error)
	// Block runs to the end and gives the body, at most 8 MiB.
	Block(ctx context.Context, t Target, r Request) (json.RawMessage, error)
	// Stop ends a task.
	Stop(ctx context.Context, t Target, taskID, user string) error
	// Events follows a workflow run that goes on.
	Events(ctx context.Context, t Target, workflowRunID, user string, o EventOptions) (Stream, error)
	// Outcome asks whether a workflow run is over, and how it ended.
	Outcome(ctx context.Context, t Target, workflowRunID string) (Outcome, error)
	// Upload passes a file on while it is read, and gives the body once all of it has been
	// read: when the reading fails, the runtime must not take what it has for a whole file.
	Upload(ctx context.Context, t Target, user string, f File) (json.RawMessage, error)
	// Form gives the body of a form that waits for somebody.
	Form(ctx context.Context, t Target, formToken string) (json.RawMessage, error)
	// Submit answers a form.
	Submit(ctx context.Context, t Target, formToken, user, action string, inputs json.RawMessage) error
	// DeleteConversation forgets a conversation of the user.
	DeleteConversation(ctx context.Context, t Target, conversationID, user string) error
}

// Stream is the events of a run as they come.
type Stream interface {
	// Next waits for the next event. After the last it returns io.EOF; anything else is a
	// failure of this package's vocabulary. The event is valid until the next call.
	Next() (Event, error)
	// Ready reports whether Next has another whole event at hand, so that two that came
	// together leave together.
	Ready() bool
	// Close ends the run's connection; it may be called while Next waits.
	Close() error
}

// Event is one event of a run.
type Event struct {
	// Frame is the event as it goes to the client, its blank line included.
	Frame []byte
	// Name is the event's; ping for one without data.
	Name string
	// TaskID and WorkflowRunID are what the event names, empty for none.
	TaskID, WorkflowRunID string
	// Failed: the event says that the run ended badly.
	Failed bool
}

// Final reports whether a run may end after this event.
func (e Event) Final() bool {
	switch e.Name {
	case "message_end", "workflow_finished", "workflow_paused", "human_input_required", "error":
		return true
	}
	return false
}

// UserOf names a subject to runtimes: stable, opaque, never an e-mail, and of two issuers
// never alike.
func UserOf(s token.Subject) string {
	d := sha256.Sum256([]byte(s.Issuer + "\n" + s.ID))
	return "u_" + hex.EncodeToString(d[:])
}
