// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
)

type sample struct {
	Label string `json:"label"`
}

func (sample) EventName() string { return "test.sample" }

type sink struct {
	mu     sync.Mutex
	err    error
	events []audit.Event
}

func (s *sink) Append(_ context.Context, events ...audit.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.events = append(s.events, events...)
	return nil
}

func (s *sink) fail(err error) { s.mu.Lock(); s.err = err; s.mu.Unlock() }
func (s *sink) names() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		var f sample
		_ = json.Unmarshal(e.Fields, &f)
		out = append(out, f.Label)
	}
	return out
}

func event(label string) audit.Event {
	ctx := audit.WithRequest(context.Background(), audit.Request{ID: "r1", IP: "192.0.2.1", UserAgent: strings.Repeat("a", 300)})
	return audit.New(ctx, time.Unix(1, 0).UTC(), audit.Account("a1"), sample{Label: label})
}

func TestLaterSurvivesAnOutageOfTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &sink{err: errors.New("disk full")}
		r, err := audit.NewRecorder(s, slog.New(slog.NewJSONHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()

		r.Later(event("one"), event("two"))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := s.names(); len(got) != 0 {
			t.Fatalf("a failing table took %v", got)
		}
		r.Later(event("three"))
		s.fail(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := strings.Join(s.names(), " "); got != "one two three" {
			t.Fatalf("after the outage: %q", got)
		}

		r.Later(event("last"))
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := s.names(); got[len(got)-1] != "last" {
			t.Fatal("the queue was not written at the end")
		}
		if n := strings.Count(log.String(), `"event":"test.sample"`); n != 4 {
			t.Fatalf("the log repeats %d of 4 events", n)
		}
	})
}

func TestLOG02ALabelCannotForgeALine(t *testing.T) {
	for _, name := range []string{"LOG-02 line breaks, ANSI and JSON in a label stay one line"} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			r, _ := audit.NewRecorder(&sink{}, slog.New(slog.NewJSONHandler(&log, nil)))
			r.Committed(event("x\r\n{\"event\":\"forged\"}\x1b[31m\",\"event\":\"forged\""))
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			if len(lines) != 1 || strings.ContainsAny(lines[0], "\x1b\r") {
				t.Fatalf("the label broke out: %q", lines)
			}
			var line struct{ Event string }
			if err := json.Unmarshal([]byte(lines[0]), &line); err != nil || line.Event != "test.sample" {
				t.Fatalf("%v: %s", err, lines[0])
			}
		})
	}
}

func TestUserAgentIsCut(t *testing.T) {
	if got := len(event("x").Request.UserAgent); got != audit.MaxUserAgent {
		t.Fatalf("kept %d characters", got)
	}
}

func TestActors(t *testing.T) {
	for by, want := range map[string]audit.Actor{
		"account:0197": audit.Account("0197"), "cli:root": {Type: "operator", ID: "cli:root"}, "": audit.System, "job": {Type: "system", ID: "job"},
	} {
		if got := audit.By(by); got != want {
			t.Errorf("%q is %+v", by, got)
		}
	}
}
