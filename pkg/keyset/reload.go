// SPDX-License-Identifier: Apache-2.0

package keyset

import (
	"log/slog"
	"time"
)

// Reloader puts a changed file in force while messages are signed and verified. All
// fields but Judge are required.
type Reloader struct {
	Ring *Ring
	Path string
	// Judge says what is wrong with a set beside the file's own rules, such as a secret
	// that the service has for itself.
	Judge func(*Set) []error
	// Refused counts a file that was not taken.
	Refused func()
	Log     *slog.Logger
	Now     func() time.Time
}

// Reloaded is sso.keyset_reloaded: the details of the event that a changed set is audited
// with.
type Reloaded struct {
	Active      string   `json:"active"`
	KIDs        []string `json:"kids"`
	Fingerprint string   `json:"fingerprint"`
}

// EventName names the event.
func (Reloaded) EventName() string { return "sso.keyset_reloaded" }

// Reload takes the whole new file or none of it: a refused one leaves the set in force
// that was, and each of its problems is logged. ok says that the file was taken.
func (r Reloader) Reload() (done Reloaded, ok bool) {
	set, err := Load(r.Path, r.Now())
	var problems []error
	switch {
	case err != nil:
		problems = Problems(err)
	case r.Judge != nil:
		problems = r.Judge(set)
	}
	if len(problems) > 0 {
		for _, p := range problems {
			r.Log.Error("KEYSET_FILE is refused; the former key set stays in force", slog.String("problem", p.Error()))
		}
		r.Refused()
		return done, false
	}
	r.Ring.Become(set)
	done = Reloaded{Active: set.Active(), KIDs: set.KIDs(), Fingerprint: set.Fingerprint()}
	r.Log.Info("the key set was read again", slog.String("active", done.Active), slog.String("fingerprint", done.Fingerprint))
	return done, true
}
