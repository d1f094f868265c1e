// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// State is where a document stands.
type State string

// The states.
const (
	Current  State = "current"
	Pending  State = "pending"
	Rejected State = "rejected"
	Past     State = "past"
)

// Version is one document of a source, reduced to what is used of it.
type Version struct {
	ID           string
	ConnectionID string
	Source       string // the address
	State        State
	Facts        idpmetadata.IdP // of a discovery document the issuer alone, as EntityID
	// Endpoints are those of a discovery document; nil for metadata of SAML.
	Endpoints    *connection.OIDCEndpoints
	Terms        idpmetadata.Terms
	Digest       string // of the facts
	ETag         string
	LastModified string
	Diff         []idpmetadata.Change // against what served when it was applied or held
	FetchedAt    time.Time
	CheckedAt    time.Time // when the source last answered well, also "not modified"
	DueAt        time.Time // when it is asked again
	Failure      string    // why the last try failed; empty after a good one
	DecidedBy    string
	DecidedAt    *time.Time
}

// Store keeps documents. Each method is one transaction; events given to it are written
// with the rows or not at all.
type Store interface {
	// Find gives the document of a source in a state, current or pending, or ErrNone.
	Find(ctx context.Context, connectionID, source string, s State) (Version, error)
	// All gives the documents of a connection, the newest first, at most limit.
	All(ctx context.Context, connectionID string, limit int) ([]Version, error)
	// Refused reports whether a document of the source with the digest was rejected.
	Refused(ctx context.Context, connectionID, source, digest string) (bool, error)
	// Begin adds the first current document of a source, and gives its entity id to the
	// connection; the issuer of a discovery document is the configuration's to claim. It returns ErrExists when there is one, connection.ErrIssuerTaken when
	// the entity id is another connection's, deleted or not.
	Begin(ctx context.Context, v Version, events ...audit.Event) error
	// Apply makes v the current document in the place of the one that has the id from, which
	// becomes past; what was pending is over. ErrMoved when from is not current any more.
	Apply(ctx context.Context, from string, v Version, events ...audit.Event) error
	// Hold makes v the pending document of its source, in the place of another that is. It
	// was compared with the document that has the id against: ErrMoved when that is not
	// current any more.
	Hold(ctx context.Context, against string, v Version, events ...audit.Event) error
	// Withdraw makes a pending document past. ErrMoved when it is not pending any more.
	Withdraw(ctx context.Context, id string, events ...audit.Event) error
	// Decide makes a pending document current, and the current one past, or rejects it.
	// With the current one goes its entity id, which stays the connection's: ErrMoved when
	// it is not pending any more, connection.ErrIssuerTaken as Begin.
	Decide(ctx context.Context, id string, accept bool, by string, now time.Time, events ...audit.Event) error
	// Checked notes a try at a current document: facts of the same digest, what the source
	// said of itself, when it is due again, why it failed. One that is not current any more
	// is left alone.
	Checked(ctx context.Context, v Version) error
	// Due gives at most limit current documents that are due, the oldest first, but those
	// of connections that are deleted.
	Due(ctx context.Context, now time.Time, limit int) ([]Version, error)
	// Waiting gives the pending documents of connections that are not deleted.
	Waiting(ctx context.Context) ([]Version, error)
}

var (
	// ErrNone: the source has no such document.
	ErrNone = errors.New("idpsource: no such document")
	// ErrExists: the source has a current document.
	ErrExists = errors.New("idpsource: the source has a document")
	// ErrMoved: the document is not in the state from which it was to move.
	ErrMoved = errors.New("idpsource: the document has moved on")
)

// Refusals of what an administrator asks for. A refusal has changed nothing that serves.
var (
	// ErrNotPending: there is no document that waits for a decision.
	ErrNotPending = fault.New(fault.Conflict, "metadata_not_pending", "No metadata of this connection waits for a decision.")
	// ErrOther: another document waits than the one that was looked at.
	ErrOther = fault.New(fault.Conflict, "metadata_other", "Another document waits than the one that you have seen. Look at what it changes.")
	// ErrNoAddress: the connection's facts are configured, and are changed there.
	ErrNoAddress = fault.New(fault.Conflict, "metadata_configured", "This connection reads no metadata from an address. Change its configuration.")
	// ErrUnreachable: the address did not answer, or its document is not acceptable; the
	// detail says why. What was good last serves.
	ErrUnreachable = fault.New(fault.Unavailable, "metadata_unreachable", "The provider's metadata could not be read, or is not acceptable.")
	// ErrEntityID: the configuration names another entity id than the document has.
	ErrEntityID = fault.New(fault.Conflict, "metadata_entity_id", "The document is of another entity id than the connection names. Change the connection first.")
)
