// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
)

func TestRunStreams(t *testing.T) {
	w := rnStart(t)
	path := w.path(apps.Chat, "run")
	t.Run("API-16 M-3 the head comes before any event", func(t *testing.T) {
		s := w.open(t, "normal", path, rnHello) // returns with the head
		h := s.res.Header
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no", "X-Frame-Options": "DENY",
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "frame-ancestors 'none'", "Pragma": "", "Content-Encoding": "", "Content-Disposition": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		if s.res.StatusCode != http.StatusOK || h.Get("X-Request-Id") == "" || !slices.Equal(s.res.TransferEncoding, []string{"chunked"}) {
			t.Errorf("%d %v", s.res.StatusCode, s.res)
		}
		w.finish(t, s)
	})
	t.Run("API-16 every event passes at once and unchanged, unknown ones too, and the last has its blank line", func(t *testing.T) {
		s := w.open(t, "normal", path, rnHello)
		one := w.rt.run(t, w.rt.asked())
		for _, data := range []string{
			`{"event":"message","task_id":"t1","answer":"a\n\"<&>\u2028"}`, `{"event":"brand_new","x":[1.50,{}]}`, `{ "event" : "tts_message" }`,
			`{"event":"message","answer":"` + strings.Repeat("x", 1<<20-100) + `"}`, `{"event":"message_end","metadata":{}}`,
		} {
			one.say(data)
			if got := s.next(); got != "data: "+data+"\n\n" { // before the next is said
				t.Fatalf("%.200q", got)
			}
		}
		one.end(nil)
		if left := s.rest(); len(left) != 0 {
			t.Fatalf("%q", left)
		}
	})
	t.Run("API-16 what a runtime sends to keep a connection is passed on too", func(t *testing.T) {
		s := w.open(t, "normal", path, rnHello)
		one := w.rt.run(t, w.rt.asked())
		one.events <- run.Event{Frame: []byte("event: ping\n\n"), Name: "ping"}
		if got := s.next(); got != "event: ping\n\n" {
			t.Fatalf("%q", got)
		}
		w.finish(t, s)
	})
	t.Run("API-16 what came together is whole", func(t *testing.T) {
		s := w.open(t, "normal", path, rnHello)
		one := w.rt.run(t, w.rt.asked())
		const events = 3000
		one.ready = true
		for i := range events {
			one.say(fmt.Sprintf(`{"event":"message","task_id":"t2","answer":"%d %s"}`, i, strings.Repeat("y", i%500)))
		}
		one.say(`{"event":"message_end"}`)
		one.end(nil)
		got := s.rest()
		if len(got) != events+1 {
			t.Fatalf("%d events", len(got))
		}
		for i, frame := range got[:events] {
			if !strings.Contains(frame, fmt.Sprintf(`"answer":"%d `, i)) {
				t.Fatalf("%d: %q", i, frame)
			}
		}
	})
	for _, last := range []string{"message_end", "workflow_finished", "workflow_paused", "human_input_required", "error"} {
		t.Run("API-16 after "+last+" the stream may end, however the connection does", func(t *testing.T) {
			for _, end := range []error{nil, run.ErrUnavailable.Because(io.ErrUnexpectedEOF)} {
				s := w.open(t, "normal", path, rnHello)
				one := w.rt.run(t, w.rt.asked())
				one.say(`{"event":"` + last + `","task_id":"` + last + `"}`)
				one.end(end)
				if got := s.rest(); len(got) != 1 {
					t.Fatalf("%q", got)
				}
			}
		})
	}
	t.Run("API-17 a runtime that ends too early, or breaks off, is told as one event with the task it named", func(t *testing.T) {
		for _, tc := range []struct {
			say    string
			end    error
			status int
			code   string
			task   string
		}{
			{"", nil, 502, "runtime_unavailable", ""},
			{`{"event":"message","answer":"x"}`, nil, 502, "runtime_unavailable", ""},
			{`{"event":"message","task_id":"t3"}`, nil, 502, "runtime_unavailable", "t3"},
			{`{"event":"message","task_id":"t4"}`, run.ErrUnavailable.Because(errors.New("http://10.0.0.1 app-secret")), 502, "runtime_unavailable", "t4"},
			{`{"event":"message","task_id":"t5"}`, run.ErrTimeout, 504, "runtime_timeout", "t5"},
			{`{"event":"message","task_id":"t6"}`, errors.New("unclassified at 10.0.0.1"), 500, "internal_server_error", "t6"},
			{`{"event":"message","task_id":"t7"}`, run.ErrQuota, 429, "rate_limit_error", "t7"},
		} {
			s := w.open(t, "normal", path, rnHello)
			one := w.rt.run(t, w.rt.asked())
			if tc.say != "" {
				one.say(tc.say)
				s.next()
			}
			one.end(tc.end)
			s.wantEnd(tc.status, tc.code, tc.task)
		}
	})
	t.Run("API-20 a runtime's refusal before the stream is an answer like any other", func(t *testing.T) {
		for _, tc := range []struct {
			err    error
			status int
			code   string
		}{
			{run.ErrKeyRejected, 502, "runtime_key_rejected"}, {run.ErrTimeout, 504, "runtime_timeout"}, {run.ErrNoConversation, 404, "conversation_not_found"},
			{run.ErrRefused.Saying("inputs.x is wrong"), 400, "bad_request"}, {run.ErrQuota.RetryAfter(7 * time.Second), 429, "rate_limit_error"},
			{errors.New("unclassified"), 500, "internal_server_error"},
		} {
			w.rt.note(func() { w.rt.refuse = tc.err })
			a := w.as(t, "normal", http.MethodPost, path, rnHello)
			wantAnswer(t, a, tc.status, tc.code)
			wantFailureShape(t, a)
			wantFrameless(t, a)
			if tc.status == 429 && a.Header.Get("Retry-After") != "7" || tc.status == 400 && a.Text(t, "message") != "inputs.x is wrong" {
				t.Errorf("%v %s", a.Header, a.Body)
			}
		}
		w.rt.note(func() { w.rt.refuse = nil })
	})
	t.Run("HTTP-18 a panic beside a stream is told, and the process lives", func(t *testing.T) {
		s := w.open(t, "normal", path, rnHello)
		w.rt.run(t, w.rt.asked()).events <- "no event" // the double's Next panics
		s.wantEnd(500, "internal_server_error", "")
		wantAnswer(t, w.as(t, "normal", http.MethodGet, accountPath, ""), http.StatusOK, "")
	})
	t.Run("API-16 the connection serves the next request", func(t *testing.T) {
		c := htDial(t, w.URL)
		for range 3 {
			ask := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, w.bearers["normal"], len(rnHello), rnHello)
			n := w.rt.asked()
			c.send(ask)
			one := w.rt.run(t, n+1)
			one.say(`{"event":"message_end","task_id":"t8"}`)
			one.end(nil)
			if a := c.read("POST"); a.Body != "data: {\"event\":\"message_end\",\"task_id\":\"t8\"}\n\n" {
				t.Fatalf("%q", a.Body)
			}
			c.send("GET " + htHealth + " HTTP/1.1\r\nHost: x\r\n\r\n")
			wantAnswer(t, c.read("GET"), http.StatusOK, "")
		}
	})
	t.Run("API-16 a client that sends its next request early is not taken for one that left", func(t *testing.T) {
		c := htDial(t, w.URL)
		n := w.rt.asked()
		c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, w.bearers["normal"], len(rnHello), rnHello))
		one := w.rt.run(t, n+1)
		c.send("GET " + htHealth + " HTTP/1.1\r\nHost: x\r\n\r\n")
		one.say(`{"event":"message","task_id":"t9"}`)
		one.say(`{"event":"message_end"}`)
		one.end(nil)
		if a := c.read("POST"); strings.Count(a.Body, "data: ") != 2 {
			t.Fatalf("%q", a.Body)
		}
		wantAnswer(t, c.read("GET"), http.StatusOK, "")
	})
	t.Run("API-16 the log has a line for a stream when it ends, with how it went", func(t *testing.T) {
		s := w.open(t, "normal", path, rnHello)
		id := s.res.Header.Get("X-Request-Id")
		if rnFindLine(w.Server, id) != "" {
			t.Fatal("it has one before")
		}
		if n := rnOpenStreams(t, w.Server); n != 1 {
			t.Errorf("%s streams are open", fmt.Sprint(n))
		}
		w.finish(t, s)
		line := rnLine(t, w.Server, id)
		for _, want := range []string{`"route":"/openapi/v1/apps/:app/run"`, `"status":200`, `"stream":"whole"`, `"level":"INFO"`} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
		s = w.open(t, "normal", path, rnHello)
		w.rt.run(t, w.rt.asked()).end(run.ErrUnavailable.Because(errors.New("because of this")))
		s.wantEnd(502, "runtime_unavailable", "")
		line = rnLine(t, w.Server, s.res.Header.Get("X-Request-Id"))
		for _, want := range []string{`"status":200`, `"stream":"failed"`, `"code":"runtime_unavailable"`, "because of this", `"level":"ERROR"`} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
		eventually(t, func() (bool, string) { return rnOpenStreams(t, w.Server) == 0, "streams are counted that have ended" })
	})
}

