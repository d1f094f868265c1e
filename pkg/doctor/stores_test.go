// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// says asks for exactly one finding of a check, with a status and words.
func says(t *testing.T, found []doctor.Finding, id string, want doctor.Status, words string) {
	t.Helper()
	var of []doctor.Finding
	for _, f := range found {
		if f.Check == id {
			of = append(of, f)
		}
	}
	if len(of) != 1 || of[0].Status != want || !strings.Contains(of[0].Text, words) {
		t.Errorf("%s: %+v, want one that is %s and says %q", id, of, want, words)
	}
	sentences(t, found)
}

// sentences holds every finding to its form: an id of the catalogue, a whole sentence, and
// what to do wherever something is wrong.
func sentences(t *testing.T, found []doctor.Finding) {
	t.Helper()
	for _, f := range found {
		if !slices.ContainsFunc(doctor.Shared(), func(e doctor.Entry) bool { return e.ID == f.Check }) {
			t.Errorf("%q is no check of the catalogue", f.Check)
		}
		if f.Text == "" || (f.Status == doctor.Warn || f.Status == doctor.Fail) != (f.Next != "") {
			t.Errorf("no sentence, or nothing to do next: %+v", f)
		}
	}
}

func good() doctor.Postgres {
	return doctor.Postgres{Version: 170002, MaxConnections: 100, Reserved: 3, Used: 10, RoleLimit: -1, Encrypted: true, Server: "10.0.0.5"}
}

func TestJudgePostgres(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(p *doctor.Postgres)
		id     string
		want   doctor.Status
		words  string
	}{
		"all is well":             {func(*doctor.Postgres) {}, doctor.PostgresReachable, doctor.OK, "answers"},
		"a version":               {func(*doctor.Postgres) {}, doctor.PostgresVersion, doctor.OK, "17.2"},
		"an old version":          {func(p *doctor.Postgres) { p.Version = 130009 }, doctor.PostgresVersion, doctor.Fail, "13"},
		"a standby":               {func(p *doctor.Postgres) { p.Standby = true }, doctor.PostgresPrimary, doctor.Fail, "standby"},
		"read-only":               {func(p *doctor.Postgres) { p.ReadOnly = true }, doctor.PostgresPrimary, doctor.Fail, "read-only"},
		"a primary":               {func(*doctor.Postgres) {}, doctor.PostgresPrimary, doctor.OK, "takes writes"},
		"room for one more":       {func(p *doctor.Postgres) { p.Used = 81 }, doctor.PostgresConnections, doctor.OK, "81 of 97"},
		"no room for one more":    {func(p *doctor.Postgres) { p.Used = 82 }, doctor.PostgresConnections, doctor.Warn, "would not fit"},
		"never enough":            {func(p *doctor.Postgres) { p.MaxConnections = 18 }, doctor.PostgresConnections, doctor.Fail, "leaves 15"},
		"the role's limit":        {func(p *doctor.Postgres) { p.RoleLimit = 8 }, doctor.PostgresConnections, doctor.Fail, "CONNECTION LIMIT"},
		"the role's limit, used":  {func(p *doctor.Postgres) { p.RoleLimit, p.Ours = 20, 5 }, doctor.PostgresConnections, doctor.Warn, "5 of 20"},
		"in clear":                {func(p *doctor.Postgres) { p.Encrypted = false }, doctor.PostgresTLS, doctor.Warn, "not encrypted"},
		"in clear on a socket":    {func(p *doctor.Postgres) { p.Encrypted, p.Server = false, "" }, doctor.PostgresTLS, doctor.OK, "this machine"},
		"in clear on the machine": {func(p *doctor.Postgres) { p.Encrypted, p.Server = false, "127.0.0.1" }, doctor.PostgresTLS, doctor.OK, "this machine"},
		"no rights":               {func(p *doctor.Postgres) { p.Lacks = []string{"accounts"} }, doctor.PostgresRights, doctor.Fail, "accounts"},
		"a superuser":             {func(p *doctor.Postgres) { p.Superuser = true }, doctor.PostgresRights, doctor.Warn, "superuser"},
		"a role of its own":       {func(*doctor.Postgres) {}, doctor.PostgresRights, doctor.OK, "the rights"},
	} {
		t.Run(name, func(t *testing.T) {
			p := good()
			tc.change(&p)
			says(t, doctor.JudgePostgres(p, 16), tc.id, tc.want, tc.words)
		})
	}
}

