// SPDX-License-Identifier: Apache-2.0

package doctor

import "time"

// How far two clocks may be apart: signed messages between the services are refused from
// thirty seconds on.
const (
	skewWarn = 5 * time.Second
	skewFail = 30 * time.Second
)

// JudgeClock compares another clock with ours. It was read between before and after; grain
// is how coarse it is, a second for a Date header. A difference that the way may explain
// is none.
func JudgeClock(whose string, theirs, before, after time.Time, grain time.Duration) []Finding {
	var f finds
	if theirs.IsZero() {
		f.skip(Clock, "%s does not tell the time.", whose)
		return f
	}
	var apart time.Duration
	way := "behind"
	switch {
	case theirs.Add(grain).Before(before):
		apart = before.Sub(theirs.Add(grain))
	case theirs.After(after):
		apart, way = theirs.Sub(after), "ahead"
	}
	const next = "Let both machines follow the same time servers (NTP)."
	switch shown := apart.Round(100 * time.Millisecond); {
	case apart >= skewFail:
		f.fail(Clock, next, "The clock of %s is %s %s of this one: sign-ins through an identity provider are refused.", whose, shown, way)
	case apart >= skewWarn:
		f.warn(Clock, next, "The clock of %s is %s %s of this one; from %s on messages are refused.", whose, shown, way, skewFail)
	default:
		f.ok(Clock, "The clock of %s agrees with this one.", whose)
	}
	return f
}
