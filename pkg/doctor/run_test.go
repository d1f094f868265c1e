// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/pkg/server"
)

var quiet = log.New(io.Discard, "", 0)

func TestRun(t *testing.T) {
	well := func(id string) doctor.Check {
		return doctor.Check{ID: id, Run: func(context.Context) []doctor.Finding {
			return []doctor.Finding{{Check: id, Status: doctor.OK, Text: id + "."}}
		}}
	}
	t.Run("findings come in order, whoever ends first", func(t *testing.T) {
		second := make(chan struct{})
		slow := doctor.Check{ID: "a", Subject: "x", Run: func(context.Context) []doctor.Finding {
			<-second
			return []doctor.Finding{{Check: "a", Status: doctor.Warn, Text: "a.", Next: "b."}}
		}}
		fast := well("b")
		run := fast.Run
		fast.Run = func(ctx context.Context) []doctor.Finding { defer close(second); return run(ctx) }
		got := doctor.Run(t.Context(), []doctor.Check{slow, fast, well("c")}, doctor.Limits{})
		if len(got) != 3 || got[0].Check != "a" || got[0].Subject != "x" || got[1].Check != "b" || got[2].Check != "c" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("one that does not end, and one that panics, keep nobody from the others' findings", func(t *testing.T) {
		never, waited := make(chan struct{}), make(chan []string, 100)
		defer close(never)
		got := doctor.Run(t.Context(), []doctor.Check{
			{ID: "hangs", Run: func(context.Context) []doctor.Finding { <-never; return nil }},
			{ID: "panics", Run: func(context.Context) []doctor.Finding { panic("kanarie") }},
			well("c"),
		}, doctor.Limits{Check: 300 * time.Millisecond, Slow: 20 * time.Millisecond, Waiting: func(ids []string) {
			select {
			case waited <- ids:
			default:
			}
		}})
		if len(got) != 3 || got[0].Status != doctor.Fail || got[0].Check != "hangs" || got[1].Status != doctor.Fail || strings.Contains(got[1].Text, "kanarie") || got[2].Status != doctor.OK {
			t.Errorf("%+v", got)
		}
		close(waited)
		told := false
		for ids := range waited {
			told = told || slices.Equal(ids, []string{"hangs"})
		}
		if !told {
			t.Error("nobody was told what is waited for")
		}
	})
	t.Run("the whole has an end", func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		var checks []doctor.Check
		for range 40 { // more than run at once
			checks = append(checks, doctor.Check{ID: "hangs", Run: func(context.Context) []doctor.Finding { <-never; return nil }})
		}
		got := doctor.Run(t.Context(), checks, doctor.Limits{Whole: 200 * time.Millisecond})
		if len(got) != 40 || slices.ContainsFunc(got, func(f doctor.Finding) bool { return f.Status != doctor.Fail }) {
			t.Errorf("%+v", got)
		}
	})
}

// What scripts read: members and their order are what they were.
func TestTheFormOfAReportIsStable(t *testing.T) {
	r := doctor.NewReport("core", "1.2.3", time.Date(2026, 11, 28, 1, 2, 3, 4, time.UTC), []doctor.Finding{
		{Check: doctor.Settings, Status: doctor.OK, Text: "The settings hold."},
		{Check: doctor.ReplicaReady, Subject: "http://a\x1b[31m", Status: doctor.Warn, Text: "It is not.", Next: "See."},
	})
	got, err := json.Marshal(r)
	const want = `{"format":1,"program":"core","version":"1.2.3","at":"2026-11-28T01:02:03Z","status":"warn","findings":[` +
		`{"check":"settings","status":"ok","text":"The settings hold."},{"check":"replica.ready","subject":"http://a\u001b[31m","status":"warn","text":"It is not.","next":"See."}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	empty, _ := json.Marshal(doctor.NewReport("core", "", time.Time{}, nil))
	if !strings.Contains(string(empty), `"status":"ok","findings":[]`) {
		t.Errorf("%s", empty)
	}
	briefs, _ := json.Marshal(r.Briefs())
	if string(briefs) != `[{"check":"settings","status":"ok"},{"check":"replica.ready","status":"warn"}]` {
		t.Errorf("%s", briefs)
	}
	var b bytes.Buffer
	if err := doctor.Print(&b, r); err != nil || strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), "Next: See.") || !strings.HasSuffix(b.String(), "1 ok, 1 to be looked at, 0 failed, 0 skipped.\n") {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestReadyQuestion(t *testing.T) {
	for listen, want := range map[string]string{"127.0.0.1:5002": "http://127.0.0.1:5002/readyz", ":5002": "http://127.0.0.1:5002/readyz", "0.0.0.0:5002": "http://127.0.0.1:5002/readyz", "[::]:5002": "http://[::1]:5002/readyz", "10.0.0.1:7": "http://10.0.0.1:7/readyz"} {
		if got, err := doctor.ReadyAddress(listen, false); err != nil || got != want {
			t.Errorf("%s: %s, %v", listen, got, err)
		}
	}
	if got, err := doctor.ReadyAddress("127.0.0.1:0", true); err == nil {
		t.Error(got)
	}
	body, status := "", http.StatusOK
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = quiet
	for _, tc := range []struct {
		status int
		body   string
		why    string
		fails  bool
	}{
		{200, `{"checks":{"sql":"ok"}}`, "", false},
		{503, `{"checks":{"sql":"unavailable","store":"ok"},"draining":true}`, "it is shutting down; sql: unavailable", false},
		{200, `{"ok":true}`, "", true}, {404, `{"checks":{"sql":"ok"}}`, "", true}, {200, `<html>`, "", true},
	} {
		status, body = tc.status, tc.body
		r, date, err := doctor.AskReady(t.Context(), s.URL+"/readyz")
		if (err != nil) != tc.fails || err == nil && (doctor.Unready(r) != tc.why || date.IsZero()) {
			t.Errorf("%+v: %+v, %v", tc, r, err)
		}
	}
	if why := doctor.Unready(server.Readiness{Checks: map[string]string{"sql": server.CheckOK}}); why != "" {
		t.Error(why)
	}
	s.Close()
	if _, _, err := doctor.AskReady(t.Context(), s.URL+"/readyz"); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v", err)
	}
}
