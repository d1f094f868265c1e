// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// dvRounds is how often a race is run: all rounds with ROUNDS=full, a tenth without, a
// hundredth with -short.
func dvRounds(full int) int {
	switch {
	case os.Getenv("ROUNDS") == "full":
		return full
	case testing.Short():
		return max(1, full/100)
	default:
		return max(1, full/10)
	}
}

var errDown = errors.New("the store is gone")

// dvHook learns of every step that the server asks of its stores, by the request that
// asks (without an id for background work) and a name such as "grants Poll", "sql INSERT
// grant_fences" or "sql COMMIT done". An error makes the step fail: before it has an
// effect, or with "done" and "claimed" when it has had one and the reply is lost.
type dvHook func(by audit.Request, step string) error

// dvFaults stands between the services and their stores.
type dvFaults struct {
	mu   sync.Mutex
	hook dvHook
	left map[string]time.Duration // what each step had of its deadline when it was last asked
}

func (f *dvFaults) set(h dvHook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = h
}

func (f *dvFaults) heal() { f.set(nil) }

func (f *dvFaults) at(ctx context.Context, step string) error {
	f.mu.Lock()
	hook := f.hook
	if until, ok := ctx.Deadline(); ok {
		if f.left == nil {
			f.left = map[string]time.Duration{}
		}
		f.left[step] = time.Until(until)
	}
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(audit.RequestOf(ctx), step)
}

// fail lets every step fail whose name begins so, of requests and background alike.
func (f *dvFaults) fail(prefixes ...string) {
	f.set(func(_ audit.Request, step string) error {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(step, p) }) {
			return errDown
		}
		return nil
	})
}

// once runs do at the n-th time (from 1) that a request comes to the step of this
// name; an empty name counts every step of requests.
func (f *dvFaults) once(name string, n int, do func() error) {
	var mu sync.Mutex
	f.set(func(by audit.Request, step string) error {
		if by.ID == "" || name != "" && step != name {
			return nil
		}
		mu.Lock()
		n--
		now := n == 0
		mu.Unlock()
		if now {
			return do()
		}
		return nil
	})
}

// steps gives the names of what requests asked of the stores while do ran.
func (f *dvFaults) steps(do func()) []string {
	var mu sync.Mutex
	var list []string
	f.set(func(by audit.Request, step string) error {
		mu.Lock()
		defer mu.Unlock()
		if by.ID != "" {
			list = append(list, step)
		}
		return nil
	})
	do()
	f.heal()
	mu.Lock()
	defer mu.Unlock()
	return list
}

// dvGate holds a request at a step.
type dvGate struct {
	reached chan struct{}
	pass    chan struct{}
	once    sync.Once
}

// hold stops the first request that comes to a step until release is called.
func (f *dvFaults) hold(t testing.TB, step string) *dvGate {
	t.Helper()
	g := &dvGate{reached: make(chan struct{}), pass: make(chan struct{})}
	t.Cleanup(g.release)
	f.once(step, 1, func() error {
		close(g.reached)
		<-g.pass
		return nil
	})
	return g
}

func (g *dvGate) release() { g.once.Do(func() { close(g.pass) }) }

func (g *dvGate) await(t testing.TB) {
	t.Helper()
	select {
	case <-g.reached:
	case <-time.After(20 * time.Second):
		t.Fatal("no request came to the step")
	}
}

// wrap is for apitest.Wrap. The database of the tests' own questions never fails.
func (f *dvFaults) wrap(s *app.Stores) {
	db := &dvDB{DB: s.DB, f: f}
	s.Accounts, s.Workspaces, s.Tokens = sqlstore.Accounts{DB: db}, sqlstore.Workspaces{DB: db}, sqlstore.Tokens{DB: db}
	s.Console, s.Installation, s.Audit = sqlstore.Console{DB: db}, sqlstore.Installation{DB: db}, sqlstore.Audit(db)
	s.Access, s.Members = sqlstore.Access{DB: db}, sqlstore.Members{DB: db}
	s.Apps, s.Runs = sqlstore.Apps{DB: db}, sqlstore.Runs{DB: db}
	s.Grants = &dvGrants{Store: s.Grants, f: f}
	s.Counters = &dvCounters{Store: s.Counters, f: f}
}

type dvDB struct {
	sqldb.DB
	f *dvFaults
}

var dvTable = regexp.MustCompile(`\b(?:INTO|UPDATE|FROM)\s+(\w+)`)

// dvStatement names a statement by its verb and its first table.
func dvStatement(query string) string {
	verb, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	if m := dvTable.FindStringSubmatch(query); m != nil {
		return "sql " + verb + " " + m[1]
	}
	return "sql " + verb
}

func (d *dvDB) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return dvQuerier{d.DB, d.f}.Exec(ctx, query, args...)
}

func (d *dvDB) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	return dvQuerier{d.DB, d.f}.Query(ctx, query, args...)
}

func (d *dvDB) QueryRow(ctx context.Context, query string, args ...any) sqldb.Row {
	return dvQuerier{d.DB, d.f}.QueryRow(ctx, query, args...)
}

