// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// station is a server with the stores that work for it.
type station struct {
	server *process
	stores []*process
}

// sample is one measurement.
type sample struct {
	n             int64
	took          time.Duration
	server, store time.Duration // CPU
	foreign       float64       // share of the machine that others used
}

func (s sample) rate() float64 { return float64(s.n) / s.took.Seconds() }

// per gives CPU time of one act in microseconds.
func (s sample) per(cpu time.Duration) float64 {
	return float64(cpu.Microseconds()) / float64(s.n)
}

const (
	// tooMuch foreign work spoils a sample, which is then taken again, so often.
	tooMuch = 0.10
	tries   = 4
)

// bench is a run.
type bench struct {
	rounds int
	*load
	out io.Writer
}

// pair is one path and its floor in one round.
type pair struct{ floor, path sample }

// result is a path with all rounds that count.
type result struct {
	path
	pairs []pair
}

// measure takes all rounds and one more, the first, which is thrown away: caches,
// pools and branch predictors are cold in it.
func (b *bench) measure(core, floor station, paths []path, floors map[string]op) ([]result, error) {
	results := make([]result, len(paths))
	for round := range b.rounds + 1 {
		for i, p := range paths {
			var got pair
			steps := []func() error{
				func() (err error) {
					got.floor, err = b.clean(floor, p.floor, amount{last: floorTime}, nil, floors[p.floor])
					return err
				},
				func() (err error) { got.path, err = b.clean(core, p.name, p.amount, p.prepare, p.act); return err },
			}
			if round%2 == 1 {
				steps[0], steps[1] = steps[1], steps[0]
			}
			for _, step := range steps {
				if err := step(); err != nil {
					return nil, err
				}
			}
			fmt.Fprintf(b.out, "round %d of %d: %-40s %.2f of %.0f/s; %.0f + %.0f µs\n", round, b.rounds, p.name,
				got.path.rate()/got.floor.rate(), got.floor.rate(), got.path.per(got.path.server), got.path.per(got.path.store))
			results[i].path = p
			if round > 0 {
				results[i].pairs = append(results[i].pairs, got)
			}
		}
	}
	return results, nil
}

// clean takes a sample, again when others used too much of the machine meanwhile. The
// last one counts as it is, and the report says so.
func (b *bench) clean(at station, name string, a amount, prepare func(n int64) error, act op) (s sample, err error) {
	if a.count > 0 {
		a.count = b.some(a.count).count
	}
	a.last /= time.Duration(b.shrink)
	for range tries {
		if prepare != nil {
			if err := prepare(a.count); err != nil {
				return s, fmt.Errorf("preparing %s: %w", name, err)
			}
		}
		if s, err = b.once(at, a, act); err != nil {
			return s, fmt.Errorf("%s: %w; a run with such an answer is no measurement", name, err)
		}
		if s.foreign < tooMuch || b.trial() {
			break
		}
	}
	return s, nil
}

// once drives one sample. CPU is counted until the server rests again: what it has put
// off, such as audit events in batches, belongs to the requests that caused it.
func (b *bench) once(at station, a amount, act op) (s sample, err error) {
	if err := b.rest(at); err != nil {
		return s, err
	}
	begun := time.Now()
	before, err := at.usage()
	if err != nil {
		return s, err
	}
	if s.n, s.took, err = b.drive(a, act); err != nil {
		return s, err
	}
	if err := b.rest(at); err != nil {
		return s, err
	}
	after, err := at.usage()
	if err != nil {
		return s, err
	}
	s.server, s.store = after.server-before.server, after.store-before.store
	others := (after.all - before.all) - (after.ours - before.ours)
	s.foreign = share(others, time.Since(begun))
	return s, nil
}

// share is what part of the machine others had, given their CPU time in so long.
func share(others, in time.Duration) float64 {
	return max(0, others.Seconds()/(in.Seconds()*float64(runtime.NumCPU())))
}

// used is CPU time so far: of a station, of all that this program has started and
// itself, and of the machine.
type used struct{ server, store, ours, all time.Duration }

func (s station) usage() (u used, err error) {
	if u.server, err = treeCPU(s.server.pid()); err != nil {
		return u, fmt.Errorf("%s: %w: %s", s.server.name, err, s.server.said)
	}
	for _, store := range s.stores {
		cpu, err := treeCPU(store.pid())
		if err != nil {
			return u, fmt.Errorf("%s: %w: %s", store.name, err, store.said)
		}
		u.store += cpu
	}
	if u.ours, err = treeCPU(os.Getpid()); err != nil {
		return u, err
	}
	u.all, err = busyCPU()
	return u, err
}

const (
	restStep  = 100 * time.Millisecond
	restLimit = 5 * time.Second
)

// rest waits until a station does nothing, or no longer than restLimit.
func (b *bench) rest(s station) error {
	if b.trial() {
		return nil
	}
	last := time.Duration(-1)
	for begun := time.Now(); time.Since(begun) < restLimit; time.Sleep(restStep) {
		u, err := s.usage()
		if err != nil {
			return err
		}
		if now := u.server + u.store; now-last <= tick && last >= 0 {
			return nil
		} else {
			last = now
		}
	}
	return nil
}
