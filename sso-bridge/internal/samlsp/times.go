// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"regexp"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// The limits of time that no connection changes (S12).
const (
	maxLife = time.Hour        // of an assertion, from its issue
	maxAge  = 10 * time.Minute // of an assertion when it arrives
)

// instant is xs:dateTime as SAML has it: UTC, with Z (SAML core, section 1.3.3).
var instant = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$`)

// parseTime reads an instant. A leap second and the hour 24, which xs:dateTime has as
// well, are none; the year 0 is none either.
func parseTime(s string) (time.Time, bool) {
	if !instant.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil && t.Year() > 0
}

// times judges instants of one assertion.
type times struct {
	now    time.Time
	skew   time.Duration
	issued time.Time // zero as long as it is not known
}

// issued reads the assertion's IssueInstant, notes how far the provider's clock seems to
// be off, and judges nothing yet.
func (r *reader) issued(v verified) (times, error) {
	at := times{now: r.now, skew: r.e.Skew}
	t, ok := parseTime(v.value("IssueInstant"))
	if !ok {
		return times{}, at.unreadable("issue_instant")
	}
	at.issued = t
	off := t.Sub(r.now).Truncate(time.Second).Seconds()
	r.trace.ClockSkew = &off
	return at, nil
}

// past reports an end that is over; notBefore a beginning that has not come.
func (t times) past(end time.Time) bool         { return !t.now.Before(end.Add(t.skew)) }
func (t times) future(beginning time.Time) bool { return beginning.After(t.now.Add(t.skew)) }

// unreadable is a time in no form that is read.
func (t times) unreadable(condition string) error {
	return failure.New(failure.SAMLTime).With("condition", condition)
}

// off is a time beyond its limit. The fact is how far, without the skew that is allowed.
func (t times) off(condition string, limit time.Time) error {
	return failure.New(failure.SAMLTime).With("condition", condition).
		With("skew_s", seconds(t.now.Sub(limit).Abs())).With("age_s", seconds(t.now.Sub(t.issued)))
}

// age judges the issue: not in the future, and not long ago.
func (t times) age() error {
	if t.future(t.issued) {
		return t.off("issue_instant", t.issued)
	}
	if age := t.now.Sub(t.issued); age > maxAge {
		return failure.New(failure.SAMLLifetime).With("condition", "issue_instant").With("age_s", seconds(age))
	}
	return nil
}

// life judges how long after its issue an assertion is over.
func (t times) life(condition string, end time.Time) error {
	if life := end.Sub(t.issued); life > maxLife {
		return failure.New(failure.SAMLLifetime).With("condition", condition).With("lifetime_s", seconds(life))
	}
	return nil
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
