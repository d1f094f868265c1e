// SPDX-License-Identifier: Apache-2.0

package storetest

import "github.com/dify-sso/dify-sso/pkg/faulttest"

// ErrInjected is what a planned fault returns unless it names another error.
var ErrInjected = faulttest.ErrInjected

// The modes of a fault.
const (
	Fail      = faulttest.Fail
	Hang      = faulttest.Hang
	LoseReply = faulttest.LoseReply
	Pass      = faulttest.Pass
)

// Fault is one thing that goes wrong. Statements of token.Tx are "Tx.LockEpochs" and so
// on, and "Tx.Commit" is the end of InTx.
type Fault = faulttest.Fault

// Mode says what a fault does to its call.
type Mode = faulttest.Mode

// Faults is a plan and a count of calls.
type Faults = faulttest.Faults