// InTx fails at "sql BEGIN" with nothing done; at "sql COMMIT" and "sql COMMIT done"
// the caller learns that a commit failed, which it did not do or did.
func (d *dvDB) InTx(ctx context.Context, fn func(ctx context.Context, tx sqldb.Querier) error) error {
	if err := d.f.at(ctx, "sql BEGIN"); err != nil {
		return err
	}
	unknown := func(err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("%w: %w", sqldb.ErrCommit, err)
	}
	err := d.DB.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error {
		if err := fn(ctx, dvQuerier{tx, d.f}); err != nil {
			return err
		}
		return unknown(d.f.at(ctx, "sql COMMIT"))
	})
	if err != nil {
		return err
	}
	return unknown(d.f.at(ctx, "sql COMMIT done"))
}

type dvQuerier struct {
	q sqldb.Querier
	f *dvFaults
}

func (d dvQuerier) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := d.f.at(ctx, dvStatement(query)); err != nil {
		return 0, err
	}
	return d.q.Exec(ctx, query, args...)
}

func (d dvQuerier) Query(ctx context.Context, query string, args ...any) (sqldb.Rows, error) {
	if err := d.f.at(ctx, dvStatement(query)); err != nil {
		return nil, err
	}
	return d.q.Query(ctx, query, args...)
}

func (d dvQuerier) QueryRow(ctx context.Context, query string, args ...any) sqldb.Row {
	if err := d.f.at(ctx, dvStatement(query)); err != nil {
		return dvNoRow{err}
	}
	return d.q.QueryRow(ctx, query, args...)
}

type dvNoRow struct{ err error }

func (r dvNoRow) Scan(...any) error { return r.err }

type dvCounters struct {
	ratelimit.Store
	f *dvFaults
}

func (c *dvCounters) Take(ctx context.Context, p ratelimit.Policy, scope string, now time.Time) (ratelimit.Result, error) {
	if err := c.f.at(ctx, "counters Take"); err != nil {
		return ratelimit.Result{}, err
	}
	return c.Store.Take(ctx, p, scope, now)
}

type dvGrants struct {
	devicegrant.Store
	f *dvFaults

	mu      sync.Mutex
	created []devicegrant.Grant
	// edit changes a grant before it is created; nil leaves it.
	edit func(g *devicegrant.Grant)
}

// around runs a move between its two steps.
func (g *dvGrants) around(ctx context.Context, step string, move func() error) error {
	if err := g.f.at(ctx, "grants "+step); err != nil {
		return err
	}
	if err := move(); err != nil {
		return err
	}
	return g.f.at(ctx, "grants "+step+" done")
}

func (g *dvGrants) Create(ctx context.Context, v devicegrant.Grant) error {
	g.mu.Lock()
	if g.edit != nil {
		g.edit(&v)
	}
	g.created = append(g.created, v)
	g.mu.Unlock()
	return g.around(ctx, "Create", func() error { return g.Store.Create(ctx, v) })
}

// Poll names its second step by what came of it: a claim is what matters.
func (g *dvGrants) Poll(ctx context.Context, p devicegrant.Poll) (devicegrant.PollResult, devicegrant.Grant, error) {
	if err := g.f.at(ctx, "grants Poll"); err != nil {
		return 0, devicegrant.Grant{}, err
	}
	r, v, err := g.Store.Poll(ctx, p)
	if err != nil {
		return r, v, err
	}
	step := "grants Poll done"
	if r == devicegrant.PollClaimed {
		step = "grants Poll claimed"
	}
	if err := g.f.at(ctx, step); err != nil {
		return 0, devicegrant.Grant{}, err
	}
	return r, v, nil
}

func (g *dvGrants) ForgetPoll(ctx context.Context, ref secret.Digest) error {
	return g.around(ctx, "ForgetPoll", func() error { return g.Store.ForgetPoll(ctx, ref) })
}

func (g *dvGrants) Find(ctx context.Context, mac secret.Digest, now time.Time) (devicegrant.Grant, error) {
	if err := g.f.at(ctx, "grants Find"); err != nil {
		return devicegrant.Grant{}, err
	}
	return g.Store.Find(ctx, mac, now)
}

func (g *dvGrants) Decide(ctx context.Context, d devicegrant.Decision) error {
	return g.around(ctx, "Decide", func() error { return g.Store.Decide(ctx, d) })
}

func (g *dvGrants) Release(ctx context.Context, ref secret.Digest, owner string) error {
	return g.around(ctx, "Release", func() error { return g.Store.Release(ctx, ref, owner) })
}

func (g *dvGrants) Delete(ctx context.Context, ref secret.Digest, owner string) error {
	return g.around(ctx, "Delete", func() error { return g.Store.Delete(ctx, ref, owner) })
}

// newest gives the grant that was created last, as it stands now; ok is false when it
// is gone or past its end.
func (g *dvGrants) newest(t testing.TB, now time.Time) (devicegrant.Grant, bool) {
	t.Helper()
	g.mu.Lock()
	mac := g.created[len(g.created)-1].UserMAC
	g.mu.Unlock()
	v, err := g.Store.Find(t.Context(), mac, now)
	if errors.Is(err, devicegrant.ErrNotFound) {
		return v, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return v, true
}
