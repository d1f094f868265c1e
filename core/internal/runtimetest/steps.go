// SPDX-License-Identifier: Apache-2.0

package runtimetest

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Script is what a call gets, step by step. After the last one the answer ends as it
// should.
type Script []Step

// Step is one thing that a runtime does.
type Step func(*Exchange)

// Exchange is a call while it is answered.
type Exchange struct {
	*Call
	w    http.ResponseWriter
	over <-chan struct{} // the test is
}

func (e *Exchange) write(b []byte) {
	if _, err := e.w.Write(b); err != nil {
		e.drop()
		panic(http.ErrAbortHandler)
	}
	if err := http.NewResponseController(e.w).Flush(); err != nil {
		e.drop()
		panic(http.ErrAbortHandler)
	}
}

// Header sets a header of the answer.
func Header(name, value string) Step { return func(e *Exchange) { e.w.Header().Set(name, value) } }

// Answer is a status with a body of JSON; {task} and {run} stand for the call's ids.
func Answer(status int, body string) Step {
	return func(e *Exchange) {
		if e.w.Header().Get("Content-Type") == "" {
			e.w.Header().Set("Content-Type", "application/json")
		}
		e.w.WriteHeader(status)
		_, _ = io.WriteString(e.w, placeholders(e.Call, body))
	}
}

// Status is a refusal in Dify's shape: {"code","message","status"}.
func Status(status int, code, message string) Step {
	body, _ := json.Marshal(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Status  int    `json:"status"`
	}{code, message, status})
	return Answer(status, string(body))
}

// Redirect sends the client elsewhere.
func Redirect(status int, to string) Step {
	return func(e *Exchange) {
		e.w.Header().Set("Location", to)
		e.w.WriteHeader(status)
	}
}

// Begin answers 200 text/event-stream at once, before any event.
func Begin() Step {
	return func(e *Exchange) {
		e.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		e.w.WriteHeader(http.StatusOK)
		e.write(nil)
	}
}

// Raw sends these bytes and flushes.
func Raw(text string) Step {
	return func(e *Exchange) { e.write([]byte(placeholders(e.Call, text))) }
}

// Event sends an event of these data in one line, and flushes. {task} and {run} stand for
// the call's ids.
func Event(data string) Step { return Raw("data: " + data + "\n\n") }

// Ping is what runtimes send to keep a connection.
func Ping() Step { return Raw("event: ping\n\n") }

// Big sends a message whose data are this many bytes.
func Big(n int) Step {
	const head, tail = `{"event":"message","answer":"`, `"}`
	return Event(head + strings.Repeat("x", max(0, n-len(head)-len(tail))) + tail)
}

// Pause waits, unless the client leaves before.
func Pause(d time.Duration) Step {
	return func(e *Exchange) {
		select {
		case <-time.After(d):
		case <-e.Dropped():
			panic(http.ErrAbortHandler)
		case <-e.over:
			panic(http.ErrAbortHandler)
		}
	}
}

// Await waits for the test, unless the client leaves before.
func Await(c <-chan struct{}) Step {
	return func(e *Exchange) {
		select {
		case <-c:
		case <-e.Dropped():
			panic(http.ErrAbortHandler)
		case <-e.over:
			panic(http.ErrAbortHandler)
		}
	}
}

// Hang says no more until the client leaves: before Begin it is a runtime that does not
// answer, after it endless silence.
func Hang() Step { return Await(nil) }

// Cut breaks the connection off: a chunked body has no end then.
func Cut() Step { return func(*Exchange) { panic(http.ErrAbortHandler) } }

// Endless repeats these bytes for as long as somebody reads.
func Endless(text string) Step {
	return func(e *Exchange) {
		for block := []byte(strings.Repeat(text, 1+(32<<10)/max(1, len(text)))); ; {
			select {
			case <-e.over:
				panic(http.ErrAbortHandler)
			default:
				e.write(block)
			}
		}
	}
}

// Wire sends these bytes in the place of an answer of HTTP, and closes. Pause and Hang may
// not follow.
func Wire(text string) Step { return wire(text, 0) }

// SlowHeaders sends a proper head one byte at a time, with such a pause before each, and
// closes.
func SlowHeaders(pause time.Duration) Step {
	return wire("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Long: "+strings.Repeat("x", 1000)+"\r\n\r\n", pause)
}

func wire(text string, pause time.Duration) Step {
	return func(e *Exchange) {
		conn, _, err := http.NewResponseController(e.w).Hijack()
		if err != nil {
			panic(err)
		}
		defer func() {
			_ = conn.Close()
			panic(http.ErrAbortHandler)
		}()
		if pause == 0 {
			_, _ = io.WriteString(conn, text)
			return
		}
		drip(e, conn, text, pause)
	}
}

func drip(e *Exchange, conn net.Conn, text string, pause time.Duration) {
	for _, b := range []byte(text) {
		select {
		case <-time.After(pause):
		case <-e.over:
			return
		}
		if _, err := conn.Write([]byte{b}); err != nil {
			e.drop()
			return
		}
	}
}
