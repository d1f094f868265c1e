// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Shelf says what a record is, so that one of one kind is never taken for another.
type Shelf string

// The shelves.
const (
	Tickets Shelf = "t" // a start ticket's digest: which attempt it begins
	Handles Shelf = "h" // a handle's digest: the attempt's record
	Results Shelf = "v" // the digest of a result's ticket: what a connection test found
)

var (
	// ErrNoRecord: nothing lies there, or no more.
	ErrNoRecord = errors.New("login: no such record")
	// ErrTaken: it was taken before.
	ErrTaken = errors.New("login: the record was taken before")
	// ErrFull: the store holds as many as it may.
	ErrFull = errors.New("login: the store of records is full")
)

// Records is the short-lived store. It sees digests and sealed values alone.
//
// Take answers each call for itself: whoever hears a failure knows that the record may
// be gone, and nobody is told that it was taken who may have taken it. So
// an implementation asks its server once and repeats nothing.
type Records interface {
	// Put keeps a sealed value for life; ErrFull when there is no room.
	Put(ctx context.Context, shelf Shelf, d secret.Digest, sealed []byte, life time.Duration) error
	// Read gives a value and leaves it; ErrNoRecord or ErrTaken when it is not there.
	Read(ctx context.Context, shelf Shelf, d secret.Digest) ([]byte, error)
	// Take gives a value to one of all callers and remembers, for the rest of its life,
	// that it was taken: the others hear ErrTaken. Of what never was or is over it
	// returns ErrNoRecord.
	Take(ctx context.Context, shelf Shelf, d secret.Digest) ([]byte, error)
}
