// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"time"
)

// Status is how a finding is to be taken.
type Status string

// The statuses, from the best to the worst.
const (
	Skipped Status = "skipped" // there was nothing to look at
	OK      Status = "ok"
	Warn    Status = "warn" // it works, and is going to bite
	Fail    Status = "fail"
)

// Finding is what a check has to say.
type Finding struct {
	// Check is one of the catalogue, and stable.
	Check string `json:"check"`
	// Subject is what of several was looked at: a connection, an app, a replica.
	Subject string `json:"subject,omitempty"`
	Status  Status `json:"status"`
	Text    string `json:"text"`
	// Next says what to do; empty where there is nothing to do.
	Next string `json:"next,omitempty"`
}

// Report is everything that was found; its form is stable.
type Report struct {
	Format   int       `json:"format"` // 1
	Program  string    `json:"program"`
	Version  string    `json:"version"`
	At       time.Time `json:"at"`
	Status   Status    `json:"status"` // the worst of the findings
	Findings []Finding `json:"findings"`
}

// NewReport puts a report together.
func NewReport(program, version string, at time.Time, findings []Finding) Report {
	r := Report{Format: 1, Program: program, Version: version, At: at.UTC().Truncate(time.Second), Status: OK, Findings: append([]Finding{}, findings...)}
	for _, f := range findings {
		if f.Status == Fail || f.Status == Warn && r.Status == OK {
			r.Status = f.Status
		}
	}
	return r
}

// Count gives how many findings have a status.
func (r Report) Count(s Status) (n int) {
	for _, f := range r.Findings {
		if f.Status == s {
			n++
		}
	}
	return n
}

// Brief is a finding as it may be handed to anybody: two words of ours.
type Brief struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
}

// Briefs gives what of the findings may be handed to anybody.
func (r Report) Briefs() []Brief {
	list := []Brief{}
	for _, f := range r.Findings {
		list = append(list, Brief{f.Check, f.Status})
	}
	return list
}

// finds collects the findings of one check.
type finds []Finding

func (f *finds) add(id string, s Status, next, format string, args ...any) {
	*f = append(*f, Finding{Check: id, Status: s, Text: fmt.Sprintf(format, args...), Next: next})
}

func (f *finds) ok(id, format string, args ...any)         { f.add(id, OK, "", format, args...) }
func (f *finds) skip(id, format string, args ...any)       { f.add(id, Skipped, "", format, args...) }
func (f *finds) warn(id, next, format string, args ...any) { f.add(id, Warn, next, format, args...) }
func (f *finds) fail(id, next, format string, args ...any) { f.add(id, Fail, next, format, args...) }

// About names what all of the findings are about.
func About(subject string, findings []Finding) []Finding {
	for i := range findings {
		findings[i].Subject = subject
	}
	return findings
}
