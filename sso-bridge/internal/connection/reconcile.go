// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// fileActor is who acts when the connections file does.
const fileActor = "file:connections"

// Reconciled says what the connections file has changed, by ids in the order of the file.
type Reconciled struct {
	Created, Updated, Enabled []string
	// Disabled are gone from the file; by id.
	Disabled []string
	// Untested are not served as declared: their test has not passed yet.
	Untested []string
}

// Reconcile makes the connections what the file declares, in one transaction: all of it
// or nothing. It returns Problems with every reason, or a 503 when a store, or core for
// an issuer that is taken over, cannot be asked. What is declared belongs to the file; what
// is gone from it is disabled, its tokens end, and it belongs to administrators again. A
// connection of the file that an administrator has disabled stays so. Repeated, it
// changes nothing.
func (s *Service) Reconcile(ctx context.Context, declared []Declaration) (Reconciled, error) {
	declared = slices.Clone(declared) // whose names are brought into their form
	drafts, err := s.prepareAll(declared)
	if err != nil {
		return Reconciled{}, err
	}
	var done Reconciled
	var told []*Entry
	err = s.takingOver(ctx, func(ctx context.Context, over takeOvers) error {
		return s.write(ctx, func(ctx context.Context, tx Tx, now time.Time) ([]audit.Event, error) {
			r := reconciling{tx: tx, now: now, over: over}
			events, err := r.run(ctx, declared, drafts)
			done, told = r.done, r.told
			return events, err
		})
	})
	if err != nil {
		return Reconciled{}, err
	}
	for i, d := range declared {
		if d.SecretsInFiles {
			s.hold(drafts[i].config, d.Secrets)
		}
	}
	for _, e := range told {
		if s.settle(ctx, e).Pending {
			break // the others need not wait for core one after the other
		}
	}
	return done, nil
}

// prepareAll judges each declaration for itself and against the others.
func (s *Service) prepareAll(declared []Declaration) ([]draft, error) {
	var found Problems
	drafts := make([]draft, len(declared))
	for i := range declared {
		d := &declared[i]
		c := d.Content()
		if err := firstOf(c.check(), d.check(declared[:i])); err != nil {
			found = append(found, Problem{d.ID, err})
			continue
		}
		d.Name, d.Button = c.Name, c.Button
		var err error
		if drafts[i], err = s.prepare(d.ID, d.Config, d.Secrets, d.SecretsInFiles); err != nil {
			return nil, failed(err)
		}
	}
	if len(found) > 0 {
		return nil, found
	}
	return drafts, nil
}

// Content gives what a declaration has in common with a connection that is made by
// command.
func (d Declaration) Content() Content {
	return Content{ID: d.ID, Name: d.Name, Button: d.Button, Listed: d.Listed, Default: d.Default, Position: d.Position, Intents: d.Intents, Config: d.Config, Secrets: d.Secrets}
}

// check judges what is a declaration's own.
func (d Declaration) check(before []Declaration) error {
	var p problems
	for _, other := range before {
		p.when(other.ID == d.ID, "declared twice", "id")
		p.when(other.Default && d.Default, "another connection is the default", "default")
		for i, domain := range d.Config.Domains {
			if slices.Contains(other.Config.Domains, domain) {
				var taken problems
				taken.add("declared by connection "+other.ID+" too", "domains", i)
				return taken.fault(ErrDomainTaken)
			}
		}
	}
	p.when(!oneOf(d.Enable, EnableTested, EnableForce), "tested or force", "enable")
	return firstOf(p.fault(ErrInvalid), d.enabling().check(), d.takingOver().check())
}

func (d Declaration) enabling() Act {
	return Act{Actor: fileActor, Force: d.Enable == EnableForce, Reason: d.Reason}
}

func (d Declaration) takingOver() Act {
	return Act{Actor: fileActor, Force: d.TakeOverIssuer != "", Reason: d.TakeOverIssuer}
}

// reconciling is one run of Reconcile in its transaction.
type reconciling struct {
	tx     Tx
	now    time.Time
	over   takeOvers
	events []audit.Event
	wanted []unlink
	found  Problems
	told   []*Entry
	done   Reconciled
}

// refused takes note of a refusal; any other failure ends the run.
func (r *reconciling) refused(id string, err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind() != fault.Unavailable {
		r.found = append(r.found, Problem{id, err})
		return nil
	}
	return err
}

