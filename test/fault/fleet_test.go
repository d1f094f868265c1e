// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/dify-sso/dify-sso/pkg/testserver"
)

// The first owner of every fleet.
const (
	ownerEmail    = "ada@example.com"
	ownerPassword = "correct horse battery"
	operatorKey   = "an operator's key of a test, long enough"
)

// rounds gives a tenth of what "make fault" runs, at least one.
func rounds(full int) int {
	if os.Getenv("ROUNDS") == "full" {
		return full
	}
	return max(1, full/10)
}

// binary builds core once for all tests, as "make build" does.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fault-core-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "core")
	cmd := exec.Command("go", "build", "-o", path, "./core/cmd/core")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building core: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if testing.Short() {
		os.Exit(code)
	}
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// fleet is one database and one key prefix with everything that several processes of
// core share.
type fleet struct {
	t        testing.TB
	binary   string
	sealing  string
	secret   string
	database string // as the tests reach it, past every proxy
	redis    string
	prefix   string
	sql      *pgxpool.Pool
	store    *redis.Client
}

// newFleet makes the stores, brings the schema up by "core migrate up" and creates the
// owner by "core admin create-owner".
func newFleet(t testing.TB) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("builds core")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, binary: path, secret: strings.Repeat("a secret key of a test ", 2), database: testserver.Postgres(t)}
	f.redis, f.prefix = testserver.Redis(t)
	f.open()
	return f
}

// open connects past the proxies and prepares the schema and the owner.
func (f *fleet) open() {
	t := f.t
	t.Helper()
	f.sealing = filepath.Join(t.TempDir(), "sealing.key")
	var key [32]byte
	_, _ = rand.Read(key[:])
	if err := os.WriteFile(f.sealing, []byte("k1:"+base64.StdEncoding.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.command(nil, "migrate", "up")
	f.command(strings.NewReader(ownerPassword+"\n"), "admin", "create-owner", "--email", ownerEmail, "--name", "Ada", "--workspace", "Engines", "--password-file", "-")
	few, err := pgxpool.ParseConfig(f.database)
	if err != nil {
		t.Fatal(err)
	}
	few.MaxConns = 2 // many fleets share one Postgres
	pool, err := pgxpool.NewWithConfig(context.Background(), few)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	f.sql = pool
	o, err := redis.ParseURL(f.redis)
	if err != nil {
		t.Fatal(err)
	}
	f.store = redis.NewClient(o)
	t.Cleanup(func() { _ = f.store.Close() })
}

// environ is what every process of the fleet gets; later entries win.
func (f *fleet) environ(more ...string) []string {
	base := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(),
		"DATABASE_URL=" + f.database, "DATABASE_MAX_CONNS=8", "REDIS_URL=" + f.redis, "REDIS_KEY_PREFIX=" + f.prefix,
		"SECRET_KEY=" + f.secret, "SEALING_KEY_FILE=" + f.sealing, "OPERATOR_API_KEY=" + operatorKey,
		"CONSOLE_API_URL=" + publicURL, "RUNTIME_ALLOWED_HOSTS=127.0.0.1",
	}
	return append(base, more...)
}

// command runs a command of core to its end and gives what it printed.
func (f *fleet) command(stdin *strings.Reader, args ...string) string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, f.binary, args...)
	cmd.Env, cmd.Dir = f.environ(), f.t.TempDir()
	if stdin != nil {
		cmd.Stdin = stdin
	}
	out, err := cmd.Output()
	if err != nil {
		var said []byte
		if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it bare
			said = e.Stderr
		}
		f.t.Fatalf("core %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return string(out)
}

// count gives the number that a statement counts.
func (f *fleet) count(query string, args ...any) int {
	f.t.Helper()
	var n int
	if err := f.sql.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// invariants checks what must hold in both stores after any round: INV-9 never two
// live rows for one identity, client and label; INV-4 and INV-2 no live row without
// its event, and no more events than rows say; a hash only while live.
func (f *fleet) invariants() {
	f.t.Helper()
	for what, query := range map[string]string{
		"INV-9: two live rows of one device": `SELECT count(*) FROM (SELECT 1 FROM oauth_access_tokens WHERE revoked_at IS NULL
			GROUP BY subject_email, subject_issuer, client_id, device_label HAVING count(*) > 1) d`,
		"INV-4: a row without oauth.token_minted": `SELECT count(*) FROM oauth_access_tokens t
			WHERE NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.event = 'oauth.token_minted' AND e.token_id = t.id)`,
		"an ended row without its event": `SELECT count(*) FROM oauth_access_tokens t WHERE t.revoked_at IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.event IN ('oauth.token_revoked', 'oauth.token_expired') AND e.token_id = t.id)`,
		"a session that ended twice": `SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE event IN ('oauth.token_revoked', 'oauth.token_expired')
			GROUP BY token_id HAVING count(*) > 1) d`,
	} {
		if n := f.count(query); n != 0 {
			f.t.Errorf("%s: %d", what, n)
		}
	}
}