func TestPostgresThatDoesNotAnswer(t *testing.T) {
	const canary = "kanarie"
	for code, words := range map[string]string{"28P01": "refuses the user", "28000": "refuses the user", "3D000": "does not exist", "53300": "no connection left", "57P03": "starting up", "42501": "may not read", "XX000": "SQLSTATE XX000"} {
		found := doctor.PostgresDown(fmt.Errorf("%s: %w", canary, &pgconn.PgError{Code: code, Message: canary}))
		says(t, found, doctor.PostgresReachable, doctor.Fail, words)
		if strings.Contains(fmt.Sprint(found), canary) {
			t.Errorf("the server's words are repeated: %v", found)
		}
	}
	says(t, doctor.PostgresDown(fmt.Errorf("%s %w", canary, syscall.ECONNREFUSED)), doctor.PostgresReachable, doctor.Fail, "the connection is refused")
	says(t, doctor.PostgresDown(context.DeadlineExceeded), doctor.PostgresReachable, doctor.Fail, "in time")
	if found := doctor.PostgresDown(errors.New(canary)); strings.Contains(fmt.Sprint(found), canary) {
		t.Errorf("%v", found)
	}
}

func TestARealPostgres(t *testing.T) {
	db, err := sqldb.OpenPostgres(t.Context(), testserver.Postgres(t), sqldb.PostgresOptions{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, table := range []string{"mine", "appended", "sso_theirs"} {
		if _, err := db.Exec(t.Context(), "CREATE TABLE "+table+" (id int)"); err != nil {
			t.Fatal(err)
		}
	}
	rights := doctor.Rights{Ours: func(table string) bool { return !strings.HasPrefix(table, "sso_") }, Appended: []string{"appended"}}
	p, err := doctor.ReadPostgres(t.Context(), db, rights)
	if err != nil {
		t.Fatal(err)
	}
	if p.Version < 100000 || p.Standby || p.ReadOnly || p.MaxConnections == 0 || p.Used == 0 || len(p.Lacks) > 0 || p.Now.IsZero() {
		t.Errorf("%+v", p)
	}
	says(t, doctor.JudgeClock("Postgres", p.Now, p.Before, p.Answered, 0), doctor.Clock, doctor.OK, "Postgres")

	t.Run("a transaction that is read-only, under a role without rights", func(t *testing.T) {
		role := "doctor_" + fmt.Sprint(time.Now().UnixNano())
		err := db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
			for _, statement := range []string{"CREATE ROLE " + role, "GRANT SELECT ON mine, appended TO " + role, "GRANT INSERT ON appended TO " + role, "SET LOCAL ROLE " + role, "SET LOCAL transaction_read_only = on"} {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return err
				}
			}
			p, err := doctor.ReadPostgres(ctx, tx, rights)
			if err != nil {
				return err
			}
			if !p.ReadOnly || !slices.Equal(p.Lacks, []string{"mine"}) || p.Superuser {
				t.Errorf("%+v", p)
			}
			return errUndo
		})
		if !errors.Is(err, errUndo) {
			t.Fatal(err)
		}
	})
}

var errUndo = errors.New("undo")

