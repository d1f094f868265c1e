// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Operations, in the order of the report.
var operations = []string{"sign-in", "code", "poll", "approve", "leave", "return", "allow", "account", "list", "run", "logout", "dead"}

// tally is what was seen of one operation.
type tally struct {
	OK, Retried, Failed int
	Longest             time.Duration // from a client's first failed try to its next success
	Statuses            map[int]int   // 5xx and 429, by code
}

// record is what all clients of a scenario saw. It is safe for concurrent use.
type record struct {
	mu         sync.Mutex
	tallies    map[string]*tally
	logins     tally           // whole ones: sign-in to a token that works
	hard       int             // 5xx that no standard lets a client repeat
	stories    []string        // of each failure
	violations []string        // what must never be, under any outage
	passed     map[string]bool // tokens that passed after their end, where a tombstone may be lost
}

func newRecord() *record {
	r := &record{tallies: map[string]*tally{}, passed: map[string]bool{}}
	for _, name := range operations {
		r.tallies[name] = &tally{Statuses: map[int]int{}}
	}
	return r
}

// tried counts one answer that was none of success.
func (r *record) tried(op string, status int, again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tallies[op]
	if again {
		t.Retried++
	}
	if status >= 500 || status == 429 {
		t.Statuses[status]++
	}
	if status >= 500 && !again {
		r.hard++
	}
}

func (r *record) ok(op string, down time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tallies[op].OK++
	r.tallies[op].Longest = max(r.tallies[op].Longest, down)
}

func (r *record) failed(op, story string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tallies[op].Failed++
	r.stories = append(r.stories, op+": "+story)
}

func (r *record) login(ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok {
		r.logins.OK++
	} else {
		r.logins.Failed++
	}
}

func (r *record) violated(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

// late notes a token that passed after its end, within what is promised.
func (r *record) late(label string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed[label] = true
}

// successes of one operation so far.
func (r *record) successes(op string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tallies[op].OK
}

// finished logins so far, and those that were not.
func (r *record) finished() (ok, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logins.OK, r.logins.Failed
}

// String is what was seen, for a test that fails.
func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d logins, %d failed\n", r.logins.OK, r.logins.Failed)
	for _, op := range operations {
		t := r.tallies[op]
		fmt.Fprintf(&b, "%-8s ok %d, repeated %d, failed %d, %s, longest %s\n", op, t.OK, t.Retried, t.Failed, t.codes(), t.Longest.Round(time.Millisecond))
	}
	for _, story := range r.stories {
		fmt.Fprintf(&b, "failed: %s\n", story)
	}
	return b.String()
}

// codes words the answers by status.
func (t *tally) codes() string {
	keys := make([]int, 0, len(t.Statuses))
	for code := range t.Statuses {
		keys = append(keys, code)
	}
	slices.Sort(keys)
	text := ""
	for _, code := range keys {
		text += fmt.Sprintf(", %d × %d", t.Statuses[code], code)
	}
	if text == "" {
		return "–"
	}
	return text[2:]
}

// varying is what differs between two failures of one kind.
var varying = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+(->\d+\.\d+\.\d+\.\d+:\d+)?|"request_id":"[^"]*"|\d\d:\d\d:\d\d\.\d+ |after "[^"]*"|[0-9a-f]{8}-[0-9a-f-]{27}`)

// kinds gives the failures without what varies, each with its number.
func (r *record) kinds() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[string]int{}
	for _, story := range r.stories {
		text := strings.Join(strings.Fields(varying.ReplaceAllString(story, "…")), " ")
		counts["`"+strings.ReplaceAll(text[:min(len(text), 160)], "`", "'")+"`"]++
	}
	var list []string
	for text, n := range counts {
		list = append(list, fmt.Sprintf("%d × %s", n, text))
	}
	slices.Sort(list)
	return list
}
