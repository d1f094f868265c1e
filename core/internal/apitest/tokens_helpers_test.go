// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

const (
	accountPath  = "/openapi/v1/account"
	sessionsPath = "/openapi/v1/account/sessions"
	loginPath    = "/console/api/login"
	unknownToken = "dfoa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// errStore is what a broken store says; none of it may reach an answer.
var errStore = errors.New("connection to sql.internal:5432 refused")

// tkStore watches the token store and breaks it on demand.
type tkStore struct {
	token.Store

	mu       sync.Mutex
	asked    []secret.Digest // of ByDigest
	finds    int
	touches  int
	broken   bool // ByDigest fails
	noAppend bool // audit events of a transaction cannot be written
}

func (s *tkStore) wrap(st *app.Stores) { s.Store, st.Tokens = st.Tokens, s }

func (s *tkStore) set(f func(s *tkStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *tkStore) counts() (asked, finds, touches int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked), s.finds, s.touches
}

func (s *tkStore) ByDigest(ctx context.Context, d secret.Digest) (token.Resolved, error) {
	s.mu.Lock()
	s.asked = append(s.asked, d)
	broken := s.broken
	s.mu.Unlock()
	if broken {
		return token.Resolved{}, errStore
	}
	return s.Store.ByDigest(ctx, d)
}

func (s *tkStore) Find(ctx context.Context, subject token.Subject, id string) (token.Session, bool, error) {
	s.set(func(s *tkStore) { s.finds++ })
	return s.Store.Find(ctx, subject, id)
}

func (s *tkStore) TouchUsed(ctx context.Context, uses []token.Use) error {
	s.set(func(s *tkStore) { s.touches += len(uses) })
	return s.Store.TouchUsed(ctx, uses)
}

func (s *tkStore) InTx(ctx context.Context, fn func(ctx context.Context, tx token.Tx) error) error {
	s.mu.Lock()
	noAppend := s.noAppend
	s.mu.Unlock()
	return s.Store.InTx(ctx, func(ctx context.Context, tx token.Tx) error { return fn(ctx, tkTx{tx, noAppend}) })
}

type tkTx struct {
	token.Tx
	noAppend bool
}

func (t tkTx) Append(ctx context.Context, events ...audit.Event) error {
	if t.noAppend && len(events) > 0 {
		return errStore
	}
	return t.Tx.Append(ctx, events...)
}

// tkFrozen counts at a time that stands still, so that nothing is refilled while a
// test runs, however slow the machine is. It keeps the scopes it was asked for.
type tkFrozen struct {
	ratelimit.Store
	mu     sync.Mutex
	now    time.Time
	scopes []string
}

func (f *tkFrozen) wrap(st *app.Stores) {
	f.Store, f.now = st.Counters, time.Now()
	st.Counters = f
	if _, inside := f.Store.(*ratelimit.Memory); inside {
		st.Gate = memstore.Gate{Counters: f, Bearers: st.Bearers}
	} else {
		st.Gate = tkGate{st.Gate, f}
	}
}

// tkGate counts bearers at the time that stands still; what Redis remembers of them ends
// by its own clock.
type tkGate struct {
	authz.Gate
	f *tkFrozen
}

func (g tkGate) Enter(ctx context.Context, p ratelimit.Policy, d secret.Digest, _ time.Time) (ratelimit.Result, token.Remembered, error) {
	return g.Gate.Enter(ctx, p, d, g.f.at(d.Hex()))
}

func (f *tkFrozen) at(scope string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scopes = append(f.scopes, scope)
	return f.now
}

func (f *tkFrozen) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *tkFrozen) Take(ctx context.Context, p ratelimit.Policy, scope string, _ time.Time) (ratelimit.Result, error) {
	return f.Store.Take(ctx, p, scope, f.at(scope))
}

