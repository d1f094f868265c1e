// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// scenario is one way of taking a part away.
type scenario struct {
	name, title, text string
	// planned: nothing fails but what a client repeats by the standard.
	planned bool
	// cut is how many runs may stay without an end on record.
	cut int
	run func(t *testing.T, o *outcome)
}

// outcome is what a scenario came to.
type outcome struct {
	scenario
	load   *load
	facts  []string // for the report
	unread int      // runs without an end on record
	losses int      // how often a replica left the rotation that nobody had told to end, before the test ended all
}

func (o *outcome) say(fact string) { o.facts = append(o.facts, fact) }

// often is what a probe takes to leave a replica out that is not ready and not told to end:
// three failures, five seconds apart.
const often = 15 * time.Second

// TestUnderLoad takes one part after another away under a load.
func TestUnderLoad(t *testing.T) {
	process.Program(t, "core") // before any clock runs
	var outcomes []*outcome
	t.Run("scenarios", func(t *testing.T) {
		for _, s := range append(planned, outages...) {
			o := &outcome{scenario: s}
			outcomes = append(outcomes, o)
			t.Run(s.name, func(t *testing.T) {
				if !full() {
					t.Parallel()
				}
				s.run(t, o)
				o.judge(t)
			})
		}
	})
	unrun := func(o *outcome) bool { return o.load == nil } // -run left it out
	if (full() || os.Getenv("UPDATE") == "1") && !t.Failed() && !slices.ContainsFunc(outcomes, unrun) {
		write(t, outcomes)
	}
}

// judge ends the load and compares.
func (o *outcome) judge(t *testing.T) {
	t.Helper()
	l := o.load
	l.over()
	o.losses = l.f.front.losses()
	if l.f.bridges != nil {
		o.losses += l.f.bridges.front.losses()
	}
	l.settled()
	o.unread = l.unfinished(o.cut)
	if o.unread > o.cut {
		l.violated("%d runs have no end on record, %d may", o.unread, o.cut)
	}
	_, failed := l.finished()
	t.Log(l.record)
	for _, why := range l.f.front.reasons() {
		t.Log("a replica left the rotation unasked, and had said: " + why)
	}
	for _, v := range l.violations {
		t.Errorf("violation: %s", v)
	}
	if o.planned && (l.hard > 0 || failed > 0 || len(l.stories) > 0) {
		t.Errorf("%d answers of 5xx that no client may repeat, %d failed logins, %d failures", l.hard, failed, len(l.stories))
	}
	if t.Failed() {
		t.Log(l.f.state())
	}
}

// two starts a fleet of two replicas of this version, with apps, and the load.
func (o *outcome) two(t *testing.T, s stores) (core string, f *fleet) {
	t.Helper()
	core = process.Program(t, "core")
	f = newFleet(t, core, s, often)
	f.importApps(core)
	f.serve(core)
	f.serve(core)
	o.load = begin(t, f)
	return core, f
}

