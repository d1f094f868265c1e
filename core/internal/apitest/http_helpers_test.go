// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

// htConn is a connection on which a test writes what no client library would.
type htConn struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// htPatience is how long an answer, or an end, may take before a test gives up.
const htPatience = 20 * time.Second

func htDial(t testing.TB, base string) *htConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(htPatience)); err != nil {
		t.Fatal(err)
	}
	return &htConn{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// send writes bytes; a server that has closed already is no failure here.
func (c *htConn) send(s string) bool {
	_, err := io.WriteString(c.conn, s)
	return err == nil
}

// read takes one answer off the connection.
func (c *htConn) read(method string) apitest.Answer {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("half an answer: %v", err)
	}
	return apitest.Answer{Status: res.StatusCode, Header: res.Header, Body: string(body), Cookies: res.Cookies()}
}

// wantClosed fails unless the server has nothing more to say and has hung up.
func (c *htConn) wantClosed() {
	c.t.Helper()
	_, err := c.in.ReadByte()
	if err == nil {
		rest, _ := io.ReadAll(c.in)
		c.t.Fatalf("the server says more: %q", rest)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		c.t.Fatal("the connection stays open")
	}
}

// htAsk sends one request as bytes and reads its one answer, which is held against the
// API's document like everybody's.
func htAsk(t testing.TB, s *apitest.Server, request string) apitest.Answer {
	t.Helper()
	c := htDial(t, s.URL)
	c.send(request)
	method, _, _ := strings.Cut(request, " ")
	a := c.read(method)
	if err := apitest.CheckRaw(request, a); err != nil {
		t.Fatal(err)
	}
	return a
}

// wantFailureShape checks what holds for every answer that is not 2xx (M-8): integer
// status, no null, the details' members strings.
func wantFailureShape(t testing.TB, a apitest.Answer) {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Fatalf("content type %q of %s", got, a.Body)
	}
	var verdict struct {
		Error *string `json:"error"`
		Code  *string `json:"code"`
	}
	if err := json.Unmarshal([]byte(a.Body), &verdict); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
	if verdict.Code == nil {
		if verdict.Error == nil || a.Body != `{"error":"`+*verdict.Error+`"}` {
			t.Fatalf("neither a verdict nor a failure: %s", a.Body)
		}
		return
	}
	dec := json.NewDecoder(strings.NewReader(a.Body))
	dec.DisallowUnknownFields()
	var body struct {
		Code    *string `json:"code"`
		Message *string `json:"message"`
		Status  *int    `json:"status"`
		Hint    string  `json:"hint"`
		Error   string  `json:"error"`
		Details []struct {
			Type *string `json:"type"`
			Loc  []any   `json:"loc"`
			Msg  *string `json:"msg"`
		} `json:"details"`
	}
	if err := dec.Decode(&body); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
	if body.Message == nil || *body.Message == "" || body.Status == nil || *body.Status != a.Status || strings.Contains(a.Body, "null") {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	for _, d := range body.Details {
		if d.Type == nil || d.Msg == nil || d.Loc == nil {
			t.Fatalf("a detail lacks a member: %s", a.Body)
		}
		for _, step := range d.Loc {
			switch step.(type) {
			case string, float64:
			default:
				t.Fatalf("a location holds %T: %s", step, a.Body)
			}
		}
	}
}

// wantFrameless checks the headers that keep a page out of a frame (M-3).
func wantFrameless(t testing.TB, a apitest.Answer) {
	t.Helper()
	if a.Header.Get("X-Frame-Options") != "DENY" || a.Header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Fatalf("status %d with %v", a.Status, a.Header)
	}
}

func htItoa(n int) string { return strconv.Itoa(n) }
