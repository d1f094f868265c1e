// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/access"
	commands "github.com/dify-sso/dify-sso/core/internal/control"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/control"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// stub does what a test says, and notes by whom and under which request it was asked.
type stub struct {
	by      audit.Caller
	request audit.Request
	revoke  func(ctx context.Context, s operator.Subject) (access.Receipt, error)
	owner   operator.Owner
}

func (s *stub) SetupCode(context.Context) (operator.SetupCode, error) {
	return operator.SetupCode{Code: operator.Pass(secret.New("the code")), URL: "http://127.0.0.1:5001/setup"}, nil
}

func (s *stub) CreateOwner(ctx context.Context, o operator.Owner) (operator.Created, error) {
	s.owner, s.request = o, audit.RequestOf(ctx)
	return operator.Created{AccountID: "id", Email: o.Email, URL: "url"}, nil
}

func (s *stub) CreateAccount(_ context.Context, p operator.Person) (access.AccountMade, error) {
	return access.AccountMade{AccountID: p.Password.Reveal(), Email: p.Email}, nil
}

func (s *stub) SetPassword(_ context.Context, p operator.Password) (access.PasswordSet, error) {
	return access.PasswordSet{AccountID: p.Password.Reveal(), Email: p.Account, Receipt: access.Receipt{TokensRevoked: map[bool]int{true: 1}[p.RevokeTokens]}}, nil
}

func (s *stub) SetAdministrator(_ context.Context, m operator.Administrator) (access.AdministratorChange, error) {
	return access.AdministratorChange{Email: m.Account, Administrator: m.Administrator}, nil
}

func (s *stub) ListAccounts(_ context.Context, q operator.AccountQuery) (access.AccountPage, error) {
	return access.AccountPage{Page: q.Page, Limit: q.Limit, Data: []access.AccountEntry{{Email: q.Email, LastLoginAt: &day}}}, nil
}

func (s *stub) SetStatus(_ context.Context, q operator.Status) (access.StatusChange, error) {
	return access.StatusChange{Email: q.Account, Receipt: access.Receipt{Accounts: []string{}}}, nil
}

func (s *stub) ListTokens(_ context.Context, q operator.TokenQuery) (access.TokenPage, error) {
	return access.TokenPage{Page: q.Page, Limit: q.Limit, Data: []access.TokenSession{{ID: "t", LastUsedAt: &day, CreatedAt: day}}}, nil
}

func (s *stub) RevokeToken(_ context.Context, r operator.TokenRef) (access.Revoked, error) {
	return access.Revoked{ID: r.ID, Before: true}, nil
}

func (s *stub) RevokeSubject(ctx context.Context, q operator.Subject) (access.Receipt, error) {
	return s.revoke(ctx, q)
}

var day = time.Date(2026, 11, 27, 8, 0, 0, 1000, time.UTC)

// served is a server on a socket of its own, until the test ends.
type served struct {
	*control.Server
	path string
	stub *stub
	log  *buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func serve(t *testing.T, path string) *served {
	t.Helper()
	s := &served{path: path, stub: &stub{}, log: &buffer{}}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	l, err := control.Listen(path, log)
	if err != nil {
		t.Fatal(err)
	}
	s.Server, err = commands.NewServer(func(c audit.Caller) operator.Operations { s.stub.by = c; return s.stub }, control.Deps{
		Log: log, Now: time.Now, Version: "1.0.0",
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-done); err != nil {
			t.Error(err)
		}
	})
	return s
}

func socket(t *testing.T) string { return filepath.Join(t.TempDir(), "control.sock") }

