// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
)

// Enable lets logins use a revision, which is the head. Force enables one that no test
// has passed. It returns ErrInvalid, ErrUnknown, ErrUnknownRevision, ErrConflict for a
// revision that is not the head, ErrIncomplete or ErrNotTested. One that serves already
// is left as it is.
func (s *Service) Enable(ctx context.Context, id, hash string, a Act) (View, error) {
	if err := a.check(); err != nil {
		return View{}, err
	}
	err := s.write(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		row, err := live(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		head, err := record(ctx, tx, id, hash)
		if err != nil {
			return nil, err
		}
		if hash != row.Head {
			return nil, ErrConflict
		}
		return serve(ctx, tx, now, row, head, a)
	})
	if err != nil {
		return View{}, err
	}
	return s.Show(ctx, id)
}

// serve makes the head the revision that serves.
func serve(ctx context.Context, tx Tx, now time.Time, row Connection, head Record, a Act) ([]audit.Event, error) {
	config, err := decoded(head)
	if err != nil {
		return nil, err
	}
	if err := config.complete(); err != nil {
		return nil, err
	}
	forced := head.TestedAt == nil
	if forced && !a.Force {
		return nil, ErrNotTested
	}
	if row.State == Enabled && row.Serving == head.Hash {
		return nil, nil
	}
	if err := mayServeAt(ctx, tx, row.ID, config); err != nil {
		return nil, err
	}
	if forced {
		if err := tx.MarkForced(ctx, row.ID, head.Hash, a.Reason); err != nil {
			return nil, err
		}
	}
	previous := row.Serving
	row.State, row.Serving, row.UpdatedAt = Enabled, head.Hash, now
	if err := tx.Save(ctx, row); err != nil {
		return nil, err
	}
	if err := claimDomains(ctx, tx, row.ID, config.Domains); err != nil {
		return nil, err
	}
	var event audit.Details = enabled{Connection: row.ID, Revision: head.Hash, Previous: previous, Domains: listed(config.Domains)}
	if forced {
		event = forceEnabled{Connection: row.ID, Revision: head.Hash, Previous: previous, Domains: listed(config.Domains), Reason: a.Reason}
	}
	return []audit.Event{audit.New(ctx, now, audit.By(a.Actor), event)}, nil
}

// MarkTested notes that a real sign-in has passed every check on exactly this revision.
// A connection of the connections file whose head it is serves it from now on, unless it
// was disabled. The reference is the attempt's; the subject is known by a hash alone. It
// returns ErrUnknown or ErrUnknownRevision.
func (s *Service) MarkTested(ctx context.Context, id, hash, actor, reference, subjectHash string) error {
	a := Act{Actor: actor}
	if err := a.check(); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		row, err := live(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		passed, err := record(ctx, tx, id, hash)
		if err != nil {
			return nil, err
		}
		if err := tx.MarkTested(ctx, id, hash, actor, reference, now); err != nil {
			return nil, err
		}
		passed.TestedAt = &now
		events := []audit.Event{audit.New(ctx, now, audit.By(actor), tested{Connection: id, Revision: hash, Attempt: reference, SubjectHash: subjectHash})}
		if hash != row.Head {
			return events, nil
		}
		if row.ManagedBy == ByFile && row.State != Disabled {
			more, err := serve(ctx, tx, now, row, passed, a)
			return append(events, more...), err
		}
		if row.State == Draft {
			row.State, row.UpdatedAt = Tested, now
			return events, tx.Save(ctx, row)
		}
		return events, nil
	})
}

// Ended says what has ended with a connection. Pending: core has not answered, and is
// told until it does; the numbers are then 0.
type Ended struct {
	Tokens   int
	Sessions int
	Pending  bool
}

// Disable ends logins through a connection; those under way are refused. Core is told to
// end its tokens and the console sessions that began through it, unless they are to be
// kept; of a connection that never served there are none. It waits for core a few
// seconds. It returns ErrInvalid or ErrUnknown. A connection of the connections file is
// disabled too, until somebody enables it again.
func (s *Service) Disable(ctx context.Context, id string, a Act, keepTokens bool) (Ended, error) {
	if err := a.check(); err != nil {
		return Ended{}, err
	}
	var told *Entry
	err := s.write(ctx, func(ctx context.Context, tx Tx, now time.Time) (events []audit.Event, err error) {
		row, err := live(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		events, told, err = disable(ctx, tx, now, row, a, keepTokens)
		return events, err
	})
	if err != nil {
		return Ended{}, err
	}
	return s.settle(ctx, told), nil
}

// disable is Disable in its transaction. A second one says nothing anew, but ends the
// tokens that the first had kept.
func disable(ctx context.Context, tx Tx, now time.Time, row Connection, a Act, keepTokens bool) ([]audit.Event, *Entry, error) {
	told, err := tell(ctx, tx, now, row, a, keepTokens, "connection disabled")
	if err != nil {
		return nil, nil, err
	}
	if row.State == Disabled && told == nil {
		return nil, nil, nil
	}
	if row.State != Disabled {
		row.State, row.UpdatedAt = Disabled, now
		if err := tx.Save(ctx, row); err != nil {
			return nil, nil, err
		}
	}
	event := audit.New(ctx, now, audit.By(a.Actor), disabled{Connection: row.ID, KeepTokens: keepTokens, Reason: a.Reason})
	return []audit.Event{event}, told, nil
}

// Delete takes a connection away for good, with a reason. Its id, its issuers and its
// audit stay, its domains are free. Tokens end as with Disable. It returns ErrInvalid,
// ErrUnknown, ErrEnabled or ErrManagedByFile.
func (s *Service) Delete(ctx context.Context, id string, a Act, keepTokens bool) (Ended, error) {
	if err := a.check(); err != nil {
		return Ended{}, err
	}
	if strings.TrimSpace(a.Reason) == "" {
		var p problems
		p.add("a deletion needs a reason", "reason")
		return Ended{}, p.fault(ErrInvalid)
	}
	var told *Entry
	err := s.write(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
		row, err := live(ctx, tx, id)
		switch {
		case err != nil:
			return nil, err
		case row.ManagedBy == ByFile:
			return nil, ErrManagedByFile
		case row.State == Enabled:
			return nil, ErrEnabled
		}
		if told, err = tell(ctx, tx, now, row, a, keepTokens, "connection deleted"); err != nil {
			return nil, err
		}
		row.DeletedAt, row.UpdatedAt = &now, now
		if err := tx.Save(ctx, row); err != nil {
			return nil, err
		}
		if err := tx.FreeDomains(ctx, id, nil); err != nil {
			return nil, err
		}
		return []audit.Event{audit.New(ctx, now, audit.By(a.Actor), deleted{Connection: id, KeepTokens: keepTokens, Reason: a.Reason})}, nil
	})
	if err != nil {
		return Ended{}, err
	}
	return s.settle(ctx, told), nil
}
