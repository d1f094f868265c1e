// SPDX-License-Identifier: Apache-2.0

package idpmetadata

import (
	"regexp"
	"strconv"
	"time"
)

// termsOf reads what the document, and the role in it, say of their life; the shorter one
// counts (SAML 2.0 Metadata, section 2.3.2).
func termsOf(now time.Time, of ...*node) (Terms, error) {
	var t Terms
	for _, n := range of {
		if text := n.attr("validUntil"); text != "" {
			end, ok := moment(text)
			switch {
			case !ok:
				return Terms{}, refuse("valid_until", "The document's validUntil is no time.")
			case !end.After(now):
				return Terms{}, refuse("valid_until", "The document is over: its validUntil is past.")
			case t.ValidUntil.IsZero() || end.Before(t.ValidUntil):
				t.ValidUntil = end
			}
		}
		if text := n.attr("cacheDuration"); text != "" {
			d, ok := duration(text)
			switch {
			case !ok:
				return Terms{}, refuse("cache_duration", "The document's cacheDuration is no duration.")
			case d > 0 && (t.CacheDuration == 0 || d < t.CacheDuration):
				t.CacheDuration = d
			}
		}
	}
	return t, nil
}

// moment reads an xs:dateTime. SAML 2.0 Core, section 1.3.3, has every time in UTC, so
// that one without a zone has it too.
func moment(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

var durationForm = regexp.MustCompile(`^P(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,6})D)?(T(?:(\d{1,7})H)?(?:(\d{1,9})M)?(?:(\d{1,10})(?:\.\d+)?S)?)?$`)

// duration reads an xs:duration that is not negative, with months of 30 and years of 365
// days: it says when to ask again, which nothing hangs on.
func duration(s string) (time.Duration, bool) {
	m := durationForm.FindStringSubmatch(s)
	if m == nil || s == "P" || m[4] == "T" {
		return 0, false
	}
	const day = 24 * time.Hour
	var sum time.Duration
	for i, unit := range map[int]time.Duration{1: 365 * day, 2: 30 * day, 3: day, 5: time.Hour, 6: time.Minute, 7: time.Second} {
		if m[i] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i], 10, 64)
		if err != nil {
			return 0, false
		}
		// Ten years are as good as any longer time, and cannot overflow.
		sum += unit * time.Duration(min(n, int64(10*365*day/unit)))
	}
	return sum, true
}
