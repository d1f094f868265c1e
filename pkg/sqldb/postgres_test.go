// SPDX-License-Identifier: Apache-2.0

package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// address gives a fresh database's address with the given hosts in place of its own,
// and its own.
func address(t *testing.T, hosts string) (at, own string) {
	t.Helper()
	u, err := url.Parse(testserver.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	own, u.Host = u.Host, "HOSTS"
	return strings.Replace(u.String(), "HOSTS", strings.ReplaceAll(hosts, "OWN", own), 1), own
}

func TestPostgresOfSeveralHosts(t *testing.T) {
	for _, hosts := range []string{"127.0.0.1:1,OWN", "OWN,127.0.0.1:1"} {
		t.Run(hosts, func(t *testing.T) {
			at, _ := address(t, hosts)
			if n := count(t, postgresAt(t, at)); n != 0 {
				t.Fatal(n)
			}
		})
	}
	t.Run("the one that takes writes", func(t *testing.T) {
		s := testserver.StartPostgres(t)
		standby := s.Database(t)
		main, own := address(t, "OWN")
		name := strings.Split(strings.Split(main, "/")[3], "?")[0]
		if db := postgresAt(t, standby); db != nil { // the same name on both
			for _, sql := range []string{"CREATE DATABASE " + name, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"} {
				if _, err := db.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
		}
		u, _ := url.Parse(standby)
		at := strings.Replace(main, own, u.Host+","+own, 1) + "&target_session_attrs=read-write"
		// The reload takes a moment to reach new sessions; this one writes from the first.
		await(t, func() bool {
			db, err := sqldb.OpenPostgres(t.Context(), standby, sqldb.PostgresOptions{MaxConns: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			var on string
			return db.QueryRow(t.Context(), "SHOW default_transaction_read_only").Scan(&on) == nil && on == "on"
		})
		if err := put(t.Context(), postgresAt(t, at), "a"); err != nil {
			t.Fatal(err)
		}
	})
}

// await asks until the answer is yes or the test ends.
func await(t *testing.T, ask func() bool) {
	t.Helper()
	for !ask() {
		select {
		case <-t.Context().Done():
			t.Fatal("it never came")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestAServerThatBecomesAStandbyIsLeft(t *testing.T) {
	s := testserver.StartPostgres(t)
	db := postgresAt(t, s.Database(t)+"&pool_min_conns=1")
	pid := func() (n int) {
		t.Helper()
		if err := db.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := pid()
	err := db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
		_, err := tx.Exec(ctx, "SET TRANSACTION READ ONLY")
		return errors.Join(err, put(ctx, tx, "a"))
	})
	if err == nil {
		t.Fatal("wrote")
	}
	for range 20 {
		if pid() == first {
			t.Fatal("a connection that does not write is kept")
		}
	}
}

func TestNoErrorOfPostgresHoldsThePassword(t *testing.T) {
	const canary = "canary7f3a"
	at, _ := address(t, "OWN")
	for name, bad := range map[string]string{
		"another scheme":      "postgre://u:" + canary + "@h/d",
		"a port":              "postgres://u:" + canary + "@h:x/d",
		"a slash":             "postgres://u:a/" + canary + "@h/d",
		"a query":             "postgres://u@h/d?password=" + canary + "&sslmode=perhaps",
		"a password alone":    canary,
		"keys":                "host=h password=" + canary + " sslmode=perhaps",
		"nobody listens":      "postgres://u:" + canary + "@127.0.0.1:1/d",
		"a wrong database":    strings.Replace(strings.Replace(at, "postgres@", "postgres:"+canary+"@", 1), "/sso_test_", "/none_", 1),
		"an attribute":        "postgres://u:" + canary + "@h/d?target_session_attrs=x",
		"a pool of no number": "postgres://u:" + canary + "@h/d?pool_max_conns=" + canary,
	} {
		t.Run(name, func(t *testing.T) {
			db, err := sqldb.OpenPostgres(t.Context(), bad, sqldb.PostgresOptions{})
			if err == nil {
				_ = db.Close()
				t.Fatal("opened")
			}
			if strings.Contains(fmt.Sprintf("%v %s", err, errors.Unwrap(err)), canary) {
				t.Fatal(err)
			}
		})
	}
	for bad, want := range map[string]bool{"postgres://u@h/d": true, "postgresql://u@a:1,b:2/d?target_session_attrs=read-write": true, "mysql://u@h/d": false} {
		if err := sqldb.CheckPostgres(bad); (err == nil) != want {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// proxy passes bytes on between a client and the server until it is told otherwise.
type proxy struct {
	net.Listener
	server string
	mu     sync.Mutex
	watch  func(fromServer bool, b []byte) (pass bool)
	conns  []net.Conn
}

// behind gives a database behind a proxy of its own.
func behind(t *testing.T) (sqldb.DB, *proxy) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at, own := address(t, "OWN")
	p := &proxy{Listener: l, server: own}
	go p.serve()
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	return postgresAt(t, strings.Replace(at, own, l.Addr().String(), 1)), p
}

func (p *proxy) serve() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		go p.pass(client, server, false)
		go p.pass(server, client, true)
	}
}

func (p *proxy) pass(from io.Reader, to io.WriteCloser, fromServer bool) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			watch := p.watch
			p.mu.Unlock()
			if watch == nil || watch(fromServer, buf[:n]) {
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) on(watch func(fromServer bool, b []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watch = watch
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func TestACommitOfUnknownOutcome(t *testing.T) {
	for _, tc := range []struct {
		name       string
		fromServer bool // cut after the server has answered COMMIT, else before it is sent
		rows       int
	}{{"the answer is lost", true, 1}, {"the question is lost", false, 0}} {
		t.Run("OUT-02 "+tc.name, func(t *testing.T) {
			db, p := behind(t)
			err := db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
				if err := put(ctx, tx, "a"); err != nil {
					return err
				}
				p.on(func(fromServer bool, b []byte) bool {
					if fromServer != tc.fromServer || !strings.Contains(strings.ToUpper(string(b)), "COMMIT") {
						return true
					}
					p.on(nil)
					p.cut()
					return false
				})
				return nil
			})
			if !errors.Is(err, sqldb.ErrCommit) {
				t.Fatalf("%v, want an unknown outcome", err)
			}
			await(t, func() bool { return db.Ping(t.Context()) == nil }) // the other connections were cut too
			if n := count(t, db); n != tc.rows {
				t.Fatalf("%d rows", n)
			}
		})
	}

	t.Run("a connection that was lost before is none", func(t *testing.T) {
		db, p := behind(t)
		err := db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
			err := put(ctx, tx, "a")
			p.cut()
			if put(ctx, tx, "b") == nil {
				t.Error("wrote without a connection")
			}
			return err
		})
		if err == nil || errors.Is(err, sqldb.ErrCommit) {
			t.Fatal(err)
		}
	})

	t.Run("a refusal is none", func(t *testing.T) {
		db := openPostgres(t, "")
		if _, err := db.Exec(t.Context(), "CREATE TABLE d (id text UNIQUE DEFERRABLE INITIALLY DEFERRED)"); err != nil {
			t.Fatal(err)
		}
		err := db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
			_, err := tx.Exec(ctx, "INSERT INTO d (id) VALUES ('a'), ('a')")
			return err
		})
		if !errors.Is(err, sqldb.ErrUnique) || errors.Is(err, sqldb.ErrCommit) {
			t.Fatal(err)
		}
		err = db.InTx(t.Context(), func(ctx context.Context, tx sqldb.Querier) error {
			_, _ = tx.Exec(ctx, "SELECT 1 / 0")
			return nil // and COMMIT of what has failed rolls back
		})
		if err == nil || errors.Is(err, sqldb.ErrCommit) {
			t.Fatal(err)
		}
	})
}

func TestADeadlineReachesTheSocket(t *testing.T) {
	t.Run("OUT-02 a server that says nothing", func(t *testing.T) {
		db, p := behind(t)
		for _, what := range []string{"a statement", "a transaction", "a ping"} {
			p.on(func(bool, []byte) bool { return false })
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			var err error
			switch what {
			case "a statement":
				err = put(ctx, db, "a")
			case "a transaction":
				err = db.InTx(ctx, func(ctx context.Context, tx sqldb.Querier) error { return put(ctx, tx, "a") })
			default:
				err = db.Ping(ctx)
			}
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sqldb.ErrCommit) {
				t.Errorf("%s: %v", what, err)
			}
			p.on(nil)
			if n := count(t, db); n != 0 {
				t.Errorf("%s: %d rows", what, n)
			}
		}
	})
	t.Run("OUT-02 a pool that is empty", func(t *testing.T) {
		db := openPostgres(t, "")
		hold := make(chan struct{})
		var held, done sync.WaitGroup
		for range 8 {
			held.Add(1)
			done.Go(func() {
				_ = db.InTx(context.Background(), func(context.Context, sqldb.Querier) error {
					held.Done()
					<-hold
					return nil
				})
			})
		}
		held.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := put(ctx, db, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		close(hold)
		done.Wait()
	})
}

func TestTheVictimOfADeadlockRunsAgain(t *testing.T) {
	db := openPostgres(t, "")
	for _, id := range []string{"a", "b"} {
		if err := put(t.Context(), db, id); err != nil {
			t.Fatal(err)
		}
	}
	var both, done sync.WaitGroup
	both.Add(2)
	runs := make([]int, 2)
	for i, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		done.Go(func() {
			err := db.InTx(context.Background(), func(ctx context.Context, tx sqldb.Querier) error {
				runs[i]++
				for n, id := range order {
					if _, err := tx.Exec(ctx, "UPDATE t SET digest = $1 WHERE id = $2", []byte{byte(i)}, id); err != nil {
						return fmt.Errorf("wrapped: %w", err)
					}
					if n == 0 && runs[i] == 1 { // each has its first row before either asks for its second
						both.Done()
						both.Wait()
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if runs[0]+runs[1] < 3 {
		t.Fatalf("they ran %v times", runs)
	}
}

func TestAConnectionThatWasCutIsReplaced(t *testing.T) {
	t.Run("OUT-02 after a restart", func(t *testing.T) {
		s := testserver.StartPostgres(t)
		db := postgresAt(t, s.Database(t))
		s.Kill()
		if err := put(t.Context(), db, "a"); err == nil {
			t.Fatal("wrote to nobody")
		}
		s.Start(t)
		await(t, func() bool { return put(t.Context(), db, "b") == nil })
		if n := count(t, db); n != 1 {
			t.Fatalf("%d rows", n)
		}
	})
	t.Run("OUT-02 once one is lost no idle one is trusted", func(t *testing.T) {
		at := testserver.Postgres(t)
		db, other := postgresAt(t, at), openPostgres(t, "")
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		var begun, done sync.WaitGroup
		begun.Add(8)
		for range 8 {
			done.Go(func() {
				_ = db.InTx(t.Context(), func(context.Context, sqldb.Querier) error {
					begun.Done()
					begun.Wait() // each of them has a connection of its own
					return nil
				})
			})
		}
		done.Wait()
		if _, err := other.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", u.Path[1:]); err != nil {
			t.Fatal(err)
		}
		if err := put(t.Context(), db, "a"); err == nil {
			t.Fatal("written over a connection that was ended")
		}
		for i := range 8 {
			if err := put(t.Context(), db, fmt.Sprint(i)); err != nil {
				t.Fatalf("request %d after the loss: %v", i+1, err)
			}
		}
	})
}
