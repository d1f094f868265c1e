// SPDX-License-Identifier: Apache-2.0

package innerapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/replay"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/innerapi"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

const (
	core   = "https://core.example"
	bridge = "https://sso.example.com"
)

// services stand in for login and connection.
type services struct {
	orders []login.Order
	fails  error
}

func (s *services) Begin(_ context.Context, o login.Order) (login.Begun, error) {
	if s.fails != nil {
		return login.Begun{}, s.fails
	}
	s.orders = append(s.orders, o)
	return login.Begun{AttemptID: "id", Reference: "7K2QD-9XM4P", StartURL: bridge + "/sso/start/x", ExpiresAt: time.Unix(1_800_000_000, 0)}, nil
}

func (s *services) Show(_ context.Context, reference string) (login.Report, error) {
	if reference != "7K2QD-9XM4P" {
		return login.Report{}, login.ErrAttemptNotFound
	}
	return login.Report{Reference: reference, State: "failed"}, nil
}

func (s *services) Listed(context.Context, connection.Intent) (connection.Mode, []connection.Public, error) {
	return connection.ModeSingle, []connection.Public{{ID: "corp", Name: "Corp", Button: "Go", Protocol: connection.OIDC}}, nil
}

type sink struct {
	mu     sync.Mutex
	events []audit.Event
}

func (s *sink) Append(_ context.Context, events ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
	return nil
}

// world is one bridge with core's hand beside it.
type world struct {
	t        *testing.T
	now      time.Time
	ring     *keyset.Ring
	replay   envelope.Replay
	services *services
	sink     *sink
	recorder *audit.Recorder
	app      *fiber.App
}

var secrets = map[string][]byte{"a": bytes.Repeat([]byte{1}, 32), "b": bytes.Repeat([]byte{2}, 32)}

func begin(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Unix(1_800_000_000, 0), ring: keyset.NewRing(keyset.Fixed("a", secrets)), services: &services{}, sink: &sink{}}
	w.replay = replay.NewMemory(1000, w.clock)
	w.app = w.replica()
	return w
}

func (w *world) clock() time.Time { return w.now }

// replica is another process on the same store.
func (w *world) replica() *fiber.App {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	var err error
	if w.recorder, err = audit.NewRecorder(w.sink, log); err != nil {
		w.t.Fatal(err)
	}
	app, err := server.New(server.Config{Log: log, Now: w.clock, Addresses: clientip.New(nil)})
	if err != nil {
		w.t.Fatal(err)
	}
	inner := w.hand(w.ring, envelope.CoreToBridge, core)
	if err := innerapi.Mount(app, innerapi.Deps{Logins: w.services, Connections: w.services, Inner: inner, Replay: w.replay, Recorder: w.recorder, Now: w.clock}); err != nil {
		w.t.Fatal(err)
	}
	return app
}

