// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// plentyOfLimits leaves every limit on, so that what asks for it is seen, and far away.
const plentyOfLimits = "RATE_LIMITS=device.code.addr=1000000/1h,device.code.all=100000/1s,device.lookup.addr=1000000/1h,device.wrong.all=100000/1s," +
	"device.wrong.account=1000000/1h,device.poll.addr=1000000/1h,device.decide.account=1000000/1h,bearer.token=1000000/1h,bearer.failed.addr=1000000/1h," +
	"account.read=1000000/1h,oauth.revoke.addr=1000000/1h,oauth.introspect.client=1000000/1h,console.login.addr=1000000/1h,console.login.pair=1000000/1h," +
	"console.login.email=1000000/1h,console.setup.addr=1000000/1h"

// fewConns leaves room for all lanes on one Postgres.
const fewConns = "DATABASE_MAX_CONNS=3"

// The services that ask about tokens.
const (
	introspectID     = "gateway"
	introspectSecret = "a secret of a client of a test, long enough"
	forwardKey       = "a key of a gateway of a test, long enough"
)

// lane is a fleet with one process behind a tap. One goroutine uses it at a time.
type lane struct {
	*fleet
	root    testing.TB // outlives the case that has the lane
	core    *process
	other   *process // past the tap; nil until somebody needs it
	tap     *tap
	who     person
	app     string // on the echo runtime; empty until somebody needs it
	labels  int
	logged  int               // of core's output, what settle has read
	waiting map[string]bool   // events of the log that are not in their table yet
	used    map[string]string // ids of tokens that were used, by token
	owed    []func()          // checks of what a worker brings about, made once for all cases
}

func newLane(t testing.TB) *lane {
	t.Helper()
	f := newFleet(t)
	targets := map[string]string{}
	for store, address := range map[string]string{postgres: f.database, redisDB: f.redis} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		targets[store] = u.Host
	}
	l := &lane{fleet: f, root: t, tap: newTap(t, targets), waiting: map[string]bool{}, used: map[string]string{}}
	// The jobs of a day have been done.
	for _, job := range []string{"prune.tokens", "prune.sessions", "prune.runs", "runs.lost"} {
		l.exec(`INSERT INTO leases (name, owner, until_at, fence) VALUES ($1, 'test', now() + interval '1 day', 1)`, job)
	}
	l.restart()
	return l
}

// restart starts the process behind the tap, the former one being gone.
func (l *lane) restart() {
	t := l.t
	l.t = l.root // it outlives the case
	l.core = l.serve(l.behind()...)
	l.enter(t)
	l.logged = 0
	clear(l.waiting) // what it had not written is lost with it
	clear(l.used)
}

// behind leads a process through the tap.
func (l *lane) behind() []string {
	database := l.tap.through(l.t, postgres, l.database)
	if !strings.Contains(database, "sslmode=") {
		database += "?sslmode=disable"
	}
	return []string{"DATABASE_URL=" + database, fewConns, "REDIS_URL=" + l.tap.through(l.t, redisDB, l.redis), plentyOfLimits, "OPENAPI_RATE_LIMIT_PER_TOKEN=100000", "APP_DEFAULT_ACTIVE_REQUESTS=3",
		"FORWARD_AUTH_KEY=" + forwardKey, "INTROSPECTION_CLIENTS=" + introspectID + ":" + hexSum(introspectSecret)}
}

// enter gives the lane to a test.
func (l *lane) enter(t testing.TB) {
	l.t = t
	l.core.t = t
}

// lanes runs cases on several lanes at once, each on whichever is free. Most of a case
// is waiting.
func lanes[C any](t *testing.T, most int, cases []C, name func(C) string, run func(l *lane, c C)) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds core")
	}
	todo := make(chan C, len(cases))
	for _, c := range cases {
		todo <- c
	}
	close(todo)
	var done sync.WaitGroup
	for range min(most, len(cases)) {
		done.Go(func() {
			var l *lane
			for c := range todo {
				if l == nil {
					l = newLane(t)
				}
				t.Run(name(c), func(t *testing.T) {
					l.enter(t)
					defer l.enter(l.root)
					run(l, c)
				})
			}
			if l != nil {
				l.settle()
				for _, check := range l.owed {
					check()
				}
				l.invariants()
			}
		})
	}
	done.Wait()
}

// owe puts a check off until core has had the time to write.
func (l *lane) owe(check func()) { l.owed = append(l.owed, check) }

