// SPDX-License-Identifier: Apache-2.0

package spkeys

import "github.com/dify-sso/dify-sso/pkg/fault"

// Refusals. A refusal has written nothing.
var (
	// ErrNoNext: the connection has no staged key.
	ErrNoNext = fault.New(fault.Conflict, "sp_key_not_staged", "The connection has no staged key.").Hinted("Stage one first: sso-bridge connection keys stage ID.")
	// ErrStaged: a connection has one staged key at most.
	ErrStaged = fault.New(fault.Conflict, "sp_key_staged", "A key is staged already. Promote or retire it first.")
	// ErrNotProven: nothing says that the provider knows the staged key. Requests signed
	// with it could be refused, each of them.
	ErrNotProven = fault.New(fault.Conflict, "sp_key_not_proven", "Nobody has fetched the metadata since the key was staged, and no test has passed with it.").
			Hinted("Test it by a sign-in (sso-bridge connection test ID --next-key), or promote it by force with a reason.")
	// ErrCurrent: the key signs; only a successor ends it.
	ErrCurrent = fault.New(fault.Conflict, "sp_key_current", "The key signs now. Stage and promote another one.")
	// ErrUnknown: the connection has no such key.
	ErrUnknown = fault.New(fault.NotFound, "sp_key_unknown", "The connection has no such key.")
	// ErrMoved: somebody else has changed the key at the same time.
	ErrMoved = fault.New(fault.Conflict, "sp_key_moved", "The key was changed meanwhile. Look at the keys again.")
	// ErrInvalid: an order's values do not hold; details name them.
	ErrInvalid = fault.New(fault.Unprocessable, "invalid_param", "The order's values do not hold.")
)
