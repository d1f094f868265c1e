// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// The bounds of an examination.
const (
	CheckLimit = 5 * time.Second
	WholeLimit = 30 * time.Second
	// SlowAfter is how long a person waits without a word.
	SlowAfter = 2 * time.Second
	// atOnce bounds how many checks run at the same time.
	atOnce = 16
)

// Check looks at one thing. ID is what it is called when it comes to no finding of its
// own, Subject what of several it looks at.
type Check struct {
	ID, Subject string
	Run         func(ctx context.Context) []Finding
}

// Limits are the bounds of a run; zero ones are the usual.
type Limits struct {
	Check, Whole, Slow time.Duration
	// Waiting is told, now and then, which checks have not ended; nil is fine.
	Waiting func(ids []string)
}

// result is what has become of the check at a place.
type result struct {
	at       int
	findings []Finding
}

// Run runs the checks at the same time and gives their findings in order. One that does
// not end in its time is a finding: what it does may go on, and nobody waits for it.
func Run(ctx context.Context, checks []Check, l Limits) []Finding {
	l = l.usual()
	ctx, cancel := context.WithTimeout(ctx, l.Whole)
	defer cancel()
	done, places := make(chan result, len(checks)), make(chan struct{}, atOnce)
	for i, c := range checks {
		go func() {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				done <- result{i, c.within(ctx, l.Check)}
			case <-ctx.Done():
				done <- result{i, c.late()}
			}
		}()
	}
	all, pending := make([][]Finding, len(checks)), map[int]bool{}
	for i := range checks {
		pending[i] = true
	}
	slow := time.NewTicker(l.Slow)
	defer slow.Stop()
	for len(pending) > 0 {
		select {
		case r := <-done:
			all[r.at] = r.findings
			delete(pending, r.at)
		case <-slow.C:
			if l.Waiting != nil {
				l.Waiting(names(checks, pending))
			}
		}
	}
	return slices.Concat(all...)
}

func (l Limits) usual() Limits {
	if l.Check == 0 {
		l.Check = CheckLimit
	}
	if l.Whole == 0 {
		l.Whole = WholeLimit
	}
	if l.Slow == 0 {
		l.Slow = SlowAfter
	}
	return l
}

func names(checks []Check, pending map[int]bool) (ids []string) {
	for i, c := range checks {
		if pending[i] && !slices.Contains(ids, c.ID) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// within runs a check, and leaves it when its time is over. A check that panics is a
// defect of ours, and no reason to keep the others' findings.
func (c Check) within(ctx context.Context, limit time.Duration) []Finding {
	// The check's own time ends a little sooner, so that it words the end itself.
	inner, cancel := context.WithTimeout(ctx, limit-limit/10)
	defer cancel()
	said := make(chan []Finding, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				said <- []Finding{{Check: c.ID, Subject: c.Subject, Status: Fail, Text: fmt.Sprintf("The check itself has failed (panic of type %T).", p), Next: "Report it: this is a defect of the program."}}
			}
		}()
		said <- c.Run(inner)
	}()
	over := time.NewTimer(limit)
	defer over.Stop()
	select {
	case found := <-said:
		if c.Subject != "" {
			About(c.Subject, found)
		}
		return found
	case <-over.C:
	case <-ctx.Done():
	}
	return c.late()
}

func (c Check) late() []Finding {
	return []Finding{{Check: c.ID, Subject: c.Subject, Status: Fail, Text: "It did not come to an end in its time.", Next: "See that what it asks answers from this machine, and call doctor again."}}
}
