// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// takeOvers are issuers of deleted connections whose identities core has unlinked on
// behalf of one change, with their number.
type takeOvers map[string]int

// errUnlink asks for core before a change can be made: these issuers belong to deleted
// connections. The transaction has found nothing else to refuse.
type errUnlink struct{ wanted []unlink }

type unlink struct{ issuer, reason, actor string }

func (e *errUnlink) Error() string { return "connection: core is asked first" }

// takingOver runs a change. If it needs issuers of deleted connections, core unlinks their
// identities first, outside of any transaction, and the change runs again: core out of
// reach changes nothing here.
func (s *Service) takingOver(ctx context.Context, change func(ctx context.Context, done takeOvers) error) error {
	done := takeOvers{}
	for {
		err := change(ctx, done)
		first, ok := errors.AsType[*errUnlink](err)
		if !ok {
			return err
		}
		for _, u := range first.wanted {
			n, err := s.Core.Unlink(ctx, u.issuer, forCore(u.reason), u.actor)
			if err != nil {
				return fault.ErrUnavailable.Because(err)
			}
			done[u.issuer] = n
		}
	}
}

// claimIssuers gives a connection its issuers. It returns ErrIssuerTaken for one that
// another has; for one of a deleted connection, with force, what core is to unlink first
// or the events of the take-over.
func claimIssuers(ctx context.Context, tx Tx, now time.Time, c Config, id string, a Act, done takeOvers) (events []audit.Event, wanted []unlink, err error) {
	var taken problems
	for _, issuer := range c.Issuers(id) {
		owner, err := tx.IssuerOwner(ctx, issuer)
		if err != nil {
			return nil, nil, err
		}
		switch owner {
		case id:
			continue
		case "":
			if err := tx.TakeIssuer(ctx, issuer, id); err != nil {
				return nil, nil, err
			}
			continue
		}
		former, err := tx.Find(ctx, owner)
		if err != nil {
			return nil, nil, err
		}
		if former.DeletedAt == nil || !a.Force {
			taken.add("belongs to connection "+owner, "issuer")
			continue
		}
		unlinked, asked := done[issuer]
		if !asked {
			wanted = append(wanted, unlink{issuer, a.Reason, a.Actor})
			continue
		}
		if err := tx.TakeIssuer(ctx, issuer, id); err != nil {
			return nil, nil, err
		}
		events = append(events, audit.New(ctx, now, audit.By(a.Actor), issuerTakenOver{Connection: id, Previous: owner, Issuer: issuer, Unlinked: unlinked, Reason: a.Reason}))
	}
	return events, wanted, taken.fault(ErrIssuerTaken)
}

// claimDomains makes a connection the owner of the domains of its head and of what
// serves, and of no others.
func claimDomains(ctx context.Context, tx Tx, id string, wanted []string) error {
	if err := tx.FreeDomains(ctx, id, wanted); err != nil {
		return err
	}
	return takeDomains(ctx, tx, id, wanted)
}

func takeDomains(ctx context.Context, tx Tx, id string, wanted []string) error {
	var taken problems
	for i, d := range wanted {
		switch err := tx.TakeDomain(ctx, id, d); {
		case errors.Is(err, ErrDomainTaken):
			taken.add("belongs to another connection", "domains", i)
		case err != nil:
			return err
		}
	}
	return taken.fault(ErrDomainTaken)
}