func connect(t *testing.T, path string) commands.Client {
	t.Helper()
	c, err := commands.Connect(t.Context(), path, "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryOperationGoesThere(t *testing.T) {
	s := serve(t, socket(t))
	c := connect(t, s.path)
	ctx := t.Context()
	if h := c.Hello(); h.Version != "1.0.0" || h.PID != os.Getpid() || len(h.Operations) != 19 {
		t.Errorf("hello %+v", h)
	}
	code, err := c.SetupCode(ctx)
	if err != nil || code.Code.Reveal() != "the code" || code.URL == "" {
		t.Errorf("%v %v", code, err)
	}
	if said := fmt.Sprintf("%v %+v %#v", code, code, code); strings.Contains(said, "the code") {
		t.Errorf("printed: %s", said)
	}
	made, err := c.CreateOwner(ctx, operator.Owner{Email: "a@b.c", Name: "A", Workspace: "W", Password: operator.Pass(secret.New("pass\"word"))})
	if err != nil || made.Email != "a@b.c" || s.stub.owner.Password.Reveal() != "pass\"word" || s.stub.owner.Workspace != "W" {
		t.Errorf("%+v %v", made, err)
	}
	if s.stub.by.Version != "1.0.0" || s.stub.by.User != control.UserName(os.Geteuid()) || s.stub.request.ID == "" || s.stub.request.UserAgent != "core/1.0.0" {
		t.Errorf("asked by %+v under %+v", s.stub.by, s.stub.request)
	}
	if got := s.stub.by.Actor(); got.Type != "operator" || got.ID != "cli:"+s.stub.by.User {
		t.Errorf("actor %+v", got)
	}
	status, err := c.SetStatus(ctx, operator.Status{Account: "a@b.c", Status: "banned"})
	if err != nil || status.Email != "a@b.c" || status.Receipt.Accounts == nil {
		t.Errorf("%+v %v", status, err)
	}
	person, err := c.CreateAccount(ctx, operator.Person{Email: "e", Password: operator.Pass(secret.New("p\"1"))})
	if err != nil || person.AccountID != "p\"1" || person.Email != "e" {
		t.Errorf("create-account: %+v, %v", person, err)
	}
	set, err := c.SetPassword(ctx, operator.Password{Account: "a", Password: operator.Pass(secret.New("p2")), RevokeTokens: true})
	if err != nil || set.AccountID != "p2" || set.Email != "a" || set.Receipt.TokensRevoked != 1 {
		t.Errorf("set-password: %+v, %v", set, err)
	}
	for _, to := range []bool{true, false} {
		if change, err := c.SetAdministrator(ctx, operator.Administrator{Account: "a", Administrator: to}); err != nil || change.Email != "a" || change.Administrator != to {
			t.Errorf("set-administrator: %+v, %v", change, err)
		}
	}
	accounts, err := c.ListAccounts(ctx, operator.AccountQuery{Email: "e", Page: 3, Limit: 7})
	if err != nil || accounts.Page != 3 || accounts.Limit != 7 || len(accounts.Data) != 1 || accounts.Data[0].Email != "e" || !accounts.Data[0].LastLoginAt.Equal(day) {
		t.Errorf("accounts: %+v, %v", accounts, err)
	}
	list, err := c.ListTokens(ctx, operator.TokenQuery{Page: 3, Limit: 7})
	if err != nil || list.Page != 3 || list.Limit != 7 || len(list.Data) != 1 || !list.Data[0].LastUsedAt.Equal(day) {
		t.Errorf("%+v %v", list, err)
	}
	revoked, err := c.RevokeToken(ctx, operator.TokenRef{ID: "x"})
	if err != nil || revoked.ID != "x" || !revoked.Before {
		t.Errorf("%+v %v", revoked, err)
	}
	s.stub.revoke = func(_ context.Context, q operator.Subject) (access.Receipt, error) {
		return access.Receipt{ID: q.Issuer + q.SubjectID + q.Email + q.AccountID + q.Reason, RefusedFrom: day}, nil
	}
	receipt, err := c.RevokeSubject(ctx, operator.Subject{Issuer: "1", SubjectID: "2", Email: "3", AccountID: "4", Reason: "5"})
	if err != nil || receipt.ID != "12345" || !receipt.RefusedFrom.Equal(day) {
		t.Errorf("%+v %v", receipt, err)
	}
	if key, err := c.RotateSecretKey(ctx); err != nil || !key.Changed || !key.Restart || key.Previous != "f" {
		t.Errorf("%+v %v", key, err)
	}
	if key, err := c.RotateSealingKey(ctx); err != nil || key.Key != "k2" || len(key.Others) != 1 || !key.New {
		t.Errorf("%+v %v", key, err)
	}
	if copied, err := c.Snapshot(ctx); err != nil || copied.Dir != "d" || len(copied.Files) != 1 || copied.Schema != 1 {
		t.Errorf("%+v %v", copied, err)
	}
	if bundle, err := c.Bundle(ctx); err != nil || bundle.Format != 1 {
		t.Errorf("%+v %v", bundle, err)
	}
	for _, word := range []string{"the code", "=pass", "p2", "p\\\"1", "p\"1"} {
		if strings.Contains(s.log.String(), word) {
			t.Errorf("%q is in the log: %s", word, s.log)
		}
	}
	if n := strings.Count(s.log.String(), "msg=command"); n != 15 || !strings.Contains(s.log.String(), "operation=revoke-subject") {
		t.Errorf("%d lines: %s", n, s.log)
	}
}

func TestAFailureIsTheSameOnBothSides(t *testing.T) {
	s := serve(t, socket(t))
	c := connect(t, s.path)
	sentinel := fault.New(fault.Conflict, "last_administrator", "This is the last one.")
	for _, tc := range []struct {
		name string
		err  *fault.Error
	}{
		{"plain", sentinel},
		{"with a hint", sentinel.Hinted("Make another one.")},
		{"with details", sentinel.Detailed(fault.Detail{Type: "missing", Loc: []any{"email"}, Msg: "is required"})},
		{"to be repeated", fault.ErrUnavailable.Hinted("Wait.")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.stub.revoke = func(context.Context, operator.Subject) (access.Receipt, error) {
				return access.Receipt{}, tc.err.Because(errors.New("a cause for the log"))
			}
			_, err := c.RevokeSubject(t.Context(), operator.Subject{})
			var got *fault.Error
			if !errors.As(err, &got) {
				t.Fatalf("err = %v", err)
			}
			if got.Kind() != tc.err.Kind() || got.Code() != tc.err.Code() || got.Text() != tc.err.Text() || got.Hint() != tc.err.Hint() || got.Retry() != tc.err.Retry() ||
				fmt.Sprint(got.Details()) != fmt.Sprint(tc.err.Details()) {
				t.Errorf("got %+v, want %+v", got, tc.err)
			}
			if strings.Contains(err.Error(), "a cause") {
				t.Error("the cause has left the process")
			}
		})
	}
	t.Run("an unclassified one is in the log under an id", func(t *testing.T) {
		s.stub.revoke = func(context.Context, operator.Subject) (access.Receipt, error) {
			return access.Receipt{}, errors.New("disk full of secrets")
		}
		_, err := c.RevokeSubject(t.Context(), operator.Subject{})
		var got *fault.Error
		if !errors.As(err, &got) || got.Code() != fault.ErrInternal.Code() || strings.Contains(got.Hint()+got.Text(), "disk") {
			t.Fatalf("err = %+v", err)
		}
		fields := strings.Fields(got.Hint())
		id := strings.Trim(fields[len(fields)-1], ".")
		if !strings.Contains(s.log.String(), "disk full") || !strings.Contains(s.log.String(), "request_id="+id) {
			t.Errorf("hint %q, log %s", got.Hint(), s.log)
		}
	})
	t.Run("a panic is one, and the next call is answered", func(t *testing.T) {
		s.stub.revoke = func(context.Context, operator.Subject) (access.Receipt, error) { panic("at the operation") }
		_, err := c.RevokeSubject(t.Context(), operator.Subject{})
		if f := fault.Of(err); f.Code() != fault.ErrInternal.Code() || f.Hint() == "" || !strings.Contains(s.log.String(), "at the operation") {
			t.Fatalf("%+v, log %s", err, s.log)
		}
		if _, err := c.SetupCode(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// ask sends a request of our own making.
func ask(t *testing.T, path, method, target, contentType string, body io.Reader) (status int, answer string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}}
	req, err := http.NewRequest(method, "http://core"+target, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestRequestsThatNoCommandSends(t *testing.T) {
	s := serve(t, socket(t))
	const json, form = "application/json", "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		name, method, target, content, body string
		status                              int
		code                                string
	}{
		{"unknown operation", "POST", "/v1/drop-tables", json, "{}", 404, "operation_unknown"},
		{"another protocol", "POST", "/v2/setup-code", json, "{}", 404, "operation_unknown"},
		{"a path around", "POST", "/v1/../v1/setup-code", json, "{}", 404, "operation_unknown"},
		{"another method", "GET", "/v1/setup-code", json, "", 405, "method_not_allowed"},
		{"a form", "POST", "/v1/setup-code", form, "a=b", 415, "unsupported_media_type"},
		{"no JSON", "POST", "/v1/setup-code", json, "{", 400, "invalid_json"},
		{"no object", "POST", "/v1/setup-code", json, "[]", 400, "invalid_json"},
		{"nothing", "POST", "/v1/setup-code", json, "", 400, "invalid_json"},
		{"two objects", "POST", "/v1/setup-code", json, "{}{}", 400, "invalid_json"},
		{"a member twice", "POST", "/v1/revoke-token", json, `{"id":"a","id":"b"}`, 400, "invalid_json"},
		{"a member in another case", "POST", "/v1/revoke-token", json, `{"ID":"a"}`, 400, "request_unknown"},
		{"a member too many", "POST", "/v1/revoke-token", json, `{"id":"a","force":true}`, 400, "request_unknown"},
		{"a member of another type", "POST", "/v1/tokens", json, `{"page":"1"}`, 400, "request_unknown"},
		{"too much", "POST", "/v1/setup-code", json, `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "request_entity_too_large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, answer := ask(t, s.path, tc.method, tc.target, tc.content, strings.NewReader(tc.body))
			if status != tc.status || !strings.Contains(answer, `"code":"`+tc.code+`"`) {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
	for name, garbage := range map[string]string{
		"no HTTP":           "\x16\x03\x01\x02\x00\x01\x00",
		"an endless line":   "POST /v1/" + strings.Repeat("a", 1<<20),
		"an endless header": "POST /v1/setup-code HTTP/1.1\r\nHost: core\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"half a body":       "POST /v1/setup-code HTTP/1.1\r\nHost: core\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("unix", s.path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_, _ = c.Write([]byte(garbage)) // refused before its end
			_ = c.(*net.UnixConn).CloseWrite()
			answer, _ := io.ReadAll(c)
			if len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 4")) {
				t.Errorf("answered %.80q", answer)
			}
		})
	}
	t.Run("clients that say nothing hold up nobody", func(t *testing.T) {
		for range 100 {
			c, err := net.Dial("unix", s.path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			_, _ = c.Write([]byte("POST /v1/setup-code HTTP/1.1\r\n"))
		}
		if _, err := connect(t, s.path).SetupCode(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if slices.ContainsFunc(strings.Split(s.log.String(), "\n"), func(line string) bool { return strings.Contains(line, "drop-tables") || len(line) > 1000 }) {
		t.Error("a stranger's words are in the log")
	}
}

func TestACallGoesOnWhenItsCommandIsInterrupted(t *testing.T) {
	s := serve(t, socket(t))
	c := connect(t, s.path)
	ctx, interrupt := context.WithCancel(t.Context())
	began, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s.stub.revoke = func(ctx context.Context, _ operator.Subject) (access.Receipt, error) {
		close(began)
		<-goOn
		ended <- ctx.Err()
		return access.Receipt{}, nil
	}
	called := make(chan error, 1)
	go func() { _, err := c.RevokeSubject(ctx, operator.Subject{}); called <- err }()
	<-began
	interrupt()
	if err := <-called; !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Errorf("the operation was interrupted: %v", err)
	}
}

func TestShutdownLetsACallEndAndTakesTheSocketAway(t *testing.T) {
	s := serve(t, socket(t))
	c := connect(t, s.path)
	began, goOn := make(chan struct{}), make(chan struct{})
	s.stub.revoke = func(context.Context, operator.Subject) (access.Receipt, error) {
		close(began)
		<-goOn
		return access.Receipt{ID: "done"}, nil
	}
	called := make(chan error, 1)
	go func() {
		r, err := c.RevokeSubject(context.Background(), operator.Subject{})
		if err == nil && r.ID != "done" {
			err = fmt.Errorf("answered %+v", r)
		}
		called <- err
	}()
	<-began
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	for { // the socket goes first: who comes now finds nobody
		if runtime.Gosched(); gone(s.path) {
			break
		}
	}
	if _, err := commands.Connect(t.Context(), s.path, "1"); !errors.Is(err, control.ErrNoService) {
		t.Errorf("err = %v", err)
	}
	close(goOn)
	if err := errors.Join(<-called, <-down); err != nil {
		t.Error(err)
	}
}

func gone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}

func (s *stub) RotateSecretKey(context.Context) (operator.SecretKey, error) {
	return operator.SecretKey{Changed: true, Restart: true, Previous: "f"}, nil
}

func (s *stub) RotateSealingKey(context.Context) (operator.SealingKey, error) {
	return operator.SealingKey{Key: "k2", Others: []string{"k1"}, New: true}, nil
}

func (s *stub) Snapshot(context.Context) (backup.Snapshot, error) {
	return backup.Snapshot{Dir: "d", Files: []string{"core.db"}, Schema: 1}, nil
}

func (s *stub) Bundle(context.Context) (operator.Bundle, error) {
	return operator.Bundle{Format: 1}, nil
}
