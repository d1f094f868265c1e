// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// Service is the name by which commands and the server know each other.
const Service = "sso-bridge"

// The names of the operations on the wire.
const (
	opCreate     = "connection-create"
	opUpdate     = "connection-update"
	opList       = "connections"
	opShow       = "connection"
	opTest       = "connection-test"
	opEnable     = "connection-enable"
	opDisable    = "connection-disable"
	opDelete     = "connection-delete"
	opRevisions  = "connection-revisions"
	opRestore    = "connection-restore"
	opKeys       = "connection-keys"
	opStage      = "connection-keys-stage"
	opPromote    = "connection-keys-promote"
	opRetire     = "connection-keys-retire"
	opMetadata   = "connection-metadata"
	opRefresh    = "connection-metadata-refresh"
	opAccept     = "connection-metadata-accept"
	opReject     = "connection-metadata-reject"
	opAttempts   = "attempts"
	opAttempt    = "attempt"
	opSecretKey  = "rotate-secret-key"
	opSealingKey = "rotate-sealing-key"
	opSnapshot   = "snapshot"
	opBundle     = "support-bundle"
)

// maxConnection is the longest order that has a connection, in bytes: pasted metadata of
// 1 MiB, in which every character may be escaped twice.
const maxConnection = 5 << 20

// copyLimit bounds the copy of a database, which grows with it.
const copyLimit = 10 * time.Minute

var slow = control.Slow{opSnapshot: copyLimit}

var large = control.Large{opCreate: maxConnection, opUpdate: maxConnection}

// NewServer makes a server of the bridge's operations; Service, Operations, Slow and Large of d
// are filled in.
func NewServer(as func(by control.Caller) operator.Operations, d control.Deps) (*control.Server, error) {
	d.Service, d.Operations, d.Slow, d.Large = Service, operations(as), slow, large
	return control.NewServer(d)
}

// operations are all that a client can ask; as gives them in the name of who asks.
func operations(as func(by control.Caller) operator.Operations) map[string]control.Operation {
	type none = struct{}
	return map[string]control.Operation{
		opCreate: takes(as, operator.Operations.CreateConnection),
		opUpdate: takes(as, operator.Operations.UpdateConnection),
		opList: takes(as, func(o operator.Operations, ctx context.Context, _ none) (operator.Connections, error) {
			return o.Connections(ctx)
		}),
		opShow:      takes(as, operator.Operations.Connection),
		opTest:      takes(as, operator.Operations.TestConnection),
		opEnable:    takes(as, operator.Operations.EnableConnection),
		opDisable:   takes(as, operator.Operations.DisableConnection),
		opDelete:    takes(as, operator.Operations.DeleteConnection),
		opRevisions: takes(as, operator.Operations.Revisions),
		opRestore:   takes(as, operator.Operations.RestoreRevision),
		opKeys:      takes(as, operator.Operations.SigningKeys),
		opStage:     takes(as, operator.Operations.StageKey),
		opPromote:   takes(as, operator.Operations.PromoteKey),
		opRetire:    takes(as, operator.Operations.RetireKey),
		opMetadata:  takes(as, operator.Operations.Metadata),
		opRefresh:   takes(as, operator.Operations.RefreshMetadata),
		opAccept:    takes(as, operator.Operations.AcceptMetadata),
		opReject:    takes(as, operator.Operations.RejectMetadata),
		opAttempts:  takes(as, operator.Operations.Attempts),
		opAttempt:   takes(as, operator.Operations.Attempt),
		opSecretKey: takes(as, func(o operator.Operations, ctx context.Context, _ none) (ownkeys.Rotation, error) {
			return o.RotateSecretKey(ctx)
		}),
		opSealingKey: takes(as, func(o operator.Operations, ctx context.Context, _ none) (operator.SealingKey, error) {
			return o.RotateSealingKey(ctx)
		}),
		opSnapshot: takes(as, func(o operator.Operations, ctx context.Context, _ none) (backup.Snapshot, error) {
			return o.Snapshot(ctx)
		}),
		opBundle: takes(as, func(o operator.Operations, ctx context.Context, _ none) (operator.Bundle, error) {
			return o.Bundle(ctx)
		}),
	}
}

// takes makes an operation of a method.
func takes[Q, A any](as func(by control.Caller) operator.Operations, do func(o operator.Operations, ctx context.Context, q Q) (A, error)) control.Operation { //nolint:revive // a method expression has its receiver first
	return control.Takes(func(ctx context.Context, by control.Caller, q Q) (A, error) { return do(as(by), ctx, q) })
}

// Client has a serving bridge do what a command asks.
type Client struct{ *control.Client }

var _ operator.Operations = Client{}

// Connect greets the bridge that serves at the socket. It returns control.ErrNoService
// when there is none.
func Connect(ctx context.Context, path, version string) (Client, error) {
	c, err := control.Connect(ctx, Service, path, version, slow)
	return Client{c}, err
}

// CreateConnection implements operator.Operations.
func (c Client) CreateConnection(ctx context.Context, q operator.Change) (operator.Connection, error) {
	return control.Call[operator.Connection](ctx, c.Client, opCreate, q)
}

