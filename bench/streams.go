// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"
)

// The goals of streams through core, beside nginx that holds nothing back.
const (
	slower     = 1.5 // times what nginx adds, and its first byte
	bulkShare  = 0.8 // of nginx's rate
	manyClosed = 2 * time.Second
	manyMemory = 60 << 20 // bytes
)

// How much is streamed.
const (
	manyStreams = 400
	manyLast    = 4 * time.Second
	bulkEvents  = 64 << 10
	bulkSize    = 1 << 10
)

// scene is one thing that is compared.
type scene struct {
	name    string
	streams int // at once
	repeats int // one after another on each connection
	plan    plan
	value   func(of, direct streamed) float64 // what is shown of a way, and compared with nginx's
	unit    string
	goal    string
	met     func(ratio float64) bool
}

// streamed is one measurement of a scene on one way.
type streamed struct {
	sample
	median, first float64 // µs, of the age of an event and of the first byte
}

// lap is one measurement of a scene on every way.
type lap [throughCore + 1]streamed

func (l lap) value(sc scene, way int) float64 { return sc.value(l[way], l[direct]) }

// ratio is core's value by that of another way.
func (l lap) ratio(sc scene, way int) float64 { return l.value(sc, throughCore) / l.value(sc, way) }

func scenes() []scene {
	added := func(of, direct streamed) float64 { return of.median - direct.median }
	first := func(of, _ streamed) float64 { return of.first }
	rate := func(of, direct streamed) float64 { return of.rate() / direct.rate() }
	atMost := func(ratio float64) bool { return ratio <= slower }
	most := fmt.Sprintf("≤ %.1f", slower)
	return []scene{
		{"added per event, 1 stream", 1, 1, plan{Events: 500, First: 2000, Every: 4000}, added, "%.0f µs", most, atMost},
		{"added per event, 32 streams", 32, 1, plan{Events: 200, First: 10_000, Every: 10_000}, added, "%.0f µs", most, atMost},
		{"first byte, first event 5 ms late", 1, 100, plan{Events: 1, First: 5000, Every: 1000}, first, "%.0f µs", most, atMost},
		{"bulk, events of 1 KiB", 1, 1, plan{Events: bulkEvents, Size: bulkSize}, rate, "%.2f of direct", fmt.Sprintf("≥ %.1f", bulkShare),
			func(ratio float64) bool { return ratio >= bulkShare }},
	}
}

// streams measures streams through core beside nginx, both in front of one runtime.
func streams(ctx context.Context, b *bench, bin, dir string, a *about) (section, error) {
	s := section{title: "Streams", intro: `A run's events through core and through nginx without buffering, in turn and in one run, in front of the same runtime: a bare
net/http server that stamps each event with the time at which it leaves. What is added is the median age of an event at the client less that of a client
that asks the runtime itself. Core judges the caller, puts the run on record and looks into every event meanwhile. Bare Go is the standard library's
httputil.ReverseProxy, which does nothing but pass on: what is left between it and nginx is Go's scheduler and net/http. ÷ is core by another.`}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return s, err
	}
	st, err := startStreets(ctx, b, bin, dir)
	if errors.Is(err, errNotFound) || errors.Is(err, errTooOld) {
		s.notes = append(s.notes, "Left out: "+err.Error()+".")
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer st.end()
	a.core = st.product.version
	table, err := b.many(st) // first: what other streams leave behind is no matter of these
	if err != nil {
		return s, fmt.Errorf("many streams: %w", err)
	}
	fmt.Fprint(b.out, table)
	all := scenes()
	got := make([][]lap, len(all))
	for round := range b.rounds + 1 {
		for i, sc := range all {
			var l lap
			for k := range l {
				way := (k + round) % len(l)
				if l[way], err = b.street(sc, st.ways[way]); err != nil {
					return s, fmt.Errorf("%s, %s: %w", sc.name, st.ways[way].name, err)
				}
			}
			fmt.Fprintf(b.out, "round %d of %d: %-40s nginx "+sc.unit+", bare Go "+sc.unit+", core "+sc.unit+", ÷ %.2f; %.1f, %.1f, %.1f µs of CPU\n", round, b.rounds, sc.name,
				l.value(sc, throughNginx), l.value(sc, throughGo), l.value(sc, throughCore), l.ratio(sc, throughNginx),
				l[throughNginx].per(l[throughNginx].server), l[throughGo].per(l[throughGo].server), l[throughCore].per(l[throughCore].server))
			if round > 0 {
				got[i] = append(got[i], l)
			}
		}
	}
	s.text = streamTable(all, got) + table
	return s, nil
}

