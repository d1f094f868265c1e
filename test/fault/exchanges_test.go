// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

const goldenFile = "testdata/exchanges.golden"

// golden reads the exchanges of each step, in order, that the stores are asked.
var golden = sync.OnceValues(func() (map[string][]exchange, error) {
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		return nil, err
	}
	found := map[string][]exchange{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 3 {
			found[f[0]] = append(found[f[0]], exchange{store: f[1], name: f[2]})
		}
	}
	return found, nil
})

// What each step asks of the stores is on file, so that an exchange that is added or
// changed is seen, and failed at by the tests beside this one. UPDATE=1 writes the
// file.
func TestExchangesOfEachStep(t *testing.T) {
	t.Parallel()
	l := newLane(t)
	for _, s := range steps { // every script is known to Redis
		if !s.background {
			about := s.ready(l)
			about.delivered = s.act(l, about)
			s.holds(l, about)
		}
	}
	var text strings.Builder
	for _, s := range steps {
		for _, x := range l.rehearse(s) {
			fmt.Fprintf(&text, "%s\t%s\t%s\n", s.name, x.store, x.name)
		}
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(goldenFile, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("the exchanges are not those of %s (UPDATE=1 writes it):\n%s", goldenFile, text.String())
	}
}

// rehearse runs a step without a fault and gives what it asks the stores.
func (l *lane) rehearse(s step) []exchange {
	l.t.Helper()
	about := s.ready(l)
	if s.background { // of this step alone
		l.settle()
	}
	seen := l.tap.listen(l.t, s.background, func() {
		if about.delivered = s.act(l, about); !s.success(about.delivered) {
			l.t.Fatalf("%s: %d %s %v", s.name, about.delivered.Status, about.delivered.Body, about.delivered.Err)
		}
		if s.background {
			l.used[about.token] = about.id
			l.settle()
		}
	})
	s.holds(l, about)
	return seen
}
