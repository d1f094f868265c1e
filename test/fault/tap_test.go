// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	toxi "github.com/Shopify/toxiproxy/v2"
)

// The stores of a fleet.
const (
	postgres = "postgres"
	redisDB  = "redis"
)

// blow is what happens to one exchange.
type blow string

const (
	refused    blow = "refused"       // the store is down from this request on, until it is put up
	cutBefore  blow = "cut before"    // the connection ends, the request never arrives
	cutAfter   blow = "cut after"     // the store has done it, the connection ends without the answer
	late       blow = "late"          // the request arrives after the client has given it up
	heldBefore blow = "killed before" // the request stands still until resume, then never arrives
	heldAfter  blow = "killed after"  // the answer stands still until resume, then never arrives
)

// plan strikes one exchange.
type plan struct {
	store, name string
	nth         int    // of that name, from 1
	about       string // what the request has to hold; empty takes any
	background  bool
	how         blow

	struck   bool
	hit      chan struct{} // closed once it has struck; what is held is held then
	left     chan struct{} // closed once core has given a late request up
	resume   chan struct{} // closed by the test: a late request goes on, a held connection ends
	answered chan struct{} // closed once the store has answered a late request
}

// exchange is one that a tap has seen.
type exchange struct {
	store, name string
	tx          *transaction
}

// transaction is what a connection asks between begin and commit.
type transaction struct{ names []string }

// The workers beside the requests write nothing but these, each kind in transactions
// of its own. A request's transaction begins with something else.
var backgroundNames = []string{"INSERT audit_events", "UPDATE oauth_access_tokens.last_used_at"}

// background reports whether a worker asks this and no request. Of a transaction that
// has only begun nobody knows yet.
func (x *exchange) background() bool {
	if strings.HasSuffix(x.name, " leases") {
		return true
	}
	if x.tx == nil { // a statement of its own, which is a transaction too
		return slices.Contains(backgroundNames, x.name)
	}
	return len(x.tx.names) > 0 && slices.Contains(backgroundNames, x.tx.names[0])
}

// tap stands between one process and both stores.
type tap struct {
	proxies map[string]*toxi.Proxy

	mu   sync.Mutex
	log  []*exchange
	plan *plan
}

// strike arms a plan, which replaces the former.
func (t *tap) strike(p plan) *plan {
	p.nth = max(p.nth, 1)
	p.hit, p.left, p.resume, p.answered = make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plan = &p
	return &p
}

// clear disarms.
func (t *tap) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plan = nil
}

// listen gives what requests ask during act, or what workers do, in order of arrival
// at the proxies.
func (t *tap) listen(tb testing.TB, workers bool, act func()) (seen []exchange) {
	tb.Helper()
	t.mu.Lock()
	t.log = nil
	t.mu.Unlock()
	act()
	t.mu.Lock()
	log := t.log
	t.mu.Unlock()
	eventually(tb, "a transaction shows whose it is", func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return !slices.ContainsFunc(log, func(x *exchange) bool { return x.tx != nil && len(x.tx.names) == 0 })
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range log {
		if x.background() == workers {
			seen = append(seen, *x)
		}
	}
	return seen
}

// arrives notes a request and gives the plan when it strikes this one.
func (t *tap) arrives(l *link, name string, data []byte) *plan {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := &exchange{store: l.store, name: name}
	switch {
	case l.store == postgres && name == "begin":
		l.tx = &transaction{}
		x.tx = l.tx
	case l.tx != nil:
		l.tx.names = append(l.tx.names, name)
		x.tx = l.tx
		if name == "commit" || name == "rollback" {
			l.tx = nil
		}
	}
	t.log = append(t.log, x)
	p := t.plan
	if p == nil || p.struck || p.store != x.store || p.name != name || !bytes.Contains(data, []byte(p.about)) ||
		(x.background() != p.background && name != "begin") {
		return nil
	}
	if p.nth--; p.nth > 0 {
		return nil
	}
	p.struck = true
	return p
}

// down refuses new connections to a store and ends those that there are.
func (t *tap) down(stores ...string) {
	for _, store := range stores {
		t.proxies[store].Stop()
	}
}

// up is the end of down.
func (t *tap) up(tb testing.TB, stores ...string) {
	tb.Helper()
	for _, store := range stores {
		if err := t.proxies[store].Start(); err != nil {
			tb.Fatalf("%s: %v", store, err)
		}
	}
}

// eventually waits for what a worker of core brings about.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("never: %s", what)
		}
	}
}