func (w *world) hand(ring *keyset.Ring, audience envelope.Audience, issuer string) *envelope.Inner {
	w.t.Helper()
	i, err := envelope.NewInner(envelope.Deps{Keys: ring, Audience: audience, Issuer: issuer, Now: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

func (w *world) token(method, uri, body string) string {
	w.t.Helper()
	header, err := w.hand(w.ring, envelope.CoreToBridge, core).Authorization(method, uri, []byte(body))
	if err != nil {
		w.t.Fatal(err)
	}
	return header
}

func (w *world) send(app *fiber.App, method, uri, body string, authorization ...string) (status int, answer string, header http.Header) {
	w.t.Helper()
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.RequestURI = uri
	r.Header.Set("Content-Type", "application/json")
	for _, a := range authorization {
		r.Header.Add("Authorization", a)
	}
	res, err := app.Test(r, -1)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(content), res.Header
}

// signed sends a request with the token that is its own.
func (w *world) signed(method, uri, body string) (status int, answer string) {
	w.t.Helper()
	status, answer, _ = w.send(w.app, method, uri, body, w.token(method, uri, body))
	return status, answer
}

const (
	list  = "/inner/api/sso/connections?intent=device_flow"
	begun = "/inner/api/sso/login-attempts"
	r32   = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	r16   = "AAAAAAAAAAAAAAAAAAAAAA"
	order = `{"intent":"device_flow","user_code_digest":"` + r32 + `","nonce":"` + r16 + `","binding":"` + r32 + `","return_to":"","locale":"en","request_id":"request-1"}`
)

func TestTokens(t *testing.T) {
	other := func(w *world, ring *keyset.Ring, audience envelope.Audience, issuer string) string {
		header, err := w.hand(ring, audience, issuer).Authorization("GET", list, nil)
		if err != nil {
			t.Fatal(err)
		}
		return header
	}
	for _, tc := range []struct {
		name string
		with func(w *world) []string
		code string
	}{
		{"SSO-43 its own", func(w *world) []string { return []string{w.token("GET", list, "")} }, ""},
		{"INN-01 none", func(*world) []string { return nil }, "inner_token_missing"},
		{"SSO-43 two", func(w *world) []string { return []string{w.token("GET", list, ""), w.token("GET", list, "")} }, "inner_token_missing"},
		{"SSO-43 another scheme", func(w *world) []string {
			return []string{strings.Replace(w.token("GET", list, ""), "Bearer", "Basic", 1)}
		}, "inner_token_missing"},
		{"SSO-43 an API key", func(*world) []string { return []string{"Bearer key"} }, "inner_token_invalid"},
		{"INN-02 another method", func(w *world) []string { return []string{w.token("POST", list, "")} }, "inner_request_mismatch"},
		{"INN-02 another path", func(w *world) []string { return []string{w.token("GET", begun, "")} }, "inner_request_mismatch"},
		{"INN-02 another query", func(w *world) []string {
			return []string{w.token("GET", strings.Replace(list, "device_flow", "account_login", 1), "")}
		}, "inner_request_mismatch"},
		{"INN-02 another body", func(w *world) []string { return []string{w.token("GET", list, "x")} }, "inner_request_mismatch"},
		{"INN-03 of the other direction", func(w *world) []string { return []string{other(w, w.ring, envelope.BridgeToCore, core)} }, "inner_token_invalid"},
		{"INN-03 of another issuer", func(w *world) []string { return []string{other(w, w.ring, envelope.CoreToBridge, bridge)} }, "inner_token_invalid"},
		{"INN-06 an unknown kid", func(w *world) []string {
			return []string{other(w, keyset.NewRing(keyset.Fixed("c", map[string][]byte{"c": bytes.Repeat([]byte{3}, 32)})), envelope.CoreToBridge, core)}
		}, "inner_token_invalid"},
		{"INN-05 31 seconds over", func(w *world) []string {
			token := w.token("GET", list, "")
			w.now = w.now.Add(91 * time.Second)
			return []string{token}
		}, "inner_token_invalid"},
		{"INN-05 30 seconds over", func(w *world) []string {
			token := w.token("GET", list, "")
			w.now = w.now.Add(90 * time.Second)
			return []string{token}
		}, ""},
		{"INN-05 31 seconds ahead", func(w *world) []string {
			w.now = w.now.Add(31 * time.Second)
			token := w.token("GET", list, "")
			w.now = w.now.Add(-31 * time.Second)
			return []string{token}
		}, "inner_token_invalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := begin(t)
			status, answer, _ := w.send(w.app, "GET", list, "", tc.with(w)...)
			if tc.code == "" {
				if status != 200 {
					t.Fatalf("%d %s", status, answer)
				}
				return
			}
			if status != 401 || !strings.Contains(answer, `"`+tc.code+`"`) {
				t.Fatalf("%d %s", status, answer)
			}
			if err := w.recorder.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(w.sink.events) != 1 || w.sink.events[0].Name != "inner.request_refused" || !strings.Contains(string(w.sink.events[0].Fields), tc.code) {
				t.Errorf("on record: %+v", w.sink.events)
			}
		})
	}
	t.Run("INN-04 a token twice, and on another replica", func(t *testing.T) {
		w := begin(t)
		token, second := w.token("GET", list, ""), w.replica()
		if status, _, _ := w.send(w.app, "GET", list, "", token); status != 200 {
			t.Fatal(status)
		}
		for _, app := range []*fiber.App{w.app, second} {
			if status, answer, _ := w.send(app, "GET", list, "", token); status != 401 || !strings.Contains(answer, "inner_token_replayed") {
				t.Errorf("%d %s", status, answer)
			}
		}
	})
	t.Run("SSO-43 a store that is down is 503, and nothing is begun", func(t *testing.T) {
		w := begin(t)
		w.replay = broken{}
		w.app = w.replica()
		if status, _ := w.signed("POST", begun, order); status != 503 || len(w.services.orders) > 0 {
			t.Errorf("%d, %d orders", status, len(w.services.orders))
		}
	})
	t.Run("INN-03 each byte of a token counts", func(t *testing.T) {
		w := begin(t)
		for i := len("Bearer "); i < len(w.token("GET", list, "")); i += 7 {
			token := []byte(w.token("GET", list, ""))
			token[i] ^= 1
			if status, _, _ := w.send(w.app, "GET", list, "", string(token)); status != 401 {
				t.Fatalf("byte %d: %d", i, status)
			}
		}
	})
}

type broken struct{}

func (broken) Consume(context.Context, envelope.Audience, string, time.Duration) (bool, error) {
	return false, errors.New("down")
}

func TestOrders(t *testing.T) {
	change := func(from, to string) string {
		if !strings.Contains(order, from) {
			t.Fatalf("no %s", from)
		}
		return strings.Replace(order, from, to, 1)
	}
	for _, tc := range []struct {
		name, body string
		status     int
		part       string
	}{
		{"SSO-44 whole", order, 201, `"start_url"`},
		{"SSO-44 with a connection", change(`"locale"`, `"connection":"corp","force_authn":true,"locale"`), 201, ""},
		{"SSO-44 with an e-mail", change(`"locale"`, `"email":"a@b.example","locale"`), 201, ""},
		{"SSO-44 both routes", change(`"locale"`, `"connection":"corp","email":"a@b.example","locale"`), 422, "email"},
		{"SSO-44 an unknown member", change(`"locale"`, `"user_code":"x","locale"`), 422, "user_code"},
		{"SSO-44 a test is no intent", change("device_flow", "connection_test"), 422, "intent"},
		{"SSO-44 no intent", change(`"intent":"device_flow",`, ""), 422, "intent"},
		{"SSO-44 no digest", change(`"user_code_digest":"`+r32+`",`, ""), 422, "user_code_digest"},
		{"SSO-44 a long digest", change(`digest":"`, `digest":"A`), 422, "user_code_digest"},
		{"SSO-44 no nonce", change(`"nonce":"`+r16+`",`, ""), 422, "nonce"},
		{"SSO-44 a nonce that is not canonical", change(`"nonce":"`+r16, `"nonce":"`+r16[:21]+"B"), 422, "nonce"},
		{"SSO-44 no binding", change(`"binding":"`+r32+`",`, ""), 422, "binding"},
		{"SSO-44 no return_to", change(`"return_to":"",`, ""), 422, "return_to"},
		{"SSO-44 a return_to with a device login", change(`"return_to":""`, `"return_to":"/"`), 422, "return_to"},
		{"SSO-44 a digest with an account login", change("device_flow", "account_login"), 422, "user_code_digest"},
		{"SSO-44 another language", change(`"en"`, `"de"`), 422, "locale"},
		{"SSO-44 no request id", change(`,"request_id":"request-1"`, ""), 422, "request_id"},
		{"SSO-44 an id that is none", change(`"locale"`, `"connection":"../x","locale"`), 422, "connection"},
		{"SSO-44 another type", change(`"locale"`, `"force_authn":"yes","locale"`), 422, "force_authn"},
		{"SSO-44 no JSON", "{", 400, "invalid_json"},
		{"SSO-44 a member twice", change(`"locale"`, `"intent":"device_flow","locale"`), 400, "invalid_json"},
		{"SSO-44 a body above the cap", change(`"locale"`, `"email":"`+strings.Repeat("a", 65<<10)+`","locale"`), 413, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := begin(t)
			status, answer := w.signed("POST", begun, tc.body)
			if status != tc.status || !strings.Contains(answer, tc.part) || (status == 201) != (len(w.services.orders) == 1) {
				t.Errorf("%d %s", status, answer)
			}
			if status == 422 && !strings.Contains(answer, `"invalid_param"`) {
				t.Error(answer)
			}
		})
	}
	for _, refusal := range []*fault.Error{connection.ErrNotConfigured, connection.ErrUnknown, connection.ErrUnroutable, connection.ErrChoiceRequired} {
		t.Run("SSO-46 the service's refusal goes to core as it is: "+refusal.Code(), func(t *testing.T) {
			w := begin(t)
			w.services.fails = refusal
			if status, answer := w.signed("POST", begun, order); status != server.Status(refusal.Kind()) || !strings.Contains(answer, refusal.Code()) {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
}

func TestReading(t *testing.T) {
	t.Run("SSO-45 the list has four members a connection, and a tag", func(t *testing.T) {
		w := begin(t)
		status, answer, header := w.send(w.app, "GET", list, "", w.token("GET", list, ""))
		if want := `{"mode":"single","connections":[{"id":"corp","name":"Corp","button":"Go","protocol":"oidc"}]}`; status != 200 || answer != want || header.Get("ETag") == "" {
			t.Errorf("%d %s", status, answer)
		}
	})
	for _, uri := range []string{"/inner/api/sso/connections", "/inner/api/sso/connections?intent=connection_test", list + "&x=1", list + "&intent=device_flow"} {
		t.Run("SSO-45 another question "+uri, func(t *testing.T) {
			if status, answer := begin(t).signed("GET", uri, ""); status != 422 || !strings.Contains(answer, "invalid_param") {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
	t.Run("SSO-90 the trace of a reference, and of none", func(t *testing.T) {
		w := begin(t)
		if status, answer := w.signed("GET", "/inner/api/sso/attempts/7K2QD-9XM4P", ""); status != 200 || !strings.Contains(answer, `"state":"failed"`) {
			t.Errorf("%d %s", status, answer)
		}
		if status, answer := w.signed("GET", "/inner/api/sso/attempts/x", ""); status != 404 || !strings.Contains(answer, "attempt_not_found") {
			t.Errorf("%d %s", status, answer)
		}
	})
}