func (l *lane) exec(query string, args ...any) {
	l.t.Helper()
	if _, err := l.sql.Exec(context.Background(), query, args...); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lane) text(query string, args ...any) (v string) {
	l.t.Helper()
	if err := l.sql.QueryRow(context.Background(), query, args...).Scan(&v); err != nil {
		l.t.Fatal(err)
	}
	return v
}

// owner gives a signed-in browser.
func (l *lane) owner() person {
	l.t.Helper()
	if l.who.cookie == "" {
		l.who = l.core.owner()
	}
	return l.who
}

func basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(introspectID+":"+introspectSecret))
}

// label draws a device that nobody has.
func (l *lane) label() string {
	l.labels++
	return fmt.Sprintf("device %d", l.labels)
}

// approved gives a code that the owner has allowed.
func (l *lane) approved(label string) codes {
	l.t.Helper()
	g := l.core.mustCode(label)
	if a := l.core.decide(l.owner(), "approve", g); a.Status != http.StatusOK {
		l.t.Fatalf("approve: %d %s %v", a.Status, a.Body, a.Err)
	}
	return g
}

// warm gives a token that the cache knows and whose use is on record.
func (l *lane) warm(label string) (token, id string) {
	l.t.Helper()
	token, id = l.core.login(l.owner(), label)
	if a := l.core.identity(token); a.Status != http.StatusOK {
		l.t.Fatalf("a fresh token: %d %s %v", a.Status, a.Body, a.Err)
	}
	l.used[token] = id
	return token, id
}

// grantKey is where Redis has a grant.
func (l *lane) grantKey(g codes) string {
	return l.prefix + "dg:g:{" + hexSum(g.device) + "}"
}

// hexSum is what stores know of a secret.
func hexSum(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// grant gives a field of a grant in Redis, empty when there is none.
func (l *lane) grant(g codes, field string) string {
	l.t.Helper()
	v, err := l.store.HMGet(context.Background(), l.grantKey(g), field).Result()
	if err != nil {
		l.t.Fatal(err)
	}
	text, _ := v[0].(string)
	return text
}

// later lets time pass for one grant: its lease lapses, and its next poll is due.
func (l *lane) later(g codes) { l.t.Helper(); l.age(g, "lease_until", "last_poll") }

// due lets the interval between two polls of a grant pass.
func (l *lane) due(g codes) { l.t.Helper(); l.age(g, "last_poll") }

func (l *lane) age(g codes, fields ...string) {
	l.t.Helper()
	const script = `for _, name in ipairs(ARGV) do
			local at = tonumber(redis.call('HGET', KEYS[1], name) or '')
			if at then redis.call('HSET', KEYS[1], name, string.format('%.0f', at - 15e6)) end
		end
		return 1`
	if err := l.store.Eval(l.t.Context(), script, []string{l.grantKey(g)}, fields).Err(); err != nil {
		l.t.Fatal(err)
	}
}

// older lets time pass for everything in Redis.
func (l *lane) older(by time.Duration) { testserver.RedisAge(l.t, l.store, l.prefix, by) }

// settle waits until the workers of core have nothing left to write.
func (l *lane) settle() {
	l.t.Helper()
	// What core says of this request comes after what it said of those before.
	mark := l.core.call(http.MethodGet, "/openapi/v1/_version", "", "").Header.Get("X-Request-Id")
	var said string
	eventually(l.t, "core is read", func() bool {
		said = l.core.said.String()
		return mark != "" && strings.Contains(said[l.logged:], mark)
	})
	end := strings.LastIndexByte(said, '\n') + 1
	for line := range strings.Lines(said[l.logged:end]) {
		var event struct{ Msg, ID string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Msg == "audit" {
			l.waiting[event.ID] = true
		}
	}
	l.logged = end
	eventually(l.t, "every event is in its table", func() bool {
		var ids []string
		for id := range l.waiting {
			ids = append(ids, id)
		}
		return l.count(`SELECT count(*) FROM audit_events WHERE id = ANY($1)`, ids) == len(ids)
	})
	clear(l.waiting)
	eventually(l.t, "every use is on record", func() bool {
		var ids []string
		for _, id := range l.used {
			ids = append(ids, id)
		}
		return l.count(`SELECT count(*) FROM oauth_access_tokens WHERE id = ANY($1) AND last_used_at IS NULL`, ids) == 0
	})
	clear(l.used)
}
