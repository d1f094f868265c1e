// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// unlimited is noLimits without the limits that it leaves on.
const unlimited = noLimits + ",oauth.revoke.addr=0,oauth.introspect.client=0"

// clientID is the one under which the client of the tests asks.
const clientID = "difyctl"

// duo is a fleet of two processes.
type duo struct {
	*fleet
	a, b *process
}

func newDuo(t testing.TB, environ ...string) *duo {
	t.Helper()
	f := newFleet(t)
	environ = append([]string{unlimited}, environ...)
	return &duo{fleet: f, a: f.serve(environ...), b: f.serve(environ...)}
}

// of spreads callers over both.
func (d *duo) of(i int) *process {
	if i%2 == 0 {
		return d.a
	}
	return d.b
}

// another adds an account with the owner's password and signs it in.
func (d *duo) another(email string) person {
	d.t.Helper()
	d.exec(`INSERT INTO accounts (id, email, name, password_hash, status, deployment_admin, created_at, updated_at)
		SELECT gen_random_uuid()::text, $1, 'Another', password_hash, 'active', false, now(), now() FROM accounts WHERE email = $2`, email, ownerEmail)
	p, a := d.a.signIn(email, ownerPassword)
	if a.Status != http.StatusOK {
		d.t.Fatalf("sign-in: %d %s %v", a.Status, a.Body, a.Err)
	}
	return p
}

// approved gives a grant that is approved at another process than it began at.
func (d *duo) approved(who person, label string) codes {
	d.t.Helper()
	g := d.a.mustCode(label)
	if a := d.b.decide(who, "approve", g); a.Status != http.StatusOK {
		d.t.Fatalf("approve: %d %s %v", a.Status, a.Body, a.Err)
	}
	return g
}

// refused wants both processes to refuse a token.
func (d *duo) refused(token string) {
	d.t.Helper()
	for _, p := range []*process{d.a, d.b} {
		if a := p.identity(token); a.Status != http.StatusUnauthorized {
			d.t.Fatalf("a dead token: %d %s %v", a.Status, a.Body, a.Err)
		}
	}
}

// works wants both processes to take a token.
func (d *duo) works(token string) {
	d.t.Helper()
	for _, p := range []*process{d.a, d.b} {
		if a := p.identity(token); a.Status != http.StatusOK {
			d.t.Fatalf("a live token: %d %s %v", a.Status, a.Body, a.Err)
		}
	}
}

// longRounds is rounds for a race whose one round takes long.
func longRounds(full, few int) int {
	if rounds(10) == 10 {
		return full
	}
	return few
}