func TestJudgeRedis(t *testing.T) {
	healthy := redisdb.Server{Version: "7.4.1", Mode: "standalone", Role: "master", Policy: redisdb.PolicyKeep, AppendOnly: true}
	for name, tc := range map[string]struct {
		change func(s *redisdb.Server)
		mode   redisdb.Mode
		id     string
		want   doctor.Status
		words  string
	}{
		"all is well":                     {nil, "", doctor.RedisReachable, doctor.OK, "answers"},
		"a version":                       {nil, "", doctor.RedisVersion, doctor.OK, "7.4.1"},
		"an old version":                  {func(s *redisdb.Server) { s.Version = "6.0.16" }, "", doctor.RedisVersion, doctor.Fail, "6.0.16"},
		"no version":                      {func(s *redisdb.Server) { s.Version = "" }, "", doctor.RedisVersion, doctor.Warn, "does not say"},
		"a primary":                       {nil, "", doctor.RedisPrimary, doctor.OK, "primary"},
		"a replica":                       {func(s *redisdb.Server) { s.Role = "slave" }, "", doctor.RedisPrimary, doctor.Fail, "replica"},
		"keeps":                           {nil, "", doctor.RedisEviction, doctor.OK, "drops nothing"},
		"evicts":                          {func(s *redisdb.Server) { s.Policy = "allkeys-lru" }, "", doctor.RedisEviction, doctor.Fail, "allkeys-lru"},
		"room":                            {func(s *redisdb.Server) { s.MaxMemory, s.UsedMemory = 100, 79 }, "", doctor.RedisMemory, doctor.OK, "left"},
		"little room":                     {func(s *redisdb.Server) { s.MaxMemory, s.UsedMemory = 100, 80 }, "", doctor.RedisMemory, doctor.Warn, "80 %"},
		"no room":                         {func(s *redisdb.Server) { s.MaxMemory, s.UsedMemory = 100, 95 }, "", doctor.RedisMemory, doctor.Fail, "95 %"},
		"remembers":                       {nil, "", doctor.RedisPersistence, doctor.OK, "forgets nothing"},
		"forgets":                         {func(s *redisdb.Server) { s.AppendOnly = false }, "", doctor.RedisPersistence, doctor.Warn, "forgets logins"},
		"has a replica":                   {func(s *redisdb.Server) { s.AppendOnly, s.Replicas = false, 1 }, "", doctor.RedisPersistence, doctor.OK, "replicas"},
		"cannot write":                    {func(s *redisdb.Server) { s.WriteFailed = true }, "", doctor.RedisPersistence, doctor.Warn, "has failed"},
		"single as it says":               {nil, "", doctor.RedisTopology, doctor.OK, "REDIS_MODE=single"},
		"a cluster under single":          {func(s *redisdb.Server) { s.Mode = "cluster" }, redisdb.Single, doctor.RedisTopology, doctor.Fail, "one of a cluster"},
		"single under cluster":            {nil, redisdb.Cluster, doctor.RedisTopology, doctor.Fail, "not one of a cluster"},
		"a cluster that is down":          {func(s *redisdb.Server) { s.Mode, s.ClusterState = "cluster", "fail" }, redisdb.Cluster, doctor.RedisTopology, doctor.Fail, "down"},
		"a cluster":                       {func(s *redisdb.Server) { s.Mode, s.ClusterState = "cluster", "ok" }, redisdb.Cluster, doctor.RedisTopology, doctor.OK, "cluster"},
		"sentinel without a replica":      {nil, redisdb.Sentinel, doctor.RedisTopology, doctor.Warn, "nobody to promote"},
		"sentinel with a replica":         {func(s *redisdb.Server) { s.Replicas = 2 }, redisdb.Sentinel, doctor.RedisTopology, doctor.OK, "sentinel"},
		"in clear, and away from machine": {nil, "", doctor.RedisTLS, doctor.Warn, "not encrypted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy
			if tc.change != nil {
				tc.change(&s)
			}
			says(t, doctor.JudgeRedis([]redisdb.Server{healthy, s}[1:], tc.mode, false, []string{"redis.internal"}), tc.id, tc.want, tc.words)
		})
	}
	says(t, doctor.JudgeRedis([]redisdb.Server{healthy}, "", true, []string{"redis.internal"}), doctor.RedisTLS, doctor.OK, "encrypted")
	says(t, doctor.JudgeRedis([]redisdb.Server{healthy}, "", false, []string{"127.0.0.1"}), doctor.RedisTLS, doctor.OK, "this machine")
	says(t, doctor.JudgeRedis(nil, "", false, nil), doctor.RedisReachable, doctor.Fail, "No Redis")
	evicting := healthy
	evicting.Policy = "volatile-ttl"
	says(t, doctor.JudgeRedis([]redisdb.Server{healthy, evicting, healthy}, redisdb.Cluster, false, nil), doctor.RedisEviction, doctor.Fail, "volatile-ttl")
}

