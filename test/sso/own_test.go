// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// ownServers are a Postgres with one database and a Redis with one key prefix, in which
// each service has credentials of its own.
type ownServers struct {
	sql      *testserver.PostgresServer
	redis    *testserver.RedisServer
	database string // its address for the administrator
}

const ownPrefix = "dify:"

// bridgeKeys are the patterns of keys that the bridge needs; whatever else lies under the
// prefix is core's.
var bridgeKeys = []string{"sso:t:*", "sso:h:*", "sso:v:*", "sso:r:*", "sso:m:*", "sso:k:*", "sso:j:{inner.request.core_to_bridge:*", "rl:bridge.*"}

func newOwnServers(t *testing.T) *ownServers {
	t.Helper()
	commands := []string{"-@all", "+@read", "+@write", "+@scripting", "+@connection", "+time", "-@dangerous", "+info"}
	acl := append([]string{"--user", "core", "on", ">core-password", "~" + ownPrefix + "*"}, commands...)
	acl = append(append(acl, "--user", "bridge", "on", ">bridge-password"), commands...)
	for _, pattern := range bridgeKeys {
		acl = append(acl, "~"+ownPrefix+pattern)
	}
	own := &ownServers{sql: testserver.StartPostgres(t), redis: testserver.StartRedis(t, acl...)}
	own.database = own.sql.Database(t)
	conn := own.connect(t, "postgres")
	for _, statement := range []string{
		"CREATE ROLE core LOGIN", "CREATE ROLE bridge LOGIN", "GRANT CREATE ON SCHEMA public TO core, bridge",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return own
}

// as is the address of the database for a role.
func (own *ownServers) as(role string) string {
	return strings.Replace(own.database, "postgres@", role+"@", 1)
}

func (own *ownServers) connect(t testing.TB, role string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), own.as(role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (own *ownServers) client(t testing.TB, user string) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: own.redis.Addr}
	if user != "" {
		o.Username, o.Password = user, user+"-password"
	}
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (in *install) on(own *ownServers) {
	in.t.Helper()
	address := func(user string) string { return "redis://" + user + ":" + user + "-password@" + own.redis.Addr }
	in.use("core", &in.coreEnviron, "the secret key of core in a test, long enough", own.as("core"), address("core"), ownPrefix)
	in.use("sso-bridge", &in.bridgeEnviron, bridgeSecret, own.as("bridge"), address("bridge"), ownPrefix)
}

// One database and one Redis for both, with credentials of their own; then the servers go
// away in the middle of logins.
func TestServersOfTheirOwn(t *testing.T) {
	t.Parallel()
	own := newOwnServers(t)
	in := newInstall(t, plan{stores: own})
	php := newSimpleSAMLphp(t)
	php.serves(in, "plain", nil)
	idp := newProvider(t, []string{in.callback("corp")})
	for _, way := range []way{bySAML, byOIDC} {
		in.configure(map[string]string{
			bySAML.name: samlConnection("plain", php.metadata("plain"), nil), byOIDC.name: idp.connection(in, "corp", nil, "domains: [corp.test]"),
		}[way.name])
		t.Run("SSO-103 the whole way passes by "+way.name+", and nothing of core's is open to the bridge", func(t *testing.T) {
			w, b := in.client("of its own"), newBrowser(t)
			way.arrive(w, b).must(http.StatusOK, "Alice Liddell").submit("approve-external")
			if status, _ := in.get("/openapi/v1/account", "Authorization", "Bearer "+w.token().AccessToken); status != http.StatusOK {
				t.Errorf("the token answers %d", status)
			}
			in.client("a grant that stays")
			own.refusesTables(t)
			own.refusesKeys(t)
		})
		t.Run("SSO-53 the bridge is killed at each step of a login by "+way.name, func(t *testing.T) { killed(t, in, own, way) })
		t.Run("SSO-94 OUT-01 Redis is gone at each step of a login by "+way.name, func(t *testing.T) {
			l := in.parked(way)
			own.redis.Stop()
			l.refused(t, unchecked, unchecked)
			own.redis.Start(t)
			in.works(way)
		})
		t.Run("SSO-94 SSO-34 OUT-02 SQL is gone at each step of a login by "+way.name, func(t *testing.T) {
			l := in.parked(way)
			own.sql.Stop(t)
			l.refused(t, "How do you want to sign in?", "Allow this device?")
			own.sql.Start(t)
			in.works(way)
			l.approved.external() // SQL was only gone for a while
		})
	}
}

// refusesTables tries the role of the bridge on each of core's tables.
func (own *ownServers) refusesTables(t *testing.T) {
	t.Helper()
	rows, err := own.connect(t, "postgres").Query(t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tableowner = 'core'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 8 {
		t.Fatalf("core's tables: %v %v", tables, err)
	}
	conn := own.connect(t, "bridge")
	for _, table := range tables {
		name := pgx.Identifier{table}.Sanitize()
		for _, statement := range []string{"SELECT count(*) FROM " + name, "DELETE FROM " + name, "INSERT INTO " + name + " DEFAULT VALUES", "TRUNCATE " + name, "DROP TABLE " + name} {
			var refused *pgconn.PgError
			if _, err := conn.Exec(t.Context(), statement); !errors.As(err, &refused) || refused.Code != "42501" {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
}

// refusesKeys tries the bridge's user on each key that is not the bridge's.
func (own *ownServers) refusesKeys(t *testing.T) {
	t.Helper()
	all, bridge := own.client(t, ""), own.client(t, "bridge")
	keys := []string{ownPrefix + "auth:{x}:ctx", ownPrefix + "dg:g:{x}", ownPrefix + "sso:l:{x}", ownPrefix + "sso:j:{api.device_flow.external_subject_assertion:x}"}
	var real int
	for each := all.Scan(t.Context(), 0, "*", 1000).Iterator(); each.Next(t.Context()); {
		key := each.Val()
		name := strings.TrimPrefix(key, ownPrefix)
		if strings.HasPrefix(name, "dg:") || strings.HasPrefix(name, "auth:") {
			real++
		}
		if !strings.HasPrefix(name, "rl:bridge.") && !strings.HasPrefix(name, "sso:") {
			keys = append(keys, key)
		}
	}
	if real < 2 {
		t.Fatalf("%d of core's keys found", real)
	}
	for _, key := range keys {
		for what, err := range map[string]error{
			"GET": bridge.Get(t.Context(), key).Err(), "HGETALL": bridge.HGetAll(t.Context(), key).Err(), "DEL": bridge.Del(t.Context(), key).Err(),
			"SET": bridge.Set(t.Context(), key, "x", 0).Err(),
		} {
			if err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
				t.Errorf("%s %s: %v", what, key, err)
			}
		}
	}
}

// parked are logins that wait before each step of the way.
type parked struct {
	in                                              *install
	typed, initiate, start, callback, complete, ask *waiting
	approved                                        *waiting
	entry, chosen, question                         *page
	b                                               map[string]*browser
	ticket, assertion                               string
	send                                            func() *page
}

func (in *install) parked(way way) *parked {
	in.t.Helper()
	l := &parked{in: in, b: map[string]*browser{}}
	for _, step := range []string{"typed", "initiate", "start", "callback", "complete", "ask", "approved"} {
		l.b[step] = newBrowser(in.t)
	}
	l.typed, l.initiate, l.start, l.callback = in.client("typed"), in.client("initiate"), in.client("start"), in.client("callback")
	l.complete, l.ask, l.approved = in.client("complete"), in.client("ask"), in.client("approved")
	l.entry = l.b["typed"].open(in.core.url+"/device").must(http.StatusOK, "user_code")
	l.chosen = l.initiate.chooser(l.b["initiate"])
	l.ticket = l.start.upTo(l.b["start"], "/sso/start/")
	l.send = way.returns(l.callback, l.b["callback"])
	l.assertion = way.assertion(l.complete, l.b["complete"])
	l.question = way.arrive(l.ask, l.b["ask"]).must(http.StatusOK, "Alice Liddell")
	way.arrive(l.approved, l.b["approved"]).submit("approve-external").must(http.StatusOK, "Device connected")
	return l
}

// refused takes every step while a server is gone: words, and neither a grant nor a token.
// Of typed and looked it tells what they show then, for not every page needs SQL.
func (l *parked) refused(t *testing.T, typed, looked string) {
	t.Helper()
	const later = "We cannot sign you in right now. Try again in a minute."
	for step, act := range map[string]struct {
		do    func() *page
		words string
	}{
		"typed":    {func() *page { return l.entry.submit("/device", "user_code", l.typed.auth.UserCode) }, typed},
		"initiate": {func() *page { return l.chosen.click("sso-initiate") }, later},
		"start":    {func() *page { return l.b["start"].open(l.ticket) }, later},
		"callback": {l.send, later},
		"complete": {func() *page { return l.b["complete"].open(l.assertion) }, later},
		"look":     {func() *page { return l.b["ask"].open(l.in.core.url + approvalPage) }, looked},
		"ask":      {func() *page { return l.question.submit("approve-external") }, unchecked},
	} {
		p := act.do()
		if !strings.Contains(html.UnescapeString(p.body), act.words) || step != "look" && strings.Contains(p.body, "Alice Liddell") {
			t.Errorf("%s: %d %s shows not %q:\n%s", step, p.status, p.url.Redacted(), act.words, p.body)
		}
	}
	r, err := http.PostForm(l.approved.config.Endpoint.TokenURL, url.Values{"client_id": {"difyctl"}, "device_code": {l.approved.auth.DeviceCode},
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("poll: %d, Retry-After %q", r.StatusCode, r.Header.Get("Retry-After"))
	}
}

// unchecked is what core says when it cannot ask its stores.
const unchecked = "We couldn't check the code."

// works signs somebody in.
func (in *install) works(way way) {
	in.t.Helper()
	w := in.client("afterwards")
	way.arrive(w, newBrowser(in.t)).must(http.StatusOK, "Alice Liddell").submit("approve-external").must(http.StatusOK, "Device connected")
	w.external()
}
