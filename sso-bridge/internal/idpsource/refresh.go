// SPDX-License-Identifier: Apache-2.0

package idpsource

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
)

// refreshBatch is how many documents are taken up at once.
const refreshBatch = 50

// RefreshDue asks every address again whose document is due, and gives how many were
// asked. An address that fails is a warning, no error: what was good last serves without
// limit. A document whose address no configuration names any more is kept, for an older
// revision may be restored, and not asked for; nor is a discovery document, which sign-ins
// read.
func (s *Service) RefreshDue(ctx context.Context) (rows int64, err error) {
	used, err := s.used(ctx)
	if err != nil {
		return 0, err
	}
	seen := map[string]bool{}
	for {
		batch, err := s.Store.Due(ctx, s.now(), refreshBatch)
		if err != nil {
			return rows, err
		}
		for _, v := range batch {
			if err := ctx.Err(); err != nil {
				return rows, err
			}
			if seen[v.ID] {
				return rows, errors.New("idpsource: a document stays due whatever is done")
			}
			seen[v.ID] = true
			if !used[use{v.ConnectionID, v.Source}] || v.Endpoints != nil {
				v.DueAt = s.now().Add(RefreshEvery)
				if err := s.Store.Checked(ctx, v); err != nil {
					return rows, err
				}
				continue
			}
			rows++
			_, err := shared(ctx, &s.flight, "refresh\n"+v.ID, func(ctx context.Context) (struct{}, error) {
				return struct{}{}, s.check(ctx, v, false)
			})
			if _, noted := errors.AsType[*failure.Error](err); err != nil && !noted {
				return rows, err
			}
		}
		if len(batch) < refreshBatch {
			return rows, nil
		}
	}
}

// check asks the source of what serves and does what its answer means. A failure of the
// fetch is noted, and returned as a failure.SAMLMetadata; any other error is the store's.
// With insist a document that was rejected before is held again: a person asks.
func (s *Service) check(ctx context.Context, v Version, insist bool) error {
	p := place{connection: v.ConnectionID, source: v.Source}
	found, err := s.fetch(ctx, p, v)
	if f, ok := errors.AsType[*failure.Error](err); ok {
		v.Failure, v.DueAt = explained(f), s.now().Add(RefreshLeast)
		s.Log.WarnContext(ctx, "the metadata of an identity provider cannot be read, the last good one serves", "connection", v.ConnectionID,
			"host", f.Facts["host"], "phase", f.Facts["phase"], "status", f.Facts["status"], "cause", f.Facts["cause"], "age", s.now().Sub(v.CheckedAt).String())
		if err := s.Store.Checked(ctx, v); err != nil {
			return err
		}
		return f
	}
	v.CheckedAt, v.Failure = s.now(), ""
	if errors.Is(err, errSame) {
		v.DueAt = due(v.CheckedAt, v.Terms)
		return s.unchanged(ctx, v)
	}
	return s.take(ctx, v, found, insist)
}

// take does what a document means that was read while v serves. CheckedAt of v says when.
func (s *Service) take(ctx context.Context, v, found Version, insist bool) error {
	if found.Digest == v.Digest {
		v.Facts, v.Terms, v.ETag, v.LastModified, v.DueAt = found.Facts, found.Terms, found.ETag, found.LastModified, found.DueAt
		return s.unchanged(ctx, v)
	}
	if found.Diff = idpmetadata.Compare(v.Facts, found.Facts); found.Endpoints != nil {
		found.Diff = compared(v.Endpoints, *found.Endpoints)
	}
	if !idpmetadata.Destructive(found.Diff) {
		return s.apply(ctx, v, found)
	}
	if err := s.hold(ctx, v.ID, found, insist); err != nil {
		return err
	}
	v.DueAt = found.DueAt
	return s.Store.Checked(ctx, v)
}

// unchanged notes that the source gives what serves. What waited for a decision is over.
func (s *Service) unchanged(ctx context.Context, v Version) error {
	waiting, err := s.Store.Find(ctx, v.ConnectionID, v.Source, Pending)
	switch {
	case errors.Is(err, ErrNone):
		return s.Store.Checked(ctx, v)
	case err != nil:
		return err
	}
	if err := s.withdraw(ctx, waiting); err != nil {
		return err
	}
	return s.Store.Checked(ctx, v)
}

// withdraw ends the wait of a document that the source does not give any more.
func (s *Service) withdraw(ctx context.Context, waiting Version) error {
	e := s.event(ctx, s.now(), "", withdrawn{waiting.ConnectionID, waiting.Digest})
	if err := s.Store.Withdraw(ctx, waiting.ID, e); err != nil {
		if errors.Is(err, ErrMoved) {
			return nil // somebody has decided meanwhile
		}
		return err
	}
	s.Recorder.Committed(e)
	return nil
}

// apply lets a document serve that only adds. Whoever was faster has done the same.
func (s *Service) apply(ctx context.Context, v, found Version) error {
	e := s.event(ctx, found.FetchedAt, "", applied{v.ConnectionID, found.Digest, v.Digest, found.Diff})
	if err := s.Store.Apply(ctx, v.ID, found, e); err != nil {
		if errors.Is(err, ErrMoved) {
			return nil
		}
		return err
	}
	s.Recorder.Committed(e)
	return nil
}

// hold keeps a document for a decision, unless it waits already or was rejected. Another
// that waits is over in any case: what the source does not give any more is not accepted.
func (s *Service) hold(ctx context.Context, against string, found Version, insist bool) error {
	waiting, err := s.Store.Find(ctx, found.ConnectionID, found.Source, Pending)
	waits := err == nil
	switch {
	case waits && waiting.Digest == found.Digest:
		return nil
	case !waits && !errors.Is(err, ErrNone):
		return err
	}
	if !insist {
		refused, err := s.Store.Refused(ctx, found.ConnectionID, found.Source, found.Digest)
		switch {
		case err != nil:
			return err
		case refused && waits:
			return s.withdraw(ctx, waiting)
		case refused:
			return nil
		}
	}
	found.State = Pending
	e := s.event(ctx, found.FetchedAt, "", held{found.ConnectionID, found.Digest, found.Diff})
	if err := s.Store.Hold(ctx, against, found, e); err != nil {
		if errors.Is(err, ErrMoved) {
			return nil // what it was compared with has ended meanwhile: the next try sees why
		}
		return err
	}
	s.Recorder.Committed(e)
	s.Log.WarnContext(ctx, "the metadata of an identity provider takes away what serves and waits for a decision", "connection", found.ConnectionID, "changes", len(found.Diff))
	return nil
}