// rnLine waits for the access line of a request.
func rnLine(t testing.TB, s *apitest.Server, id string) (line string) {
	t.Helper()
	eventually(t, func() (bool, string) {
		line = rnFindLine(s, id)
		return line != "", "the log has no line of request " + id
	})
	return line
}

func rnFindLine(s *apitest.Server, id string) (line string) {
	for in := bufio.NewScanner(strings.NewReader(s.Log.String())); in.Scan(); {
		if text := in.Text(); strings.Contains(text, `"msg":"request"`) && strings.Contains(text, id) {
			line = text
		}
	}
	return line
}

// rnOpenStreams asks the metrics.
func rnOpenStreams(t testing.TB, s *apitest.Server) (n int) {
	t.Helper()
	a := s.At(s.Inner).Call(t, http.MethodGet, "/metrics", "")
	for _, line := range strings.Split(a.Body, "\n") {
		if rest, ok := strings.CutPrefix(line, "dify_sso_streams_open "); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("streams are not counted")
	return 0
}

func TestRunSilence(t *testing.T) {
	w := rnStart(t, apitest.Paced(run.Pace{Ping: 30 * time.Millisecond}), apitest.Set("RUNTIME_IDLE_TIMEOUT", "400ms"), apitest.Set("RUN_MAX_DURATION", "1500ms"))
	path := w.path(apps.Workflow, "run")
	const flow = `{"inputs":{}}`
	t.Run("API-16 pings fill the silence, and a runtime that is silent too long is told", func(t *testing.T) {
		s := w.open(t, "normal", path, flow)
		one := w.rt.run(t, w.rt.asked())
		one.say(`{"event":"workflow_started","task_id":"quiet","workflow_run_id":"r"}`)
		frames := s.rest()
		// A ping may come ahead of the first event, on a busy machine.
		pings := len(frames) - 2
		frames = slices.DeleteFunc(frames, func(frame string) bool { return strings.Contains(frame, `"event":"workflow_started"`) })
		if len(frames) != pings+1 {
			t.Fatalf("the event is not there once: %q", frames)
		}
		for _, frame := range frames[:pings] {
			if frame != "event: ping\n\n" {
				t.Fatalf("%q", frame)
			}
		}
		if pings < 3 || pings > 20 {
			t.Errorf("%d pings in 400 ms", pings)
		}
		if last := frames[pings]; last != `data: {"event":"error","code":"runtime_timeout","status":504,"message":"`+run.ErrTimeout.Text()+`","task_id":"quiet"}`+"\n\n" {
			t.Errorf("%q", last)
		}
		w.rt.await(t, "told to stop", func() bool { return len(w.rt.stops) == 1 && w.rt.stops[0].task == "quiet" })
	})
	t.Run("API-16 a run that talks for ever is ended", func(t *testing.T) {
		s := w.open(t, "normal", path, flow)
		one := w.rt.run(t, w.rt.asked())
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					one.say(`{"event":"text_chunk","task_id":"endless"}`)
				}
			}
		}()
		frames := s.rest()
		if last := frames[len(frames)-1]; !strings.Contains(last, `"code":"runtime_timeout"`) || len(frames) < 10 {
			t.Fatalf("%d events, the last %q", len(frames), last)
		}
		<-one.closed
	})
	t.Run("HTTP-07 a client that does not read holds nothing for longer than the run may last", func(t *testing.T) {
		c := htDial(t, w.URL)
		n := w.rt.asked()
		c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, w.bearers["normal"], len(flow), flow))
		one := w.rt.run(t, n+1)
		go func() {
			big := `{"event":"text_chunk","task_id":"deaf","x":"` + strings.Repeat("x", 1<<20-100) + `"}`
			for range 64 { // more than the sockets hold
				one.say(big)
			}
		}()
		<-one.closed
		eventually(t, func() (bool, string) { return rnOpenStreams(t, w.Server) == 0, "its stream goes on" })
	})
}
