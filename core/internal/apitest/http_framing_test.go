// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

const (
	htHealth  = "/openapi/v1/_health"
	htVersion = "/openapi/v1/_version"
	// htStart is a device authorization request of 44 bytes.
	htStart = `{"client_id":"difyctl","device_label":"box"}`
)

// htHead is a POST of JSON to the code route up to its own headers.
func htHead(more ...string) string {
	return "POST " + codePath + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + strings.Join(more, "\r\n") + "\r\n\r\n"
}

// htHidden is what an attacker would have the server take for a second request.
const htHidden = "GET " + htVersion + " HTTP/1.1\r\nHost: x\r\n\r\n"

func TestFraming(t *testing.T) {
	spy := &grantSpy{}
	s := apitest.Start(t, unlimited(), apitest.Wrap(spy.wrap))
	length := fmt.Sprintf("Content-Length: %d", len(htStart))

	t.Run("well-formed framing is served, so that the refusals below are for their reason", func(t *testing.T) {
		for _, request := range []string{
			htHead(length) + htStart,
			htHead("Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(htStart), htStart),
			htHead("transfer-encoding: Chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(htStart), htStart),
		} {
			wantAnswer(t, htAsk(t, s, request), http.StatusOK, "")
		}
	})

	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(htStart), htStart)
	refused := []struct{ name, request string }{
		{name: "HTTP-01 a length beside a transfer coding", request: htHead(length, "Transfer-Encoding: chunked") + chunks},
		{name: "HTTP-01 a transfer coding before a length", request: htHead("Transfer-Encoding: chunked", length) + chunks},
		{name: "HTTP-01 a length that ends inside what follows the chunks", request: htHead("Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n"},
		{name: "HTTP-01 M-23 two lengths that differ", request: htHead(length, "Content-Length: 5") + htStart},
		{name: "HTTP-01 M-23 two lengths that agree", request: htHead(length, length) + htStart},
		{name: "HTTP-01 a list of lengths", request: htHead("Content-Length: 44, 44") + htStart},
		{name: "HTTP-01 a signed length", request: htHead("Content-Length: +44") + htStart},
		{name: "HTTP-01 a negative length", request: htHead("Content-Length: -1") + htStart},
		{name: "HTTP-01 a spaced length", request: htHead("Content-Length: 4 4") + htStart},
		{name: "HTTP-01 a hexadecimal length", request: htHead("Content-Length: 0x2c") + htStart},
		{name: "HTTP-01 an empty length", request: htHead("Content-Length:") + htStart},
		{name: "HTTP-01 a space before the colon", request: htHead("Content-Length : 44") + htStart},
		{name: "HTTP-01 an unknown coding", request: htHead("Transfer-Encoding: xchunked") + chunks},
		{name: "HTTP-01 the coding identity beside a length", request: htHead("Transfer-Encoding: identity", length) + htStart},
		{name: "HTTP-01 two codings in one line", request: htHead("Transfer-Encoding: gzip, chunked") + chunks},
		{name: "HTTP-01 two lines of codings", request: htHead("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + chunks},
		{name: "HTTP-01 a line feed in a chunk's extension", request: htHead("Transfer-Encoding: chunked") + "2c;a=\nb\r\n" + htStart + "\r\n0\r\n\r\n"},
		{name: "HTTP-01 a chunk length that is no number", request: htHead("Transfer-Encoding: chunked") + "zz\r\n" + htStart + "\r\n0\r\n\r\n"},
		{name: "HTTP-01 a length beside a coding on a GET", request: "GET " + htHealth + " HTTP/1.1\r\nHost: x\r\n" + length + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks},
		{name: "HTTP-02 M-23 a folded line", request: "GET " + htHealth + " HTTP/1.1\r\nHost: x\r\nX-Note: a\r\n b\r\n\r\n"},
		{name: "HTTP-02 a line folded by a tab", request: "GET " + htHealth + " HTTP/1.1\r\nHost: x\r\nX-Note: a\r\n\tb\r\n\r\n"},
		{name: "HTTP-02 a folded Authorization", request: "GET /openapi/v1/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n dfoa_" + strings.Repeat("A", 43) + "\r\n\r\n"},
		{name: "HTTP-02 a folded length", request: htHead("Content-Length:", " 44") + htStart},
		{name: "HTTP-05 two hosts", request: "GET " + htHealth + " HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"},
		{name: "HTTP-05 no host", request: "GET " + htHealth + " HTTP/1.1\r\n\r\n"},
		{name: "no request at all", request: "hello\r\n\r\n"},
	}
	for _, tc := range refused {
		t.Run(tc.name, func(t *testing.T) {
			before, _, _ := spy.asked()
			c := htDial(t, s.URL)
			c.send(tc.request + htHidden)
			a := c.read("POST")
			wantAnswer(t, a, http.StatusBadRequest, "bad_request")
			wantFailureShape(t, a)
			wantFrameless(t, a)
			c.wantClosed() // so the hidden request drew no answer
			if after, _, _ := spy.asked(); after != before {
				t.Fatal("it created a grant")
			}
			id := a.Header.Get("X-Request-Id")
			eventually(t, func() (bool, string) {
				return id != "" && strings.Contains(s.Log.String(), `"request_id":"`+id+`"`), "the refusal's id " + id + " is on no record"
			})
		})
	}
}

func TestRequestsOnOneConnection(t *testing.T) {
	s := apitest.Start(t, unlimited())
	live, _ := s.SignInDevice(t, s.SignedIn(t), "box")
	last := "GET " + htVersion + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

	t.Run("HTTP-03 a GET with a body leaves the next request whole", func(t *testing.T) {
		for _, body := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(htHidden), htHidden)} {
			c := htDial(t, s.URL)
			c.send("GET " + htHealth + " HTTP/1.1\r\nHost: x\r\n" + body + last)
			if a := c.read("GET"); a.Body != `{"ok":true}` {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			if a := c.read("GET"); !strings.HasPrefix(a.Body, `{"version":`) {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			c.wantClosed()
		}
	})
	t.Run("HTTP-03 a body that no route reads leaves the next request whole", func(t *testing.T) {
		c := htDial(t, s.URL)
		c.send("POST /console/api/logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(htHidden), htHidden) + last)
		if a := c.read("POST"); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a := c.read("GET"); !strings.HasPrefix(a.Body, `{"version":`) {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		c.wantClosed()
	})
	t.Run("HTTP-03 pipelined requests are answered in order, each by its own credential", func(t *testing.T) {
		c := htDial(t, s.URL)
		account := "GET /openapi/v1/account HTTP/1.1\r\nHost: x\r\n"
		c.send(account + "Authorization: Bearer " + live + "\r\n\r\n" + account + "\r\n" + account + "Authorization: Bearer " + live + "\r\n\r\n" + last)
		for i, want := range []int{200, 401, 200, 200} {
			if a := c.read("GET"); a.Status != want {
				t.Fatalf("answer %d: %d %s", i, a.Status, a.Body)
			}
		}
		c.wantClosed()
	})
	t.Run("HTTP-05 a whole address as target is served like its path", func(t *testing.T) {
		a := htAsk(t, s, "GET http://evil.example"+htVersion+" HTTP/1.1\r\nHost: x\r\n\r\n")
		wantAnswer(t, a, http.StatusOK, "")
		a = htAsk(t, s, "POST http://evil.example"+codePath+" HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\n"+
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(htStart), htStart))
		if got := a.Text(t, "verification_uri"); got != s.URL+"/device" {
			t.Fatalf("verification_uri %s", got)
		}
	})
	t.Run("M-23 two Authorization lines, alike or not", func(t *testing.T) {
		for _, second := range []string{live, "x"} {
			a := htAsk(t, s, "GET /openapi/v1/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+live+"\r\nAuthorization: Bearer "+second+"\r\n\r\n")
			wantAnswer(t, a, http.StatusBadRequest, "bad_request")
			wantFailureShape(t, a)
		}
	})
	t.Run("M-23 a doubled cookie of ours is no sign-in", func(t *testing.T) {
		b := s.SignedIn(t)
		session := "console_session=" + b.Cookie("console_session")
		for _, tc := range []struct {
			cookies string
			status  int
		}{
			{"Cookie: " + session + "\r\n", http.StatusOK},
			{"Cookie: " + session + "; " + session + "\r\n", http.StatusUnauthorized},
			{"Cookie: " + session + "\r\nCookie: " + session + "\r\n", http.StatusUnauthorized},
			{"Cookie: " + session + "; console_session=x\r\n", http.StatusUnauthorized},
			{"Cookie: console_session=x; " + session + "\r\n", http.StatusUnauthorized},
			{"Cookie: Console_Session=x; " + session + "\r\n", http.StatusOK},
		} {
			a := htAsk(t, s, "GET /console/api/account/profile HTTP/1.1\r\nHost: x\r\n"+tc.cookies+"\r\n")
			wantAnswer(t, a, tc.status, "")
		}
	})
}

func TestBodiesAndHeaderBlocks(t *testing.T) {
	s := apitest.Start(t, unlimited())
	const cap = 64 << 10
	// A body of exactly n bytes: JSON may be followed by white space.
	padded := func(n int) string { return htStart + strings.Repeat(" ", n-len(htStart)) }

	t.Run("M-22 a body of 64 KiB is read, one byte more is not", func(t *testing.T) {
		a := htAsk(t, s, htHead(fmt.Sprintf("Content-Length: %d", cap))+padded(cap))
		wantAnswer(t, a, http.StatusOK, "")
		c := htDial(t, s.URL)
		// The framework takes 8 KiB before it looks at the row; the rest never comes.
		c.send(htHead(fmt.Sprintf("Content-Length: %d", cap+1)) + padded(8<<10))
		a = c.read("POST")
		wantAnswer(t, a, http.StatusRequestEntityTooLarge, "request_entity_too_large")
		wantFailureShape(t, a)
		if a.JSON(t)["error"] != "invalid_request" {
			t.Fatal(a.Body)
		}
		c.wantClosed()
	})
	t.Run("M-22 chunks without a length are counted", func(t *testing.T) {
		chunk := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, padded(n)) }
		wantAnswer(t, htAsk(t, s, htHead("Transfer-Encoding: chunked")+chunk(cap)+"0\r\n\r\n"), http.StatusOK, "")
		c := htDial(t, s.URL)
		c.send(htHead("Transfer-Encoding: chunked") + chunk(cap+1)) // and no end
		wantAnswer(t, c.read("POST"), http.StatusRequestEntityTooLarge, "request_entity_too_large")
		c.wantClosed()
	})
	t.Run("M-22 HTTP-04 a header block above 16 KiB", func(t *testing.T) {
		head := "GET " + htHealth + " HTTP/1.1\r\nHost: x\r\nX-Note: "
		fits := head + strings.Repeat("a", 16<<10-len(head)-4) + "\r\n\r\n"
		wantAnswer(t, htAsk(t, s, fits), http.StatusOK, "")
		c := htDial(t, s.URL)
		c.send(head + strings.Repeat("a", 16<<10-len(head)-3) + "\r\n\r\n")
		a := c.read("GET")
		wantAnswer(t, a, http.StatusRequestHeaderFieldsTooLarge, "request_header_fields_too_large")
		wantFailureShape(t, a)
		wantFrameless(t, a)
		c.wantClosed()
	})
	t.Run("HTTP-04 the cookies of a browser that is signed in and has typed a code fit", func(t *testing.T) {
		// The largest that a browser keeps of ours, beside 8 KiB of others on the same host.
		b := s.SignedIn(t)
		c := htDial(t, s.URL)
		c.send("GET /console/api/account/profile HTTP/1.1\r\nHost: x\r\nCookie: other=" + strings.Repeat("a", 8<<10) +
			"; console_session=" + b.Cookie("console_session") + "; csrf_token=" + b.Cookie("csrf_token") + "\r\n\r\n")
		wantAnswer(t, c.read("GET"), http.StatusOK, "")
	})
	t.Run("HTTP-08 a large body costs no memory", func(t *testing.T) {
		const sent = 32 << 20
		block := strings.Repeat("x", 64<<10)
		for name, frame := range map[string]struct{ head, open, close string }{
			"declared": {htHead(fmt.Sprintf("Content-Length: %d", sent)), "", ""},
			"chunked":  {htHead("Transfer-Encoding: chunked"), fmt.Sprintf("%x\r\n", len(block)), "\r\n"},
		} {
			least := uint64(math.MaxUint64) // what workers beside it allocate is not always the same
			for range 3 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				c, head := htDial(t, s.URL), frame.head
				for n := 0; n < sent && c.send(head+frame.open); n += len(block) {
					if head = ""; !c.send(block) || !c.send(frame.close) {
						break
					}
				}
				wantAnswer(t, c.read("POST"), http.StatusRequestEntityTooLarge, "request_entity_too_large")
				runtime.ReadMemStats(&after)
				least = min(least, after.TotalAlloc-before.TotalAlloc)
			}
			if least > 4<<20 {
				t.Errorf("%s: %d bytes allocated for a body of %d", name, least, sent)
			}
		}
	})
}
