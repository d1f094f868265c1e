// SPDX-License-Identifier: Apache-2.0

package connection

// The policies by which a declaration is enabled.
const (
	EnableTested = "tested" // as soon as a test of exactly this content has passed
	EnableForce  = "force"  // at once, with a reason
)

// Declaration is one connection of the connections file, with its preset resolved and
// its secrets read.
type Declaration struct {
	ID, Name, Button string
	Listed, Default  bool
	Position         int
	Intents          []Intent
	Config           Config
	// Secrets are in clear. SecretsInFiles says that they were read from files of their
	// own: they are kept in memory and stored nowhere.
	Secrets        Secrets
	SecretsInFiles bool
	// Enable is EnableTested or EnableForce, which needs Reason.
	Enable string
	Reason string
	// TakeOverIssuer is the reason for which the issuer of a deleted connection is taken
	// over; empty refuses that.
	TakeOverIssuer string
}
