// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"

	"github.com/dify-sso/dify-sso/pkg/canon"
)

// Caller is a command that asks a service for something.
type Caller struct {
	// Service is the program's name, such as core.
	Service string
	// User is the operating system's name of who has called it.
	User string
	// Version is the command's own.
	Version string
}

// maxUser is how many characters of a user's name are kept.
const maxUser = 64

// Actor names the operator in the audit trail.
func (c Caller) Actor() Actor {
	user, ok := canon.Text(c.User, maxUser)
	if !ok {
		user = "unknown"
	}
	return Actor{Type: Operator.Type, ID: "cli:" + user}
}

// Request gives ctx an id for what the caller asks now; events and log lines carry it.
func (c Caller) Request(ctx context.Context) (with context.Context, id string) {
	id = canon.NewID()
	return WithRequest(ctx, Request{ID: id, UserAgent: c.Service + "/" + c.Version}), id
}
