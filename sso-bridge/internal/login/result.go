// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// Result is what the page of a connection test shows, to the browser that was tested
// alone. It holds the values of claims.
type Result struct {
	Reference  string
	Connection string
	Name       string
	Revision   string
	At         time.Time
	// Passed: the revision counts as tested. Marked: that was noted.
	Passed, Marked bool
	Checks         []Check
	Claims         []ShownClaim
	Identity       *identity.Identity // nil when none came of it
	// Admitted: the rules of admission let the identity in.
	Admitted      bool
	ExpectRefusal bool
	Skew          *float64 // seconds by which the provider's clock is ahead
	Failure       *ShownFailure
}

// Check is one check of the protocol, the identity or admission.
type Check struct {
	Name          string
	Expected, Got string
	Verdict       Verdict
}

// Verdict is what a check found.
type Verdict string

// The verdicts.
const (
	Passed     Verdict = "passed"
	Refused    Verdict = "refused"
	NotReached Verdict = "not_reached"
)

// ShownClaim is one claim as it came, with what the connection takes it for.
type ShownClaim struct{ Name, Value, Source, Maps string }

// ShownFailure is the catalogue's text of a refusal.
type ShownFailure struct {
	Code          failure.Code
	Cause, Mend   string
	Expected, Got string
	Facts         map[string]string
}

// The refusals of a result's page.
var (
	ErrWrongBrowser = fault.New(fault.Forbidden, string(ssocode.WrongBrowser), "The test was begun in another browser.")
	ErrResultOver   = fault.New(fault.NotFound, string(ssocode.Expired), "The result of a test is kept for 15 minutes.")
)

// kept is what lies under a result's ticket.
type kept struct {
	Binding string `json:"bnd"`
	Result  Result `json:"result"`
}

// TestResult gives the page of a test to the browser whose cookie the test is bound to.
// It returns ErrResultOver, ErrWrongBrowser, or a store failure.
func (s *Service) TestResult(ctx context.Context, opener, cookie secret.Text) (Result, error) {
	link := opener.Reveal()
	if !isOpener(link) {
		return Result{}, ErrResultOver
	}
	sealed, err := s.Records.Read(ctx, Results, secret.DigestOf(link))
	switch {
	case errors.Is(err, ErrNoRecord), errors.Is(err, ErrTaken):
		return Result{}, ErrResultOver
	case err != nil:
		return Result{}, fault.Store(err)
	}
	var k kept
	if _, err := s.open(link, sealed, &k); err != nil {
		return Result{}, ErrResultOver
	}
	if subtle.ConstantTimeCompare([]byte(bindingOf(cookie.Reveal())), []byte(k.Binding)) != 1 {
		return Result{}, ErrWrongBrowser
	}
	return k.Result, nil
}

// admission are the refusals of a person whose identity is in order.
var admission = []failure.Code{failure.PolicyNotAllowed, failure.PolicyGuest, failure.PolicyTenant, failure.GroupsMissing, failure.GroupsOverage}

// concluded keeps the result of a test and gives its address. f is nil for a success.
func (r *callback) concluded(f *failure.Error) (location string) {
	if r.record.Test == nil { // its record did not open: nobody is known to whom it could be shown
		return r.s.errorPage(r.attempt.Reference)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), noteLimit)
	defer cancel()
	res := r.result(f)
	if res.Passed {
		err := r.s.Marker.MarkTested(ctx, r.attempt.Connection, r.attempt.Revision, r.record.Test.Actor, r.attempt.Reference, r.attempt.Trace.SubjectHash)
		if err == nil && r.record.Test.NextKey {
			err = r.markedKey(ctx)
		}
		if res.Marked = err == nil; err != nil {
			r.log(ctx, storeFailed("connections", "mark", err))
		}
	}
	opener := secret.Random()
	if err := r.s.keep(ctx, Results, opener, kept{Binding: r.claims.Binding, Result: res}); err != nil {
		lost := storeFailed("records", "result", err)
		r.log(ctx, lost)
		return r.s.errorPage(r.attempt.Reference)
	}
	return r.s.Public + "/sso/test/" + opener
}

// markedKey notes that the provider has taken a request of the staged key. Where nobody
// keeps keys none was signed with one.
func (r *callback) markedKey(ctx context.Context) error {
	if r.s.KeyMarker == nil {
		return nil
	}
	return r.s.KeyMarker.MarkTested(ctx, r.attempt.Connection)
}

// maxShownValue bounds one claim on the page, in characters.
const maxShownValue = 1000

func (r *callback) result(f *failure.Error) Result {
	a, order := r.attempt, r.record.Test
	res := Result{
		Reference: a.Reference, Connection: a.Connection, Name: r.serving.Name, Revision: a.Revision, At: r.s.Now(),
		Passed: f == nil && !order.ExpectRefusal, ExpectRefusal: order.ExpectRefusal, Admitted: f == nil, Skew: a.Trace.ClockSkew,
		Checks: r.checks(f), Claims: r.shownClaims(),
	}
	if who := r.report.Identity; r.judged && who.Subject != "" {
		res.Identity = &who
	}
	if f == nil {
		return res
	}
	res.Passed = slices.Contains(admission, f.Code) && order.ExpectRefusal
	e, _ := failure.About(f.Code)
	res.Failure = &ShownFailure{Code: f.Code, Cause: e.Cause, Mend: e.Mend, Expected: f.Expected, Got: f.Got, Facts: factsOf(f)}
	return res
}

// shownClaims are what came, with what the judge takes each for. Claims of an answer that
// was refused are shown as well: they are often what is wrong with it.
func (r *callback) shownClaims() []ShownClaim {
	if len(r.seen.Seen) == 0 {
		return nil
	}
	claims := r.report.Claims
	if !r.judged {
		claims = r.s.Judge(r.ctx, r.seen, r.serving).Claims
	}
	list := make([]ShownClaim, 0, len(claims))
	for _, c := range claims[:min(len(claims), maxClaims)] {
		list = append(list, ShownClaim{
			Name: shown(c.Name, maxClaimName), Value: shown(c.Value, maxShownValue), Source: c.Source, Maps: strings.Join(c.To, ", "),
		})
	}
	return list
}