func (r *reconciling) run(ctx context.Context, declared []Declaration, drafts []draft) ([]audit.Event, error) {
	// What gives something up comes first, so that another may have it: the default, then
	// domains, as the file moves them about.
	if err := r.giveUp(ctx, declared); err != nil {
		return nil, err
	}
	for i, d := range declared {
		if err := r.refused(d.ID, r.place(ctx, d, drafts[i])); err != nil {
			return nil, err
		}
	}
	claims := make([][]string, len(declared))
	for i, d := range declared {
		row, err := r.tx.Find(ctx, d.ID)
		if errors.Is(err, ErrUnknown) || err == nil && row.DeletedAt != nil {
			continue // refused before
		}
		if err == nil {
			claims[i], err = domains(ctx, r.tx, row, drafts[i].config)
		}
		if err == nil {
			err = r.tx.FreeDomains(ctx, d.ID, claims[i])
		}
		if err != nil {
			return nil, err
		}
	}
	for i, d := range declared {
		if err := r.refused(d.ID, takeDomains(ctx, r.tx, d.ID, claims[i])); err != nil {
			return nil, err
		}
	}
	if len(r.found) > 0 {
		return nil, r.found
	}
	for _, d := range declared {
		if err := r.refused(d.ID, r.enable(ctx, d)); err != nil {
			return nil, err
		}
	}
	if len(r.found) > 0 {
		return nil, r.found
	}
	return r.events, asking(r.wanted)
}

// giveUp disables what is gone from the file and takes the default from whoever is not
// to have it.
func (r *reconciling) giveUp(ctx context.Context, declared []Declaration) error {
	all, err := r.tx.All(ctx)
	if err != nil {
		return err
	}
	moved := slices.ContainsFunc(declared, func(d Declaration) bool { return d.Default })
	for _, row := range all {
		i := slices.IndexFunc(declared, func(d Declaration) bool { return d.ID == row.ID })
		gone := i < 0 && row.ManagedBy == ByFile
		if row.Default && moved && (i < 0 || !declared[i].Default) {
			row.Default, row.UpdatedAt = false, r.now
			if err := r.tx.Save(ctx, row); err != nil {
				return err
			}
			head, err := stored(ctx, r.tx, row.ID, row.Head)
			if err != nil {
				return err
			}
			r.events = append(r.events, changed(ctx, r.now, row, row.Head, head.Config, fileActor, false))
		}
		if !gone {
			continue
		}
		row.ManagedBy = ByAPI
		if row.State == Disabled {
			if err := r.tx.Save(ctx, row); err != nil {
				return err
			}
			continue
		}
		events, told, err := disable(ctx, r.tx, r.now, row, Act{Actor: fileActor, Reason: "gone from the connections file"}, false)
		if err != nil {
			return err
		}
		r.events, r.done.Disabled = append(r.events, events...), append(r.done.Disabled, row.ID)
		if told != nil {
			r.told = append(r.told, told)
		}
	}
	return nil
}

// place makes or changes the rows of one declaration, but those of its domains.
func (r *reconciling) place(ctx context.Context, d Declaration, prepared draft) error {
	row, err := r.tx.Find(ctx, d.ID)
	switch {
	case errors.Is(err, ErrUnknown):
		events, wanted, err := insert(ctx, r.tx, r.now, d.Content(), prepared, ByFile, d.takingOver(), r.over)
		if err != nil {
			return err
		}
		r.note(events, wanted, &r.done.Created, d.ID)
		return nil
	case err != nil:
		return err
	case row.DeletedAt != nil:
		return ErrExists
	}
	next := row
	d.Content().label(&next)
	if row.ManagedBy != ByFile {
		// What had been disabled elsewhere, or when it was gone from the file, begins anew.
		if next.ManagedBy = ByFile; row.State == Disabled {
			next.State = Draft
		}
	}
	events, wanted, err := edit{before: row, after: next, to: prepared, act: d.takingOver(), done: r.over, anew: d.Enable == EnableForce}.advance(ctx, r.tx, r.now)
	if err != nil {
		return err
	}
	if len(events)+len(wanted) > 0 {
		r.note(events, wanted, &r.done.Updated, d.ID)
	}
	return nil
}

func (r *reconciling) note(events []audit.Event, wanted []unlink, in *[]string, id string) {
	r.events, r.wanted, *in = append(r.events, events...), append(r.wanted, wanted...), append(*in, id)
}

// enable serves what a declaration may have served. Only what its test would enable
// waits for it; one that an administrator has disabled stays so.
func (r *reconciling) enable(ctx context.Context, d Declaration) error {
	row, err := r.tx.Find(ctx, d.ID)
	if err != nil {
		return err
	}
	if row.State == Disabled || row.State == Enabled && row.Serving == row.Head {
		return nil
	}
	head, err := r.tx.Record(ctx, d.ID, row.Head)
	if err != nil {
		return err
	}
	if head.TestedAt == nil && d.Enable == EnableTested {
		r.done.Untested = append(r.done.Untested, d.ID)
		return nil
	}
	events, err := serve(ctx, r.tx, r.now, row, head, d.enabling())
	if err != nil {
		return err
	}
	r.note(events, nil, &r.done.Enabled, d.ID)
	return nil
}
