// SPDX-License-Identifier: Apache-2.0

package keyset

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MinKeep is the least time for which a former entry goes on verifying: a login that it
// has signed is over by then, and every replica has read the file again.
const MinKeep = time.Hour

// The refusals of an edit. Each step of a rotation refuses what would end logins that
// are under way.
var (
	ErrKID        = errors.New("a kid is 1 to 32 of a-z, 0-9, dot, underscore and hyphen, and begins with a letter or digit")
	ErrTaken      = errors.New("an entry of this kid exists")
	ErrFull       = fmt.Errorf("the file has %d entries: retire one first", MaxEntries)
	ErrNoEntry    = errors.New("no entry has this kid: add it, and wait until every replica has read it")
	ErrActive     = errors.New("this entry is the active one")
	ErrOver       = errors.New("this entry is past its verify_until: add a new one")
	ErrNotSeen    = errors.New("this is not the fingerprint of the file: a replica that lacks an entry would refuse what the others sign with it")
	ErrKeep       = fmt.Errorf("the former entry has to verify for %s more at least", MinKeep)
	ErrStillInUse = errors.New("this entry still verifies: it can go after its verify_until")
	ErrNeverOver  = errors.New("this entry has no verify_until: it gets one when another is activated in its place")
)

// NewFile begins a file with one entry, which is active. It returns ErrKID.
func NewFile(kid string, now time.Time) (File, error) {
	f := File{Version: 1, Active: kid}
	return f.Add(kid, now)
}

// NextKID is a kid that no entry of the file has: year, month and a letter.
func (f File) NextKID(now time.Time) string {
	month := now.UTC().Format("2006-01-")
	for letter := 'a'; letter < 'z'; letter++ {
		if kid := month + string(letter); f.find(kid) < 0 {
			return kid
		}
	}
	return month + "z"
}

// Add gives the file with one more entry of a random secret, which verifies and does not
// sign yet. It returns ErrKID, ErrTaken or ErrFull.
func (f File) Add(kid string, now time.Time) (File, error) {
	switch {
	case !kidShape.MatchString(kid):
		return f, ErrKID
	case f.find(kid) >= 0:
		return f, ErrTaken
	case len(f.Keys) >= MaxEntries:
		return f, ErrFull
	}
	var raw [MinSecret]byte
	_, _ = rand.Read(raw[:])
	f.Keys = append([]Entry{{KID: kid, Secret: encode(raw[:]), CreatedAt: stamp(now)}}, f.Keys...)
	return f, nil
}

// Activate gives the file in which kid signs, and the entry before it verifies until
// keepUntil. seen is the fingerprint that every replica shows: it says that all of them
// hold the entry. It returns ErrNoEntry, ErrActive, ErrOver, ErrNotSeen, ErrKeep, or
// what Parse returns for the file as it is.
func (f File) Activate(kid, seen string, keepUntil, now time.Time) (File, error) {
	set, err := f.set(now)
	if err != nil {
		return f, err
	}
	next, last := f.find(kid), f.find(f.Active)
	switch {
	case next < 0:
		return f, ErrNoEntry
	case next == last:
		return f, ErrActive
	case f.Keys[next].over(now):
		return f, ErrOver
	case seen != set.Fingerprint():
		return f, ErrNotSeen
	case keepUntil.Before(now.Add(MinKeep)):
		return f, ErrKeep
	}
	until := stamp(keepUntil.Add(time.Second - time.Nanosecond)) // never less than asked for
	f.Keys = slices.Clone(f.Keys)
	f.Active, f.Keys[next].VerifyUntil, f.Keys[last].VerifyUntil = kid, nil, &until
	return f, nil
}

// Retire gives the file without an entry that verifies no more. It returns ErrNoEntry,
// ErrActive, ErrNeverOver or ErrStillInUse.
func (f File) Retire(kid string, now time.Time) (File, error) {
	at := f.find(kid)
	switch {
	case at < 0:
		return f, ErrNoEntry
	case kid == f.Active:
		return f, ErrActive
	case f.Keys[at].VerifyUntil == nil:
		return f, ErrNeverOver
	case !f.Keys[at].over(now):
		return f, ErrStillInUse
	}
	f.Keys = slices.Delete(slices.Clone(f.Keys), at, at+1)
	return f, nil
}

// State says what an entry is for.
type State string

// The states, in the order in which an entry has them.
const (
	Waiting  State = "waiting"  // verifies; signs once it is activated
	Active   State = "active"   // signs and verifies
	Retiring State = "retiring" // verifies until its verify_until
	Over     State = "over"     // does nothing, and can go
)

// State of the entry of a kid at now; empty where there is none.
func (f File) State(kid string, now time.Time) State {
	at := f.find(kid)
	switch {
	case at < 0:
		return ""
	case kid == f.Active:
		return Active
	case f.Keys[at].VerifyUntil == nil:
		return Waiting
	case f.Keys[at].over(now):
		return Over
	}
	return Retiring
}

// Fingerprint is that of the file's set, or what Parse returns.
func (f File) Fingerprint(now time.Time) (string, error) {
	set, err := f.set(now)
	if err != nil {
		return "", err
	}
	return set.Fingerprint(), nil
}

func (f File) set(now time.Time) (*Set, error) {
	content, err := f.Encode()
	if err != nil {
		return nil, err
	}
	return Parse(content, now)
}

func (f File) find(kid string) int {
	return slices.IndexFunc(f.Keys, func(e Entry) bool { return e.KID == kid })
}

// over reports whether an entry is past its end; a time that does not parse never comes.
func (e Entry) over(now time.Time) bool {
	if e.VerifyUntil == nil {
		return false
	}
	until, err := time.Parse(time.RFC3339, *e.VerifyUntil)
	return err == nil && !now.Before(until)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