func TestARealRedis(t *testing.T) {
	address, prefix := testserver.Redis(t)
	o := redisdb.Options{URL: secret.New(address), KeyPrefix: prefix}
	db, err := redisdb.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	servers, err := db.Servers(t.Context())
	if err != nil || len(servers) != 1 {
		t.Fatalf("%+v, %v", servers, err)
	}
	s := servers[0]
	if s.Version == "" || s.Mode == "" || s.Role != "master" || s.Policy == "" || s.UsedMemory == 0 {
		t.Errorf("%+v", s)
	}
	says(t, doctor.JudgeClock("Redis", s.Now, s.Before, s.Answered, 0), doctor.Clock, doctor.OK, "Redis")

	t.Run("one that is not there", func(t *testing.T) {
		port, err := testserver.FreePort("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		gone, err := redisdb.New(redisdb.Options{URL: secret.New("redis://user:kanarie@127.0.0.1:" + port)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = gone.Close() }()
		_, err = gone.Servers(t.Context())
		found := doctor.RedisDown(err)
		says(t, found, doctor.RedisReachable, doctor.Fail, "the connection is refused")
		if strings.Contains(fmt.Sprint(found), "kanarie") || strings.Contains(fmt.Sprint(found), "127.0.0.1") {
			t.Errorf("the address is told: %v", found)
		}
	})
}

func TestSchemaAndKeys(t *testing.T) {
	says(t, doctor.JudgeSchema(schema.Status{Current: 4, Target: 4}, nil, "core migrate up", false), doctor.Schema, doctor.OK, "version 4")
	says(t, doctor.JudgeSchema(schema.Status{Current: 5, Target: 4}, nil, "core migrate up", false), doctor.Schema, doctor.Fail, "does not start")
	says(t, doctor.JudgeSchema(schema.Status{Current: 3, Target: 4, Pending: 1}, nil, "core migrate up", false), doctor.Schema, doctor.Fail, "1 migrations are pending")
	says(t, doctor.JudgeSchema(schema.Status{Current: 3, Target: 4, Pending: 1}, nil, "core migrate up", true), doctor.Schema, doctor.Warn, "pending")
	says(t, doctor.JudgeSchema(schema.Status{}, errUndo, "core migrate up", true), doctor.Schema, doctor.Fail, "could not be read")
	for _, tc := range []struct {
		previous bool
		err      error
		want     doctor.Status
		words    string
	}{
		{false, nil, doctor.OK, "are those of the database"}, {true, nil, doctor.Warn, "waits for its end"}, {false, doctor.ErrNoCanary, doctor.Skipped, "No service has started"},
		{false, seal.ErrOpen, doctor.Fail, "No sealing key"}, {false, seal.ErrCanary, doctor.Fail, "SECRET_KEY of this process"}, {false, errUndo, doctor.Fail, "could not be compared"},
	} {
		says(t, doctor.JudgeCanary(tc.previous, tc.err, "core admin rotate-secret-key"), doctor.KeysCanary, tc.want, tc.words)
	}
	says(t, doctor.JudgeSealing(nil, "x"), doctor.KeysSealing, doctor.Skipped, "no sealing key")
	says(t, doctor.JudgeSealing([]string{"a"}, "x"), doctor.KeysSealing, doctor.OK, "one sealing key")
	says(t, doctor.JudgeSealing([]string{"a", "b"}, "x"), doctor.KeysSealing, doctor.OK, "2 sealing keys")
}

func TestClocks(t *testing.T) {
	at := time.Date(2026, 11, 28, 1, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		theirs time.Time
		grain  time.Duration
		want   doctor.Status
		words  string
	}{
		{at, 0, doctor.OK, "agrees"}, {at.Add(-900 * time.Millisecond), time.Second, doctor.OK, "agrees"}, {at.Add(4 * time.Second), 0, doctor.OK, "agrees"},
		{at.Add(8 * time.Second), 0, doctor.Warn, "6s ahead"}, {at.Add(-6 * time.Second), time.Second, doctor.Warn, "5s behind"},
		{at.Add(32 * time.Second), 0, doctor.Fail, "30s ahead"}, {at.Add(-time.Hour), 0, doctor.Fail, "1h0m0s behind"}, {time.Time{}, 0, doctor.Skipped, "does not tell"},
	} {
		says(t, doctor.JudgeClock("the other", tc.theirs, at, at.Add(2*time.Second), tc.grain), doctor.Clock, tc.want, tc.words)
	}
}
