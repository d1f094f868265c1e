// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"strings"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Refusals of a change. A refusal has written nothing.
var (
	// ErrInvalid is a connection or an order whose members do not hold; details name them.
	ErrInvalid = fault.New(fault.Unprocessable, "invalid_param", "The connection's values do not hold.")
	// ErrExists: the id is or was another connection's; an id is never used again.
	ErrExists = fault.New(fault.Conflict, "connection_exists", "A connection has or had this id. Choose another.")
	// ErrIssuerTaken: the issuer belongs to another connection, be it a deleted one.
	ErrIssuerTaken = fault.New(fault.Conflict, "issuer_taken", "Another connection has or had this issuer.")
	// ErrDomainTaken: one domain belongs to one connection.
	ErrDomainTaken = fault.New(fault.Conflict, "domain_taken", "Another connection owns one of these domains.")
	// ErrConflict: the revision that the caller has seen is not the head any more.
	ErrConflict = fault.New(fault.Precondition, "revision_conflict", "The connection was changed meanwhile. Read it again.")
	// ErrMatchRequired: a change names the revision that it was made from.
	ErrMatchRequired = fault.New(fault.PreconditionMissing, "precondition_required", "Name the revision that you have changed.")
	// ErrManagedByFile: the connections file wins over every other change.
	ErrManagedByFile = fault.New(fault.Conflict, "connection_managed_by_file", "This connection is declared in the connections file. Change it there.")
	// ErrNotTested: no sign-in has passed on exactly this revision.
	ErrNotTested = fault.New(fault.Conflict, "connection_not_tested", "No test has passed on this revision.").
			Hinted("Test it first, or enable it by force with a reason.")
	// ErrEnabled: a connection is disabled before it is deleted.
	ErrEnabled = fault.New(fault.Conflict, "connection_enabled", "The connection is enabled. Disable it first.")
	// ErrIncomplete: something is missing without which no sign-in can succeed; details
	// name it.
	ErrIncomplete = fault.New(fault.Unprocessable, "connection_incomplete", "The connection is not complete.")
	// ErrSubjectChanges: people who have signed in would be taken for others.
	ErrSubjectChanges = fault.New(fault.Conflict, "subject_changes", "Another subject makes a new person of everybody who has signed in through this connection.").
				Hinted("Leave the subject as it is, or change it by force with a reason; in the connections file that is enable: force.")
	// ErrUnknownRevision: the connection has no such revision.
	ErrUnknownRevision = fault.New(fault.NotFound, "revision_unknown", "The connection has no such revision.")
)

// Refusals of a choice for a login; ErrUnknown is also that of a change.
var (
	// ErrUnknown: no such connection, or, to a login, none that is enabled for it. What a
	// login learns of a draft, a disabled, a deleted one and of none is the same.
	ErrUnknown = fault.New(fault.NotFound, "connection_unknown", "There is no such connection, or it does not serve this.")
	// ErrNotConfigured: no connection is enabled for the intent.
	ErrNotConfigured = fault.New(fault.NotFound, "sso_not_configured", "No connection is enabled for this.")
	// ErrUnroutable: nobody owns the domain of the e-mail, and no connection is the default.
	ErrUnroutable = fault.New(fault.NotFound, "email_domain_unroutable", "No enabled connection owns this domain.")
	// ErrChoiceRequired: several connections are possible, and none was named.
	ErrChoiceRequired = fault.New(fault.Conflict, "connection_choice_required", "Several connections are possible. Name one.")
)

// Problem is why a declaration of the connections file is refused. An empty ID is a
// problem of the whole file.
type Problem struct {
	ID  string
	Err error
}

// Problems is why the connections file is refused: all of it, and with all reasons.
type Problems []Problem

// Error lists the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = "connection " + one.ID + ": " + explained(one.Err)
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives every reason.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, one := range p {
		errs[i] = one.Err
	}
	return errs
}

// explained gives a refusal with its fields, for an operator who has no body to read.
func explained(err error) string {
	f := fault.Of(err)
	text := f.Code() + ": " + f.Text()
	for _, d := range f.Details() {
		text += " " + location(d.Loc) + ": " + d.Msg + "."
	}
	return text
}

func location(loc []any) string {
	parts := make([]string, 0, len(loc))
	for _, l := range loc {
		if s, ok := l.(string); ok {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ".")
}