// UpdateConnection implements operator.Operations.
func (c Client) UpdateConnection(ctx context.Context, q operator.Change) (operator.Connection, error) {
	return control.Call[operator.Connection](ctx, c.Client, opUpdate, q)
}

// Connections implements operator.Operations.
func (c Client) Connections(ctx context.Context) (operator.Connections, error) {
	return control.Call[operator.Connections](ctx, c.Client, opList, struct{}{})
}

// Connection implements operator.Operations.
func (c Client) Connection(ctx context.Context, q operator.Ref) (operator.Connection, error) {
	return control.Call[operator.Connection](ctx, c.Client, opShow, q)
}

// TestConnection implements operator.Operations.
func (c Client) TestConnection(ctx context.Context, q operator.Test) (operator.TestBegun, error) {
	return control.Call[operator.TestBegun](ctx, c.Client, opTest, q)
}

// EnableConnection implements operator.Operations.
func (c Client) EnableConnection(ctx context.Context, q operator.Enable) (operator.Connection, error) {
	return control.Call[operator.Connection](ctx, c.Client, opEnable, q)
}

// DisableConnection implements operator.Operations.
func (c Client) DisableConnection(ctx context.Context, q operator.End) (operator.Ended, error) {
	return control.Call[operator.Ended](ctx, c.Client, opDisable, q)
}

// DeleteConnection implements operator.Operations.
func (c Client) DeleteConnection(ctx context.Context, q operator.End) (operator.Ended, error) {
	return control.Call[operator.Ended](ctx, c.Client, opDelete, q)
}

// Revisions implements operator.Operations.
func (c Client) Revisions(ctx context.Context, q operator.Ref) (operator.Revisions, error) {
	return control.Call[operator.Revisions](ctx, c.Client, opRevisions, q)
}

// RestoreRevision implements operator.Operations.
func (c Client) RestoreRevision(ctx context.Context, q operator.Restore) (operator.Connection, error) {
	return control.Call[operator.Connection](ctx, c.Client, opRestore, q)
}

// SigningKeys implements operator.Operations.
func (c Client) SigningKeys(ctx context.Context, q operator.Ref) (operator.SigningKeys, error) {
	return control.Call[operator.SigningKeys](ctx, c.Client, opKeys, q)
}

// StageKey implements operator.Operations.
func (c Client) StageKey(ctx context.Context, q operator.Ref) (operator.SigningKeys, error) {
	return control.Call[operator.SigningKeys](ctx, c.Client, opStage, q)
}

// PromoteKey implements operator.Operations.
func (c Client) PromoteKey(ctx context.Context, q operator.PromoteKey) (operator.SigningKeys, error) {
	return control.Call[operator.SigningKeys](ctx, c.Client, opPromote, q)
}

// RetireKey implements operator.Operations.
func (c Client) RetireKey(ctx context.Context, q operator.RetireKey) (operator.SigningKeys, error) {
	return control.Call[operator.SigningKeys](ctx, c.Client, opRetire, q)
}

// Metadata implements operator.Operations.
func (c Client) Metadata(ctx context.Context, q operator.MetadataRef) (operator.Metadata, error) {
	return control.Call[operator.Metadata](ctx, c.Client, opMetadata, q)
}

// RefreshMetadata implements operator.Operations.
func (c Client) RefreshMetadata(ctx context.Context, q operator.MetadataRef) (operator.Metadata, error) {
	return control.Call[operator.Metadata](ctx, c.Client, opRefresh, q)
}

// AcceptMetadata implements operator.Operations.
func (c Client) AcceptMetadata(ctx context.Context, q operator.MetadataRef) (operator.Metadata, error) {
	return control.Call[operator.Metadata](ctx, c.Client, opAccept, q)
}

// RejectMetadata implements operator.Operations.
func (c Client) RejectMetadata(ctx context.Context, q operator.MetadataRef) (operator.Metadata, error) {
	return control.Call[operator.Metadata](ctx, c.Client, opReject, q)
}

// Attempts implements operator.Operations.
func (c Client) Attempts(ctx context.Context, q operator.AttemptQuery) (operator.Attempts, error) {
	return control.Call[operator.Attempts](ctx, c.Client, opAttempts, q)
}

// Attempt implements operator.Operations.
func (c Client) Attempt(ctx context.Context, q operator.Ref) (login.Report, error) {
	return control.Call[login.Report](ctx, c.Client, opAttempt, q)
}

// RotateSecretKey implements operator.Operations.
func (c Client) RotateSecretKey(ctx context.Context) (ownkeys.Rotation, error) {
	return control.Call[ownkeys.Rotation](ctx, c.Client, opSecretKey, struct{}{})
}

// RotateSealingKey implements operator.Operations.
func (c Client) RotateSealingKey(ctx context.Context) (operator.SealingKey, error) {
	return control.Call[operator.SealingKey](ctx, c.Client, opSealingKey, struct{}{})
}

// Snapshot implements operator.Operations.
func (c Client) Snapshot(ctx context.Context) (backup.Snapshot, error) {
	return control.Call[backup.Snapshot](ctx, c.Client, opSnapshot, struct{}{})
}

// Bundle implements operator.Operations.
func (c Client) Bundle(ctx context.Context) (operator.Bundle, error) {
	return control.Call[operator.Bundle](ctx, c.Client, opBundle, struct{}{})
}