// atOnce runs act n times from one moment on and gives what each gave.
func atOnce[T any](n int, act func(i int) T) []T {
	out := make([]T, n)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			out[i] = act(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return out
}

// underUse ends a token while users of both processes go on using it, and wants every
// use that begins after the end was answered to be refused.
func (d *duo) underUse(t *testing.T, users int, token string, end func()) {
	t.Helper()
	var over atomic.Bool
	atOnce(users+1, func(i int) any {
		if i == users {
			defer over.Store(true)
			end()
			return nil
		}
		for last := false; !last; {
			last = over.Load()
			switch a := d.of(i).identity(token); {
			case a.Status == http.StatusUnauthorized:
			case a.Status != http.StatusOK:
				t.Errorf("a use: %d %s %v", a.Status, a.Body, a.Err)
			case last:
				t.Error("a token works after its end was answered")
			}
		}
		return nil
	})
	if t.Failed() {
		t.FailNow()
	}
	d.refused(token)
}

// untilSo asks until it is so: what a process does in its own time shows in the
// stores alone.
func untilSo(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func hexDigest(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

func (f *fleet) exec(statement string, args ...any) {
	f.t.Helper()
	if _, err := f.sql.Exec(context.Background(), statement, args...); err != nil {
		f.t.Fatal(err)
	}
}

// texts gives the first column of every row.
func (f *fleet) texts(query string, args ...any) []string {
	f.t.Helper()
	rows, err := f.sql.Query(context.Background(), query, args...)
	if err != nil {
		f.t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// device wants exactly one live row of the owner's label, that of this token, or none
// for an empty one.
func (f *fleet) device(label, token string) {
	f.t.Helper()
	live := f.texts(`SELECT encode(token_hash, 'hex') FROM oauth_access_tokens WHERE revoked_at IS NULL
		AND subject_email = $1 AND subject_issuer = 'dify:account' AND client_id = $2 AND device_label = $3`, ownerEmail, clientID, label)
	if token == "" && len(live) == 0 || len(live) == 1 && live[0] == hexDigest(token) {
		return
	}
	f.t.Fatalf("%d live rows of %s; the one of the token: %q", len(live), label, live)
}

// keepBrowsers copies every browser session, so that whoever a kill has signed out is
// signed in again by browsersBack: a round is not spent on hashing passwords.
func (f *fleet) keepBrowsers() { f.exec(`CREATE TABLE kept AS TABLE console_sessions`) }

func (f *fleet) browsersBack() {
	f.exec(`INSERT INTO console_sessions SELECT * FROM kept ON CONFLICT DO NOTHING`)
}

// The keys of Redis (docs/specs/v1.0/server/device-flow.md and tokens.md).
func (f *fleet) grantKey(g codes) string        { return f.prefix + "dg:g:{" + hexDigest(g.device) + "}" }
func (f *fleet) userKey(mac string) string      { return f.prefix + "dg:u:{" + mac + "}" }
func (f *fleet) within(key, kind string) string { return strings.TrimPrefix(key, f.prefix+kind+":{") }

// grant gives what Redis holds of a grant; nothing when it is gone.
func (f *fleet) grant(g codes) map[string]string {
	f.t.Helper()
	fields, err := f.store.HGetAll(context.Background(), f.grantKey(g)).Result()
	if err != nil {
		f.t.Fatal(err)
	}
	return fields
}

// change sets fields of a grant, as time or a failover would.
func (f *fleet) change(g codes, fields ...any) {
	f.t.Helper()
	if err := f.store.HSet(context.Background(), f.grantKey(g), fields...).Err(); err != nil {
		f.t.Fatal(err)
	}
}

// lapse ends the lease of a claim, and lets the next poll come in time.
func (f *fleet) lapse(g codes) {
	f.t.Helper()
	f.change(g, "lease_until", time.Now().Add(-time.Microsecond).UnixMicro(), "last_poll", "")
}

// whole is invariants over both stores, for the end of a test: besides, nothing that
// Redis knows of bearers and grants contradicts SQL or itself.
func (f *fleet) whole() {
	f.t.Helper()
	f.invariants()
	ctx := context.Background()
	live := map[string]bool{}
	for _, hash := range f.texts(`SELECT encode(token_hash, 'hex') FROM oauth_access_tokens WHERE revoked_at IS NULL`) {
		live[hash] = true
	}
	grants, users := map[string]map[string]string{}, map[string]string{}
	keys := f.store.Scan(ctx, 0, f.prefix+"*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		switch {
		case strings.HasPrefix(key, f.prefix+"auth:"):
			hash := strings.TrimSuffix(f.within(key, "auth"), "}:ctx")
			switch entry := f.store.Get(ctx, key).Val(); {
			case entry == "x" && live[hash]:
				f.t.Errorf("a live token has a tombstone")
			case strings.HasPrefix(entry, "{") && !live[hash]:
				f.t.Errorf("the cache holds a token that is not live")
			}
		case strings.HasPrefix(key, f.prefix+"dg:g:"):
			grants[strings.TrimSuffix(f.within(key, "dg:g"), "}")] = f.store.HGetAll(ctx, key).Val()
		case strings.HasPrefix(key, f.prefix+"dg:u:"):
			users[strings.TrimSuffix(f.within(key, "dg:u"), "}")] = f.store.Get(ctx, key).Val()
		}
	}
	if err := keys.Err(); err != nil {
		f.t.Fatal(err)
	}
	for mac, ref := range users {
		if g := grants[ref]; g["user_mac"] != mac && f.store.Exists(ctx, f.userKey(mac)).Val() == 1 {
			f.t.Errorf("a user code leads to no grant that holds it")
		}
	}
	for _, g := range grants {
		if (g["subject"] != "") != (g["status"] == "approved") || g["status"] == "redeeming" || (g["transition"] == "") != (g["status"] == "pending") {
			f.t.Errorf("a grant at rest is %s, with a subject of %d bytes and transition %q", g["status"], len(g["subject"]), g["transition"])
		}
	}
}

// signal holds a process, or lets it go on.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// halt returns when no thread of the process runs any more.
func (p *process) halt() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	untilSo(p.t, "a process that stands still", func() bool {
		threads, _ := os.ReadDir("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/task")
		for _, thread := range threads {
			stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/task/" + thread.Name() + "/stat")
			_, after, _ := strings.Cut(string(stat), ") ")
			if err == nil && !strings.HasPrefix(after, "T") {
				return false
			}
		}
		return len(threads) > 0
	})
}

func (p *process) goOn() { p.signal(syscall.SIGCONT) }

// basicAuth is HTTP Basic (RFC 6749 section 2.3.1).
func basicAuth(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}
