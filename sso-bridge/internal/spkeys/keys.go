// SPDX-License-Identifier: Apache-2.0

package spkeys

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
)

// State is where a key stands.
type State string

// The states. A staged key is published and signs nothing but tests; a retiring one is
// published for RetiringFor after its successor was promoted.
const (
	Next     State = "next"
	Current  State = "current"
	Retiring State = "retiring"
	Retired  State = "retired"
)

// The life of a key.
const (
	Bits        = 3072
	Life        = 3 * 365 * 24 * time.Hour
	RetiringFor = 30 * 24 * time.Hour
)

// Key is a key without its private part.
type Key struct {
	ID             string
	ConnectionID   string
	State          State
	Certificate    *x509.Certificate // a store leaves it out
	NotAfter       time.Time
	StagedAt       time.Time
	PromotedAt     *time.Time
	RetiringAt     *time.Time
	RetiredAt      *time.Time
	MetadataSeenAt *time.Time // when our metadata was last fetched while the key was staged
	TestedAt       *time.Time // when a test signed with it has passed
}

// Proven reports that the key may sign without force: somebody has fetched metadata that
// names it, or a test signed with it has passed.
func (k Key) Proven() bool { return k.MetadataSeenAt != nil || k.TestedAt != nil }

// Signer is a key that signs.
type Signer struct {
	Key
	Private *rsa.PrivateKey
}

// Record is a key as a store keeps it. Sealed is the private key, PKCS #8 in DER, sealed
// for the place sso_sp_keys/<id>/private_sealed.
type Record struct {
	Key
	CertificateDER string // standard base64
	Sealed         string
}

// Store keeps keys. Each method is one transaction; events given to it are written with
// the row or not at all.
type Store interface {
	// Keys gives all keys of a connection, the newest first.
	Keys(ctx context.Context, connectionID string) ([]Record, error)
	// Add adds a key unless the connection has one of its state, current or next; added is
	// false then.
	Add(ctx context.Context, r Record, events ...audit.Event) (added bool, err error)
	// Promote makes the key that is next the current one and the current one retiring, in
	// one step; ErrMoved when next is not that key any more.
	Promote(ctx context.Context, connectionID, nextID string, now time.Time, events ...audit.Event) error
	// Retire ends a key that is next or retiring; ErrMoved when it is neither.
	Retire(ctx context.Context, id string, now time.Time, events ...audit.Event) error
	// Seen notes that metadata with the key was fetched, if the key is next.
	Seen(ctx context.Context, id string, now time.Time) error
	// Tested notes that a test signed with the key has passed, if the key is next.
	Tested(ctx context.Context, id string, now time.Time) error
	// RetiringBefore gives at most limit keys that have been retiring since before a time,
	// the oldest first.
	RetiringBefore(ctx context.Context, before time.Time, limit int) ([]Record, error)
	// Ends gives when the current key of each connection ends that is not deleted.
	Ends(ctx context.Context) (map[string]time.Time, error)
}