// planned are what an operator does on purpose.
var planned = []scenario{
	{
		name: "OUT-05 a rolling restart", title: "Rolling restart", planned: true,
		text: "One replica after the other gets SIGTERM, drains and is started anew.",
		run: func(t *testing.T, o *outcome) {
			core, f := o.two(t, stores{})
			for range sized(1, 2) {
				for range 2 {
					f.retire(f.replicas[0])
					f.serve(core)
					o.load.steady(t, sized(1, 5))
				}
			}
		},
	},
	{
		name: "OUT-05 a rolling restart of the Enterprise Edition", title: "Rolling restart of the Enterprise Edition", planned: true,
		text: "Two replicas of core and two of sso-bridge, each before their public and their second listeners, on databases and prefixes of their own; besides the usual load, people " +
			"without an account sign in by OpenID Connect at a provider for development. Each of the four is replaced: it gets SIGTERM, drains, and is started anew.",
		run: func(t *testing.T, o *outcome) {
			core, bridge, f := o.enterprise(t)
			for range 2 {
				f.bridges.retire(f.bridges.replicas[0])
				f.bridges.serve(bridge)
				o.load.steady(t, sized(1, 5))
				f.retire(f.replicas[0])
				f.serve(core)
				o.load.steady(t, sized(1, 5))
			}
			o.say(fmt.Sprintf("Logins by company among them: %d.", o.load.successes("allow")))
		},
	},
	{
		name: "OUT-03 a rolling upgrade from the version before", title: "Rolling upgrade", planned: true,
		text: "Two replicas of the version before serve. `core migrate up` of this version changes the schema under them, as the init container of the first new pod does; " +
			"they go on. Then a new replica joins and an old one drains, twice. That version has no runs yet." +
			" A program of that version answers 503 on `/readyz` from the migration on, which this version no longer does; the front keeps it nevertheless, as probes do for their failure threshold.",
		run: func(t *testing.T, o *outcome) {
			old, commit := previous(t)
			o.say("The version before is commit " + commit[:12] + ", built from the history.")
			core := process.Program(t, "core")
			// A program of that version answers 503 on /readyz from the migration on; one of
			// this version does not (see the next scenario). It is kept for as long as the
			// probes of a cluster keep it, which must be longer than a start takes.
			f := newFleet(t, old, stores{}, time.Hour)
			f.serve(old)
			f.serve(old)
			l := begin(t, f)
			o.load = l
			if out := process.Do(t, f.environ, "", core, "migrate", "up"); out == "0 applied.\n" {
				t.Error("this version changes nothing of the schema")
			}
			l.steady(t, sized(2, 40)) // the operations of the version before on the new schema
			if out, err := process.Try(t, f.environ, "", old, "config", "check"); err != nil {
				t.Errorf("the settings of the version before: %v\n%s", err, out)
			}
			for range 2 {
				f.serve(core)
				f.retire(f.replicas[0])
				l.steady(t, sized(1, 10))
			}
		},
	},
	{
		name: "OUT-03 a newer schema under replicas of this version", title: "A schema that moves ahead", planned: true,
		text: "A migration of the next version, which adds a column, a table and an index, is applied under two replicas of this one. They stay ready and go on; " +
			"a replica that starts then refuses.",
		run: func(t *testing.T, o *outcome) {
			core, f := o.two(t, stores{})
			f.front.mu.Lock()
			f.front.unready = 0 // whoever is not ready once is out
			f.front.mu.Unlock()
			for _, statement := range []string{
				`ALTER TABLE oauth_access_tokens ADD COLUMN of_the_next_version text`,
				`CREATE TABLE of_the_next_version (id text NOT NULL PRIMARY KEY)`,
				`CREATE INDEX CONCURRENTLY of_the_next_version_at ON audit_events (event, at, id)`,
				`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`,
			} {
				if _, err := f.sql.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			o.load.steady(t, sized(3, 40))
			if n := f.front.losses(); n != 0 {
				t.Errorf("%d times a replica left the rotation", n)
			}
			if out, err := process.Try(t, append(f.environ, "LISTEN="+process.Free(t, "127.0.0.1"), "INNER_LISTEN="+process.Free(t, "127.0.0.1")), "", core, "serve"); err == nil {
				t.Errorf("a replica starts on a newer schema: %s", out)
			}
		},
	},
}

// outages are what happens to an operator.
var outages = []scenario{
	{
		name: "OUT-05 a replica is killed", title: "A replica is killed", cut: 32,
		text: "SIGKILL of one of two replicas with requests and streams in it; another one takes its place. What had been sent to it and was no repeatable request is lost; " +
			"its streams end without their final event.",
		run: func(t *testing.T, o *outcome) {
			core, f := o.two(t, stores{})
			for range sized(1, 2) {
				f.kill(f.replicas[0])
				o.load.steady(t, sized(1, 5)) // with one
				f.serve(core)
				o.load.steady(t, sized(1, 5))
			}
		},
	},
	{
		name: "OUT-05 a bridge is killed", title: "A bridge is killed",
		text: "SIGKILL of one of two replicas of sso-bridge in the Enterprise Edition; another one takes its place. What had been sent to it and was no GET is lost, and the person starts again.",
		run: func(t *testing.T, o *outcome) {
			_, bridge, f := o.enterprise(t)
			for range sized(1, 2) {
				f.bridges.kill(f.bridges.replicas[0])
				o.load.steady(t, sized(1, 5)) // with one
				f.bridges.serve(bridge)
				o.load.steady(t, sized(1, 5))
			}
			o.say(fmt.Sprintf("Logins by company among them: %d.", o.load.successes("allow")))
		},
	},
	{
		name: "OUT-01 Redis restarts and is empty", title: "Redis restarts empty",
		text: "A single Redis without persistence is stopped for two seconds and comes back with nothing: codes that waited are gone and have to be asked for again.",
		run: func(t *testing.T, o *outcome) {
			server := testserver.StartRedis(t)
			_, _ = o.two(t, stores{redis: []string{"REDIS_URL=" + server.URL()}})
			for range sized(1, 2) {
				server.Stop()
				time.Sleep(2 * time.Second) // the outage itself
				server.Start(t)
				o.load.steady(t, sized(2, 10))
			}
		},
	},
	{
		name: "OUT-01 Redis Sentinel fails over", title: "Redis Sentinel failover",
		text: "The master is killed. The sentinel waits half a second and makes the replica the new master. What the old one had acknowledged and not passed on is lost.",
		run: func(t *testing.T, o *outcome) {
			g := testserver.RedisSentinel(t)
			_, _ = o.two(t, stores{lossy: true, redis: []string{"REDIS_URL=redis://" + g.Sentinel.Addr, "REDIS_MODE=sentinel", "REDIS_MASTER_NAME=" + g.MasterName}})
			g.Master.Kill()
			o.load.steady(t, sized(2, 40))
		},
	},
	{
		name: "OUT-01 Redis Cluster loses a master", title: "Redis Cluster node loss",
		text: "One of three masters, each with a replica, is killed. Its replica takes its slots over after `cluster-node-timeout`, two seconds here.",
		run: func(t *testing.T, o *outcome) {
			nodes := clusterWithReplicas(t)
			_, _ = o.two(t, stores{lossy: true, redis: []string{"REDIS_URL=" + addresses(nodes), "REDIS_MODE=cluster"}})
			nodes[0].Kill()
			o.load.steady(t, sized(2, 40))
		},
	},
	{
		name: "OUT-02 Postgres restarts", title: "Postgres restarts",
		text: "The server is stopped in order and started again, then killed and started again.",
		run: func(t *testing.T, o *outcome) {
			server := testserver.StartPostgres(t)
			_, _ = o.two(t, stores{database: server.Database(t)})
			for range sized(1, 2) {
				server.Stop(t)
				server.Start(t)
				o.load.steady(t, sized(1, 10))
				server.Kill()
				server.Start(t)
				o.load.steady(t, sized(1, 10))
			}
		},
	},
	{
		name: "OUT-02 Postgres fails over", title: "Postgres failover by an address of several hosts",
		text: "The primary is killed and its hot standby, which has each commit before it is acknowledged, is promoted two seconds later. `DATABASE_URL` names both hosts and " +
			"`target_session_attrs=read-write`; nothing else tells the replicas.",
		run: func(t *testing.T, o *outcome) {
			primary := testserver.StartPostgres(t)
			standby := primary.Standby(t)
			_, _ = o.two(t, stores{database: "postgres://postgres@" + primary.Host() + "," + standby.Host() + "/postgres?sslmode=disable&target_session_attrs=read-write"})
			primary.Kill()
			time.Sleep(2 * time.Second) // for which nobody takes writes
			standby.Promote(t)
			o.load.steady(t, sized(2, 40))
		},
	},
}
