// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// Report is an attempt as administrators read it: the trace, flat, with the catalogue's
// words on its code. Expired is a state here, since nobody else computes it.
type Report struct {
	Reference  string     `json:"reference"`
	AttemptID  string     `json:"attempt_id"`
	Intent     string     `json:"intent,omitempty"`
	Connection string     `json:"connection,omitempty"`
	Revision   string     `json:"revision,omitempty"`
	State      string     `json:"state"`
	Code       string     `json:"code,omitempty"`
	PublicCode string     `json:"public_code,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	Trace
	Cause string `json:"cause,omitempty"`
	Mend  string `json:"mend,omitempty"`
}

// stateExpired is computed from the clock and stored nowhere.
const stateExpired = "expired"

// ErrAttemptNotFound: nothing has this reference, or no more.
var ErrAttemptNotFound = fault.New(fault.NotFound, "attempt_not_found", "No attempt has this reference.")

// MaxList is the most attempts that one list gives.
const MaxList = 1000

// List gives the newest attempts first, at most limit and MaxList of them.
func (s *Service) List(ctx context.Context, f Filter, limit int) ([]Report, error) {
	attempts, err := s.Attempts.List(ctx, f, min(max(limit, 1), MaxList))
	if err != nil {
		return nil, fault.Store(err)
	}
	list := make([]Report, 0, len(attempts))
	for _, a := range attempts {
		list = append(list, s.report(a))
	}
	return list, nil
}

// Show gives one attempt. It returns ErrAttemptNotFound or a store failure.
func (s *Service) Show(ctx context.Context, reference string) (Report, error) {
	if !ssocode.IsReference(reference) {
		return Report{}, ErrAttemptNotFound
	}
	a, err := s.Attempts.ByReference(ctx, reference)
	if errors.Is(err, ErrNoAttempt) {
		return Report{}, ErrAttemptNotFound
	}
	if err != nil {
		return Report{}, fault.Store(err)
	}
	return s.report(a), nil
}

func (s *Service) report(a Attempt) Report {
	r := Report{
		Reference: a.Reference, AttemptID: a.ID, Intent: string(a.Intent), Connection: a.Connection, Revision: a.Revision, State: string(a.State),
		Code: string(a.Code), PublicCode: string(a.Public), CreatedAt: a.CreatedAt, FinishedAt: a.FinishedAt, Trace: a.Trace,
	}
	if a.FinishedAt == nil && !s.Now().Before(a.ExpiresAt) {
		r.State = stateExpired
	}
	if e, ok := failure.About(a.Code); ok {
		r.Cause, r.Mend = e.Cause, e.Mend
	}
	return r
}