func (f *tkFrozen) Settle(ctx context.Context, p ratelimit.Policy, scope string, failed bool, _ time.Time) (ratelimit.Result, error) {
	return f.Store.Settle(ctx, p, scope, failed, f.at(scope))
}

// tkLogin signs a device in and fails unless that works.
func tkLogin(t testing.TB, s *apitest.Server, b *apitest.Browser, label string) (bearer, id string) {
	t.Helper()
	return s.SignInDevice(t, b, label)
}

// tkAsk uses a token once and compares status and code.
func tkAsk(t testing.TB, s *apitest.Server, bearer string, status int, word string) apitest.Answer {
	t.Helper()
	a := s.Bearer(t, bearer, http.MethodGet, accountPath)
	wantAnswer(t, a, status, word)
	return a
}

// tkAtOnce runs n calls behind one barrier and gives their results in order of i.
func tkAtOnce[T any](n int, call func(i int) T) []T {
	results, start := make([]T, n), make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			results[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	return results
}

// tkCount counts equal values.
func tkCount[T comparable](list []T, want T) (n int) {
	for _, v := range list {
		if v == want {
			n++
		}
	}
	return n
}

// tkHashMemory is what one Argon2id computation of ours allocates.
const tkHashMemory = 19 << 20

// tkHashes gives how many passwords were hashed while f ran: nothing else in this
// process allocates as much at once, and the memory of a computation is part of its
// specified cost.
func tkHashes(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int((after.TotalAlloc - before.TotalAlloc) / tkHashMemory)
}

// tkRaw writes bytes as no well-behaved client would and gives the status line.
func tkRaw(t testing.TB, s *apitest.Server, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := bytes.Cut(answer[:n], []byte("\r\n"))
	return string(line)
}

// tkLoginBody is the body of the scripted sign-in.
func tkLoginBody(email, encodedPassword string, remember bool) string {
	return fmt.Sprintf(`{"email":%q,"password":%q,"remember_me":%t}`, email, encodedPassword, remember)
}

// tkSameFailure compares everything of two refusals but what differs by request.
func tkSameFailure(t testing.TB, a, b apitest.Answer) {
	t.Helper()
	if a.Status != b.Status || a.Body != b.Body {
		t.Fatalf("%d %s\nis not\n%d %s", a.Status, a.Body, b.Status, b.Body)
	}
	for _, h := range []http.Header{a.Header, b.Header} {
		for _, name := range []string{"X-Request-Id", "Date", "Ratelimit-Remaining", "Ratelimit-Reset", "Ratelimit-Limit"} {
			h.Del(name)
		}
	}
	if fmt.Sprint(a.Header) != fmt.Sprint(b.Header) {
		t.Fatalf("%v\nis not\n%v", a.Header, b.Header)
	}
}

// tkDigest is the digest under which a secret is stored.
func tkDigest(value string) []byte { return tkBytes(secret.DigestOf(value)) }

func tkBytes(d secret.Digest) []byte { return d[:] }

// tkEncoded is a password as scripts send it.
func tkEncoded(password string) string { return base64.StdEncoding.EncodeToString([]byte(password)) }

// tkRequestID is the one part of a page that differs by request.
var tkRequestID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// tkFormToken is the CSRF token in a page's form.
var tkFormToken = regexp.MustCompile(`name="csrf_token" value="([A-Za-z0-9_-]{43})"`)

func tkReadAll(t testing.TB, res *http.Response) []byte {
	t.Helper()
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// tkRefusedBy fails unless a refusal tells of the limit that refused.
func tkRefusedBy(t testing.TB, a apitest.Answer, limit string) {
	t.Helper()
	if a.Status != http.StatusTooManyRequests || a.Header.Get("RateLimit-Limit") != limit || a.Header.Get("RateLimit-Remaining") != "0" ||
		a.Header.Get("RateLimit-Reset") == "" || a.Header.Get("Retry-After") == "" {
		t.Fatalf("%d %v", a.Status, a.Header)
	}
}
