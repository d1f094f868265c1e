// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// asked is a runtime that is asked for parameters alone.
type asked struct {
	Runtime
	calls atomic.Int64
	say   func(ctx context.Context, t Target) (json.RawMessage, error)
}

func (r *asked) Parameters(ctx context.Context, t Target) (json.RawMessage, error) {
	r.calls.Add(1)
	return r.say(ctx, t)
}

type plainKeys struct{}

func (plainKeys) OpenKey(a apps.App) (secret.Text, error) {
	if a.SealedKey == "broken" {
		return secret.Text{}, errors.New("does not open")
	}
	return secret.New(a.SealedKey), nil
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time          { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

func asking(t *testing.T, say func(ctx context.Context, t Target) (json.RawMessage, error)) (*Service, *asked, *clock) {
	t.Helper()
	r, c := &asked{say: say}, &clock{at: time.Unix(1_800_000_000, 0)}
	return &Service{Deps: Deps{Runtimes: map[apps.Runtime]Runtime{apps.RuntimeDify: r}, Keys: plainKeys{}, Recorder: &audit.Recorder{}, Now: c.now}}, r, c
}

func says(body string) func(context.Context, Target) (json.RawMessage, error) {
	return func(context.Context, Target) (json.RawMessage, error) { return json.RawMessage(body), nil }
}

var someApp = apps.App{ID: "a", Runtime: apps.RuntimeDify, RuntimeURL: "http://r", SealedKey: "k", Mode: apps.Chat}

const begins = `{"opening_statement":null,"suggested_questions":[],"suggested_questions_after_answer":{"enabled":false},"speech_to_text":{"enabled":false},` +
	`"text_to_speech":{"enabled":false},"retriever_resource":{"enabled":false},"annotation_reply":{"enabled":false},"more_like_this":{"enabled":false},"user_input_form":[],` +
	`"sensitive_word_avoidance":{"enabled":false,"type":"","configs":[]},` +
	`"file_upload":{"image":{"enabled":false,"number_limits":3,"detail":"high","transfer_methods":["remote_url","local_file"]}},"system_parameters":{}}`

func TestParametersHaveEveryMember(t *testing.T) {
	var nulls []string
	for _, m := range parameterMembers {
		nulls = append(nulls, `"`+m.name+`":null`)
	}
	for _, tc := range []struct{ name, said, want string }{
		{"API-13 nothing said", `{}`, begins},
		{"API-13 M-10 null in every place", `{` + strings.Join(nulls, ",") + `}`, begins},
		{"API-13 other types in their places", `{"opening_statement":7,"suggested_questions":{},"speech_to_text":[],"user_input_form":"x","file_upload":true,"system_parameters":3}`, begins},
		{"API-13 what is said stays as it is", `{ "opening_statement" : "Hi", "suggested_questions":["a"],"system_parameters":{"file_size_limit":1.50}}`,
			strings.NewReplacer(`"opening_statement":null`, `"opening_statement":"Hi"`, `"suggested_questions":[]`, `"suggested_questions":["a"]`,
				`"system_parameters":{}`, `"system_parameters":{"file_size_limit":1.50}`).Replace(begins)},
		{"API-13 what nobody knows comes last", `{"zeta":[1],"alpha":null}`, strings.TrimSuffix(begins, "}") + `,"alpha":null,"zeta":[1]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _, _ := asking(t, says(tc.said))
			p, err := s.Parameters(t.Context(), someApp)
			if err != nil || !p.Configured || string(p.Body) != tc.want {
				t.Errorf("%v\n%s\n%s", err, p.Body, tc.want)
			}
		})
	}
	for _, tc := range []struct{ name, said string }{
		{"API-13 a list", `[]`}, {"API-13 null", `null`}, {"API-13 nothing", ``}, {"API-13 half of it", `{"a":`}, {"API-13 too much", `{"a":"` + strings.Repeat("x", maxParameters) + `"}`},
	} {
		t.Run(tc.name+" is no answer", func(t *testing.T) {
			s, r, _ := asking(t, says(tc.said))
			for range 2 {
				if p, err := s.Parameters(t.Context(), someApp); !errors.Is(err, ErrUnavailable) || p.Body != nil {
					t.Errorf("%v %.100s", err, p.Body)
				}
			}
			if r.calls.Load() != 2 {
				t.Error("a failure is remembered")
			}
		})
	}
	t.Run("API-13 an app that is not set up has the short form, and is asked for anew", func(t *testing.T) {
		s, r, _ := asking(t, func(context.Context, Target) (json.RawMessage, error) { return nil, ErrNotConfigured })
		for range 2 {
			if p, err := s.Parameters(t.Context(), someApp); err != nil || p.Configured || string(p.Body) != unconfigured {
				t.Errorf("%v %s", err, p.Body)
			}
		}
		r.say = says(`{}`)
		if p, err := s.Parameters(t.Context(), someApp); err != nil || !p.Configured || r.calls.Load() != 3 {
			t.Errorf("%v %v", err, p)
		}
	})
	t.Run("API-13 a key that does not open, or a runtime that nobody has, is our failure", func(t *testing.T) {
		s, r, _ := asking(t, says(`{}`))
		for _, change := range []func(a *apps.App){func(a *apps.App) { a.SealedKey = "broken" }, func(a *apps.App) { a.Runtime = apps.RuntimeEcho }} {
			a := someApp
			change(&a)
			if _, err := s.Parameters(t.Context(), a); err == nil || errors.Is(err, ErrUnavailable) || r.calls.Load() != 0 {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestParametersAreRememberedForAMinute(t *testing.T) {
	s, r, c := asking(t, says(`{}`))
	ask := func(want int64, change ...func(a *apps.App)) {
		t.Helper()
		a := someApp
		for _, f := range change {
			f(&a)
		}
		if _, err := s.Parameters(t.Context(), a); err != nil || r.calls.Load() != want {
			t.Fatalf("%v, asked %d times instead of %d", err, r.calls.Load(), want)
		}
	}
	t.Run("API-13 once in a minute, and not a moment longer", func(t *testing.T) {
		ask(1)
		c.advance(ParametersFor - time.Nanosecond)
		ask(1)
		c.advance(time.Nanosecond)
		ask(2)
		c.advance(-time.Hour) // a clock that was set back makes nothing last
		ask(3)
	})
	t.Run("API-13 another app, key, address, config or runtime is another", func(t *testing.T) {
		for i, change := range []func(a *apps.App){
			func(a *apps.App) { a.ID = "b" }, func(a *apps.App) { a.SealedKey = "l" }, func(a *apps.App) { a.RuntimeURL = "http://s" },
			func(a *apps.App) { a.RuntimeConfig = "{}" }, func(a *apps.App) { a.RuntimeURL, a.SealedKey = "http://rk", "" },
		} {
			ask(int64(4+i), change)
			ask(int64(4+i), change)
		}
		ask(8)
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	large := `{"x":"` + strings.Repeat("x", 512<<10) + `"}`
	for name, tc := range map[string]struct {
		said string
		apps int
	}{"API-13 by number": {`{}`, maxRemembered + 100}, "API-13 by bytes": {large, 40}} {
		t.Run(name, func(t *testing.T) {
			s, r, _ := asking(t, says(tc.said))
			for i := range tc.apps {
				a := someApp
				a.ID = strconv.Itoa(i)
				if _, err := s.Parameters(t.Context(), a); err != nil {
					t.Fatal(err)
				}
			}
			p, total := &s.parameters, 0
			for _, k := range p.known {
				total += k.size()
			}
			if len(p.known) > maxRemembered || len(p.order) != len(p.known) || p.bytes != total || total > maxRememberedBytes || len(p.known) < 20 || len(p.flights) != 0 {
				t.Errorf("%d apps, %d in order, %d of %d bytes, %d flights", len(p.known), len(p.order), p.bytes, total, len(p.flights))
			}
			a := someApp
			a.ID = strconv.Itoa(tc.apps - 1)
			_, _ = s.Parameters(t.Context(), a)
			if got := r.calls.Load(); got != int64(tc.apps) {
				t.Errorf("the newest was forgotten: %d calls", got)
			}
		})
	}
}

func TestOneAsksForAll(t *testing.T) {
	const many = 50
	t.Run("API-13 who asks at once shares one question, and its failure", func(t *testing.T) {
		for _, fails := range []bool{false, true} {
			begun, end := make(chan struct{}), make(chan struct{})
			s, r, _ := asking(t, func(context.Context, Target) (json.RawMessage, error) {
				close(begun)
				<-end
				if fails {
					return nil, ErrTimeout
				}
				return json.RawMessage(`{}`), nil
			})
			errs := make(chan error, many)
			one := func() { _, err := s.Parameters(t.Context(), someApp); errs <- err }
			go one()
			<-begun
			for range many - 1 {
				go one()
			}
			waitFor(t, func() bool { return goroutinesIn("parametersCache).get") >= many })
			close(end)
			for range many {
				if err := <-errs; errors.Is(err, ErrTimeout) != fails || (err != nil) != fails {
					t.Fatal(err)
				}
			}
			if r.calls.Load() != 1 {
				t.Errorf("asked %d times", r.calls.Load())
			}
		}
	})
	t.Run("API-13 who leaves takes nobody's answer along", func(t *testing.T) {
		begun := make(chan struct{}, 2)
		var first atomic.Bool
		s, r, _ := asking(t, func(ctx context.Context, _ Target) (json.RawMessage, error) {
			begun <- struct{}{}
			if first.CompareAndSwap(false, true) {
				<-ctx.Done()
				return nil, ErrUnavailable.Because(ctx.Err())
			}
			return json.RawMessage(`{}`), nil
		})
		ctx, leave := context.WithCancel(t.Context())
		left, stayed := make(chan error, 1), make(chan error, 1)
		go func() { _, err := s.Parameters(ctx, someApp); left <- err }()
		<-begun
		go func() { _, err := s.Parameters(t.Context(), someApp); stayed <- err }()
		waitFor(t, func() bool { return goroutinesIn("parametersCache).get") >= 2 })
		leave()
		if err := <-left; !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		if err := <-stayed; err != nil || r.calls.Load() != 2 {
			t.Error(err, r.calls.Load())
		}
	})
	t.Run("API-13 who waits and leaves waits no longer", func(t *testing.T) {
		begun, end := make(chan struct{}), make(chan struct{})
		s, _, _ := asking(t, func(context.Context, Target) (json.RawMessage, error) {
			close(begun)
			<-end
			return json.RawMessage(`{}`), nil
		})
		done := make(chan error, 1)
		go func() { _, err := s.Parameters(t.Context(), someApp); done <- err }()
		<-begun
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if _, err := s.Parameters(ctx, someApp); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("API-13 a panic leaves nobody waiting", func(t *testing.T) {
		s, r, _ := asking(t, func(context.Context, Target) (json.RawMessage, error) { panic("x") })
		func() {
			defer func() { _ = recover() }()
			_, _ = s.Parameters(t.Context(), someApp)
		}()
		r.say = says(`{}`)
		if _, err := s.Parameters(t.Context(), someApp); err != nil {
			t.Error(err)
		}
	})
}
