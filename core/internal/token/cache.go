// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// How long a Cache keeps what it knows (docs/specs/v1.0/server/tokens.md, Cache).
const (
	// LiveFor is counted from the read of the row: a revoke whose tombstone was lost
	// holds after it at the latest.
	LiveFor = 30 * time.Second
	// UnknownFor spares SQL a caller that repeats a dead token.
	UnknownFor = 10 * time.Second
	// BuriedFor outlives every positive that was read before the revoke.
	BuriedFor = 60 * time.Second
)

// Finding is what a Cache knows of a digest.
type Finding uint8

// The findings. The zero value sends the caller to the registry.
const (
	Missing Finding = iota // nothing is known
	Live                   // Remembered.Context is the token's
	Unknown                // the registry did not know it a moment ago
	Buried                 // it was ended; the registry need not be asked
)

// Remembered is one answer of a Cache.
type Remembered struct {
	Finding Finding
	Context Context
}

// Context is what a Cache remembers of a live token: who it stands for, and until
// when. Scopes are a property of the kind and are not in it; neither is the token.
type Context struct {
	SessionID   string
	Subject     Subject
	AccountName string
	WorkspaceID string // of the approval; empty when there was none
	ClientID    string
	Label       string
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// Cache is the one place beside the registry that knows of tokens. A failure means
// that it could not be asked; whoever reads then asks the registry and writes nothing.
type Cache interface {
	// Get gives what is known of a digest.
	Get(ctx context.Context, d secret.Digest, now time.Time) (Remembered, error)
	// Remember keeps a live token for life, unless there is an entry already: a reader
	// that loaded the row before a revoke never undoes its tombstone.
	Remember(ctx context.Context, d secret.Digest, c Context, now time.Time, life time.Duration) error
	// RememberUnknown keeps for UnknownFor that the registry does not know a digest,
	// unless there is an entry already.
	RememberUnknown(ctx context.Context, d secret.Digest, now time.Time) error
	// Bury puts a tombstone over whatever is there, for BuriedFor. All of them stand
	// when it returns nil.
	Bury(ctx context.Context, now time.Time, digests ...secret.Digest) error
	// Forget removes the entry of a digest that was minted just now, so that no
	// "unknown" hides it.
	Forget(ctx context.Context, d secret.Digest) error
}

var errStored = errors.New("token: no context")

// storedContext is the compact form of a Context outside the process.
type storedContext struct {
	SessionID  string `json:"s"`
	Issuer     string `json:"i"`
	SubjectID  string `json:"u"`
	Email      string `json:"e"`
	AccountID  string `json:"a,omitempty"`
	Connection string `json:"k,omitempty"`
	Name       string `json:"n,omitempty"`
	Workspace  string `json:"w,omitempty"`
	ClientID   string `json:"c"`
	Label      string `json:"l"`
	CreatedAt  int64  `json:"t"` // microseconds of the Unix epoch
	ExpiresAt  int64  `json:"x"`
}

// MarshalJSON implements json.Marshaler.
func (c Context) MarshalJSON() ([]byte, error) {
	return json.Marshal(storedContext{
		SessionID: c.SessionID, Issuer: c.Subject.Issuer, SubjectID: c.Subject.ID, Email: c.Subject.Email, AccountID: c.Subject.AccountID,
		Connection: c.Subject.ConnectionID, Name: c.AccountName, Workspace: c.WorkspaceID, ClientID: c.ClientID, Label: c.Label, CreatedAt: c.CreatedAt.UnixMicro(), ExpiresAt: c.ExpiresAt.UnixMicro(),
	})
}

// UnmarshalJSON implements json.Unmarshaler. What lacks a session, a subject or an
// end is an error: a store treats it as a miss.
func (c *Context) UnmarshalJSON(text []byte) error {
	var s storedContext
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if s.SessionID == "" || s.Issuer == "" || s.SubjectID == "" || s.ExpiresAt == 0 || (s.Issuer == AccountIssuer) != (s.AccountID != "") {
		return errStored
	}
	*c = Context{
		SessionID: s.SessionID, Subject: Subject{Issuer: s.Issuer, ID: s.SubjectID, Email: s.Email, AccountID: s.AccountID, ConnectionID: s.Connection},
		AccountName: s.Name, WorkspaceID: s.Workspace, ClientID: s.ClientID, Label: s.Label,
		CreatedAt: time.UnixMicro(s.CreatedAt).UTC(), ExpiresAt: time.UnixMicro(s.ExpiresAt).UTC(),
	}
	return nil
}
