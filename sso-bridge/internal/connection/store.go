// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
)

// Record is a revision as a store keeps it.
type Record struct {
	ConnectionID string
	Hash         string
	// Seq is given by the store: 1, 2 and so on for each connection.
	Seq int
	// Config is the JSON that was hashed, byte by byte.
	Config string
	// Sealed holds the secrets; empty when there are none, or none to be stored.
	Sealed          string
	CreatedAt       time.Time
	CreatedBy       string
	TestedAt        *time.Time
	TestedBy        string
	TestedReference string
	ForcedReason    string
}

// Entry is a message for core that waits to be acknowledged.
type Entry struct {
	ID      string
	Kind    string
	Payload string
	// NextAt is when it is tried next; Tries counts those that were begun.
	NextAt time.Time
	Tries  int
}

// Store keeps connections.
type Store interface {
	Reader
	// InTx runs fn in one transaction. Writers are serial: what fn has read stays so until
	// it ends, on whatever replica. Any error but that of the commit itself means that
	// nothing was written.
	InTx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Records gives all revisions of a connection, the newest first.
	Records(ctx context.Context, id string) ([]Record, error)
	// DomainOwner gives the connection that claims a domain, or an empty id.
	DomainOwner(ctx context.Context, domain string) (id string, err error)
	// Due gives at most so many messages that are to be tried at a time, the oldest first.
	Due(ctx context.Context, now time.Time, most int) ([]Entry, error)
	// ClaimEntry puts a message off until next and counts a try, for one of all that have
	// read the same entry; ok is false for the others.
	ClaimEntry(ctx context.Context, e Entry, next time.Time) (ok bool, err error)
	// Acknowledged marks a message as done.
	Acknowledged(ctx context.Context, id string, now time.Time) error
}

// Reader reads connections.
type Reader interface {
	// Find gives a connection, also a deleted one, or ErrUnknown.
	Find(ctx context.Context, id string) (Connection, error)
	// All gives the connections that are not deleted, by position, then name, then id.
	All(ctx context.Context) ([]Connection, error)
	// Record gives one revision, or ErrUnknownRevision.
	Record(ctx context.Context, id, hash string) (Record, error)
	// IssuerOwner gives the connection that has an issuer, be it deleted, or an empty id.
	IssuerOwner(ctx context.Context, issuer string) (id string, err error)
}

// Tx is what a transaction can do, each method one step.
type Tx interface {
	Reader
	// Insert adds a connection, or returns ErrExists.
	Insert(ctx context.Context, c Connection) error
	// Save writes a connection that is there. At most one that is not deleted is the
	// default.
	Save(ctx context.Context, c Connection) error
	// AddRecord adds a revision under the connection's next number.
	AddRecord(ctx context.Context, r Record) error
	// StoreSecrets gives a revision the sealed secrets that it was stored without.
	StoreSecrets(ctx context.Context, id, hash, sealed string) error
	// MarkTested notes the newest test that a revision has passed.
	MarkTested(ctx context.Context, id, hash, by, reference string, at time.Time) error
	// MarkForced notes why a revision was enabled without a test.
	MarkForced(ctx context.Context, id, hash, reason string) error
	// FreeDomains gives up the domains of a connection but those to keep.
	FreeDomains(ctx context.Context, id string, keep []string) error
	// TakeDomain claims a domain, or returns ErrDomainTaken; the transaction can go on.
	TakeDomain(ctx context.Context, id, domain string) error
	// TakeIssuer gives an issuer to a connection, whoever has it.
	TakeIssuer(ctx context.Context, issuer, id string) error
	// Tell adds a message for core.
	Tell(ctx context.Context, e Entry) error
	// Append writes audit events in this transaction.
	Append(ctx context.Context, events ...audit.Event) error
}

// Core is what the bridge tells core. An error means that core has not acknowledged;
// it may have acted all the same, and a repeat does no harm.
type Core interface {
	// RevokeConnection ends what people are signed in to through a connection.
	RevokeConnection(ctx context.Context, connectionID, reason, actor string) (tokens, sessions int, err error)
	// Unlink takes the identities of an issuer from their accounts.
	Unlink(ctx context.Context, issuer, reason, actor string) (unlinked int, err error)
}
