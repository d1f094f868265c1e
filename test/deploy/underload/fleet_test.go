// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

const (
	ownerEmail    = "ada@example.com"
	ownerPassword = "correct horse battery"
)

// limits leave every limit on, and far away: all clients have one address and one account.
const limits = "RATE_LIMITS=device.code.addr=1000000/1h,device.code.all=100000/1s,device.lookup.addr=1000000/1h,device.wrong.all=100000/1s," +
	"device.wrong.account=1000000/1h,device.poll.addr=1000000/1h,device.decide.account=1000000/1h,bearer.token=1000000/1h,bearer.failed.addr=1000000/1h," +
	"account.read=1000000/1h,oauth.revoke.addr=1000000/1h,console.login.addr=1000000/1h,console.login.pair=1000000/1h,console.login.email=1000000/1h"

// stores are what a fleet stands on; empty members are the servers that tests share.
type stores struct {
	database string
	redis    []string // REDIS_ settings
	lossy    bool     // Redis may forget a tombstone that it has acknowledged
}

// fleet is a number of replicas of one service behind one address.
type fleet struct {
	t        testing.TB
	stores   stores
	environ  []string
	front    *front
	inner    *front // before the second listeners; nil where nobody calls them
	replicas []*replica
	bridges  *fleet // of sso-bridge; nil in the Community Edition
	apps     bool
	sql      *pgxpool.Pool // to its database
}

// replica is one process.
type replica struct {
	public, inner string
	process       *process.Process
}

// chartDelay is SHUTDOWN_DELAY as the chart sets it.
const chartDelay = 5 * time.Second

// newFleet prepares the stores by the given binary, with an owner.
func newFleet(t testing.TB, core string, s stores, unready time.Duration) *fleet {
	t.Helper()
	if s.database == "" {
		s.database = testserver.Postgres(t)
	}
	if len(s.redis) == 0 {
		url, prefix := testserver.Redis(t)
		s.redis = []string{"REDIS_URL=" + url, "REDIS_KEY_PREFIX=" + prefix}
	}
	f := &fleet{t: t, stores: s, front: newFront(t, "127.0.0.1", unready)}
	f.environ = append([]string{
		"DATABASE_URL=" + s.database, "DATABASE_MAX_CONNS=8", "SECRET_KEY=" + strings.Repeat("a secret key of a test ", 2), "SEALING_KEY_FILE=" + sealingKey(t),
		"CONSOLE_API_URL=" + f.front.address, "TRUSTED_PROXIES=127.0.0.1/32", "SHUTDOWN_DELAY=" + chartDelay.String(), "LOG_LEVEL=warn", limits,
	}, s.redis...)
	process.Do(t, f.environ, "", core, "migrate", "up")
	process.Do(t, f.environ, ownerPassword+"\n", core, "admin", "create-owner", "--email", ownerEmail, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")
	f.sql = pool(t, s.database)
	return f
}

// pool is for the questions of a test.
func pool(t testing.TB, database string) *pgxpool.Pool {
	t.Helper()
	few, err := pgxpool.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	few.MaxConns = 2
	p, err := pgxpool.NewWithConfig(context.Background(), few)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// sealingKey writes one.
func sealingKey(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sealing.key")
	var key [32]byte
	_, _ = rand.Read(key[:])
	if err := os.WriteFile(path, []byte("k1:"+base64.StdEncoding.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// importApps gives the workspace apps on the echo runtime.
func (f *fleet) importApps(core string) {
	f.t.Helper()
	root, err := process.Root()
	if err != nil {
		f.t.Fatal(err)
	}
	process.Do(f.t, f.environ, "", core, "app", "import", filepath.Join(root, "deploy", "dev", "apps.yaml"))
	f.apps = true
}

// serve starts a replica and waits until it is in the rotation.
func (f *fleet) serve(program string) *replica {
	f.t.Helper()
	r := &replica{public: process.Free(f.t, "127.0.0.1"), inner: process.Free(f.t, "127.0.0.1")}
	f.begin(r, program)
	f.replicas = append(f.replicas, r)
	return r
}

func (f *fleet) begin(r *replica, program string) {
	f.t.Helper()
	r.process = process.Start(f.t, append(f.environ, "LISTEN="+r.public, "INNER_LISTEN="+r.inner), program, "serve")
	r.process.Until("http://" + r.inner + "/readyz")
	f.front.add(r.public, r.inner)
	if f.inner != nil {
		f.inner.add(r.inner, r.inner)
	}
	until(f.t, "a replica to be in the rotation", func() bool { return f.serving(r) == all })
}

// How many of the fronts have a replica in their rotation.
const (
	none = iota
	some
	all
)

func (f *fleet) serving(r *replica) int {
	in := slices.Contains(f.front.rotation(), r.public)
	if f.inner == nil || in == slices.Contains(f.inner.rotation(), r.inner) {
		return map[bool]int{false: none, true: all}[in]
	}
	return some
}

// retire ends a replica as an orchestrator does, and takes its exit for an answer.
func (f *fleet) retire(r *replica) {
	f.t.Helper()
	r.process.Stop(2 * time.Minute)
	if code := r.process.Cmd.ProcessState.ExitCode(); code != 0 {
		f.t.Errorf("a replica that was told to end exits %d:\n%s", code, r.process.Said)
	}
	f.gone(r)
}

// kill ends a replica as a node that is lost does.
func (f *fleet) kill(r *replica) {
	r.process.Signal(syscall.SIGKILL)
	<-r.process.Ended
	f.gone(r)
}

// gone waits until the front knows, and forgets the replica.
func (f *fleet) gone(r *replica) {
	f.t.Helper()
	until(f.t, "a replica to leave the rotation", func() bool { return f.serving(r) == none })
	f.front.remove(r.public)
	if f.inner != nil {
		f.inner.remove(r.inner)
	}
	for i, other := range f.replicas {
		if other == r {
			f.replicas = append(f.replicas[:i:i], f.replicas[i+1:]...)
			break
		}
	}
}

// count gives the number that a statement counts.
func (f *fleet) count(query string, args ...any) (n int) {
	f.t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = f.sql.QueryRow(context.Background(), query, args...).Scan(&n); err == nil {
			return n
		}
	}
	f.t.Fatal(err)
	return 0
}

// state is what a test that failed tells of the fleet.
func (f *fleet) state() string {
	text := fmt.Sprintf("in the rotation: %q; who left it said %q\n", f.front.rotation(), f.front.reasons())
	for _, r := range f.replicas {
		select {
		case <-r.process.Ended:
			text += fmt.Sprintf("%s has ended: %s\n", r.public, r.process.Cmd.ProcessState)
		default:
		}
		text += fmt.Sprintf("%s says:\n%.4000s\n", r.public, r.process.Said)
	}
	if f.bridges != nil {
		text += "the bridges:\n" + f.bridges.state()
	}
	return text
}