func streamTable(all []scene, got [][]lap) string {
	var t strings.Builder
	t.WriteString(`
| What | nginx | bare Go | core | ÷ nginx | ÷ bare Go | CPU of nginx per event, µs | of bare Go, µs | of core, µs | Goal, beside nginx |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`)
	worst := 0.0
	for i, sc := range all {
		of := func(value func(l lap) float64) spread {
			values := make([]float64, len(got[i]))
			for j, l := range got[i] {
				values[j] = value(l)
			}
			return spreadOf(values)
		}
		for _, l := range got[i] {
			for _, one := range l {
				worst = max(worst, one.foreign)
			}
		}
		fmt.Fprintf(&t, "| %s |", sc.name)
		for _, way := range []int{throughNginx, throughGo, throughCore} {
			fmt.Fprintf(&t, " "+sc.unit+" |", of(func(l lap) float64 { return l.value(sc, way) }).median)
		}
		ratio := of(func(l lap) float64 { return l.ratio(sc, throughNginx) })
		fmt.Fprintf(&t, " %.2f (%.2f–%.2f) | %.2f |", ratio.median, ratio.least, ratio.most, of(func(l lap) float64 { return l.ratio(sc, throughGo) }).median)
		for _, way := range []int{throughNginx, throughGo, throughCore} {
			fmt.Fprintf(&t, " %.1f |", of(func(l lap) float64 { return l[way].per(l[way].server) }).median)
		}
		fmt.Fprintf(&t, " %s |\n", said(sc.goal, sc.met(ratio.median)))
	}
	if worst >= tooMuch {
		fmt.Fprintf(&t, "\nOther work took up to %.0f %% of the machine in these samples: take the ratios with care, and run it again on a quiet one.\n", worst*100)
	}
	return t.String()
}

// street measures a scene on a way, again when others used too much of the machine.
func (b *bench) street(sc scene, w way) (s streamed, err error) {
	p := sc.plan
	p.Events = int(b.some(int64(p.Events)).count)
	repeats := int(b.some(int64(sc.repeats)).count)
	for range tries {
		if s, err = b.streetOnce(sc.streams, repeats, p, w); err != nil || s.foreign < tooMuch || b.trial() {
			return s, err
		}
	}
	return s, nil
}

func (b *bench) streetOnce(streams, repeats int, p plan, w way) (s streamed, err error) {
	at := station{server: w.server}
	if err := b.rest(at); err != nil {
		return s, err
	}
	before, err := at.usage()
	if err != nil {
		return s, err
	}
	begun := time.Now()
	results, err := b.follow(streams, repeats, p, w)
	if err != nil {
		return s, err
	}
	s.took = time.Since(begun)
	if err := b.rest(at); err != nil {
		return s, err
	}
	after, err := at.usage()
	if err != nil {
		return s, err
	}
	var ages, firsts []float64
	for _, h := range results {
		for _, age := range h.events {
			ages = append(ages, float64(age.Nanoseconds())/1000)
		}
		firsts = append(firsts, float64(h.first.Nanoseconds())/1000)
	}
	s.n, s.server = int64(streams*repeats*p.Events), after.server-before.server
	s.foreign = share((after.all-before.all)-(after.ours-before.ours), time.Since(begun))
	s.median, s.first = spreadOf(ages).median, spreadOf(firsts).median
	if p.Every > 0 && int64(len(ages)) != s.n {
		return s, fmt.Errorf("%d events came of %d", len(ages), s.n)
	}
	return s, nil
}

// follow has clients follow streams of one plan.
func (b *bench) follow(streams, repeats int, p plan, w way) ([]*heard, error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		all    []*heard
		failed error
	)
	for range streams {
		wg.Go(func() {
			one, err := b.followOne(streams, repeats, p, w)
			mu.Lock()
			defer mu.Unlock()
			if all = append(all, one...); err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	return all, errors.Join(failed, b.ctx.Err())
}

func (b *bench) followOne(streams, repeats int, p plan, w way) (all []*heard, err error) {
	f, err := newFollower(w.address)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if streams > 1 { // streams do not keep step with one another
		p.First += rand.IntN(p.Every) //nolint:gosec // no secret
	}
	request, err := w.request(p)
	if err != nil {
		return nil, err
	}
	for range repeats {
		h := &heard{events: make([]time.Duration, 0, p.Events)}
		if err := f.follow(request, h, nil); err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}
