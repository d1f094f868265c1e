// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
)

func TestCoreBehindProxies(t *testing.T) {
	for _, kind := range pxKinds {
		t.Run(kind, func(t *testing.T) { pxInFront(t, kind) })
	}
}

func pxInFront(t *testing.T, kind string) {
	spy := &grantSpy{}
	s := apitest.Start(t, unlimited(), faProxied, apitest.Set("TRUSTED_PROXIES", "127.0.0.1/32"), apitest.Wrap(spy.wrap))
	p := pxStart(t, kind, pxTargets{core: s.URL, inner: s.Inner, api: s.URL, key: faKey})
	raw := func(t testing.TB, request string) apitest.Answer {
		t.Helper()
		c := p.open(t, pxCore)
		c.send(request)
		method, _, _ := strings.Cut(request, " ")
		return c.read(method)
	}

	t.Run("a login through it, and the token at work", func(t *testing.T) {
		const form = "application/x-www-form-urlencoded"
		a := p.ask(t, pxCore, "POST", codePath, "client_id=difyctl", "Content-Type", form)
		wantAnswer(t, a, http.StatusOK, "")
		if got := a.Text(t, "verification_uri"); got != s.URL+"/device" {
			t.Fatalf("verification_uri %q", got)
		}
		allow(t, s.SignedIn(t), apitest.Codes{User: a.Text(t, "user_code")})
		a = p.ask(t, pxCore, "POST", tokenPath, "client_id=difyctl&grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code="+a.Text(t, "device_code"), "Content-Type", form)
		wantAnswer(t, a, http.StatusOK, "")
		bearer := a.Text(t, "access_token")
		wantAnswer(t, p.ask(t, pxCore, "GET", accountPath, "", "Authorization", "Bearer "+bearer), http.StatusOK, "")
		wantAnswer(t, p.ask(t, pxCore, "POST", revokePath, "token="+bearer, "Content-Type", form), http.StatusOK, "")
		a = p.ask(t, pxCore, "GET", accountPath, "", "Authorization", "Bearer "+bearer)
		wantAnswer(t, a, http.StatusUnauthorized, "invalid_token")
		wantFrameless(t, a)
	})
	t.Run("LIM-3 HTTP-06 the client's address is the proxy's peer, whatever the client says", func(t *testing.T) {
		for _, forged := range [][]string{nil, {"X-Forwarded-For", "203.0.113.9"}, {"X-Forwarded-For", "203.0.113.9, 127.0.0.1"}, {"x-forwarded-for", "203.0.113.9", "X-Forwarded-For", "127.0.0.1"},
			{"X-Real-Ip", "203.0.113.9", "Forwarded", "for=203.0.113.9", "Cf-Connecting-Ip", "203.0.113.9", "True-Client-Ip", "203.0.113.9"}} {
			req := p.request(t, pxCore, "POST", codePath, htStart, append(forged, "Content-Type", "application/json")...)
			if res := p.from(t, "127.0.0.2", req); res.StatusCode != http.StatusOK {
				t.Fatalf("%v: %d", forged, res.StatusCode)
			}
			if got := spy.lastCreated().CreatedIP; got != "127.0.0.2" {
				t.Errorf("%v: counted as %s", forged, got)
			}
		}
	})
	t.Run("M-15 nothing of the second listener", func(t *testing.T) {
		for _, path := range []string{faVerify, faEnvoy + "/x", "/inner/api/subjects/revoke", "/inner%2fapi/auth/verify", "//inner/api/auth/verify", "/x/../inner/api/auth/verify", "/healthz", "/readyz", "/metrics", "/debug/pprof/"} {
			a := raw(t, "GET "+path+" HTTP/1.1\r\nHost: "+pxCore+"\r\nX-Inner-Api-Key: "+faKey+"\r\nConnection: close\r\n\r\n")
			if a.Status != http.StatusNotFound {
				t.Errorf("%s: %d %s", path, a.Status, a.Body)
			}
			faWantNobody(t, a)
		}
	})
	t.Run("M-4 HTTP-12 core judges the address as it was sent", func(t *testing.T) {
		for _, path := range []string{"/openapi/v1//_health", "/openapi/v1/./_health", "/openapi/v1/x/../_health", "/openapi/v1/_health/", "/openapi/v1/%5fhealth", "/OPENAPI/v1/_health", "/openapi%2Fv1/_health"} {
			a := raw(t, "GET "+path+" HTTP/1.1\r\nHost: "+pxCore+"\r\nConnection: close\r\n\r\n")
			wantAnswer(t, a, http.StatusNotFound, "not_found")
		}
		wantAnswer(t, raw(t, "GET "+htHealth+"?x=%2F//..%zz HTTP/1.1\r\nHost: "+pxCore+"\r\nConnection: close\r\n\r\n"), http.StatusOK, "")
	})
	t.Run("core's own refusals reach the client", func(t *testing.T) {
		for _, size := range []int{64<<10 + 1, 200 << 10} {
			for range 5 { // whoever of the two is faster
				a := raw(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s%s",
					codePath, pxCore, size, htStart, strings.Repeat(" ", size-len(htStart))))
				wantAnswer(t, a, http.StatusRequestEntityTooLarge, "request_entity_too_large")
			}
		}
		whole := p.ask(t, pxCore, "POST", codePath, htStart+strings.Repeat(" ", 64<<10-len(htStart)), "Content-Type", "application/json")
		wantAnswer(t, whole, http.StatusOK, "")
		a := p.ask(t, pxCore, "GET", htHealth, "", "X-Note", strings.Repeat("a", 17<<10))
		wantAnswer(t, a, http.StatusRequestHeaderFieldsTooLarge, "request_header_fields_too_large")
	})
	t.Run("the proxy's id of a request is core's", func(t *testing.T) {
		a := p.ask(t, pxCore, "GET", htHealth, "", "X-Request-Id", "chosen-by-a-stranger")
		id := a.Header.Get("X-Request-Id")
		if len(id) < 32 || id == "chosen-by-a-stranger" || !strings.Contains(s.Log.String(), `"request_id":"`+id+`"`) {
			t.Fatalf("%q", id)
		}
	})
}

// from is do from another address of this machine.
func (p *pxProxy) from(t testing.TB, address string, req *http.Request) *http.Response {
	t.Helper()
	dial := func(ctx context.Context, _, to string) (net.Conn, error) {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext(ctx, "tcp", p.address)
		if err != nil || p.tls == nil {
			return conn, err
		}
		cfg := p.tls.Clone()
		cfg.ServerName, _, _ = net.SplitHostPort(to)
		return tls.Client(conn, cfg), nil
	}
	client := &http.Client{Timeout: htPatience, Transport: &http.Transport{DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	tkReadAll(t, res)
	return res
}

// pxSmuggled are requests in which two readers could find the end of the message in
// different places. In each of them hidden stands where one of them looks for the next.
func pxSmuggled(hidden string) map[string]string {
	post := func(headers, body string) string {
		return "POST " + codePath + " HTTP/1.1\r\nHost: " + pxCore + "\r\nContent-Type: application/json\r\n" + headers + "\r\n\r\n" + body
	}
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(s), s) }
	length := func(n int) string { return fmt.Sprintf("Content-Length: %d", n) }
	const chunked = "Transfer-Encoding: chunked"
	end := "0\r\n\r\n"
	all := map[string]string{
		"the length holds the hidden one, the chunks end before it": post(length(len(end+hidden))+"\r\n"+chunked, end+hidden),
		"the chunks hold the hidden one, the length ends before it": post(length(4)+"\r\n"+chunked, chunk(hidden)),
		"the coding comes first":                                    post(chunked+"\r\n"+length(len(end+hidden)), end+hidden),
		"two lengths, the second shorter":                           post(length(len(hidden))+"\r\n"+length(0), hidden),
		"two lengths, the first shorter":                            post(length(0)+"\r\n"+length(len(hidden)), hidden),
		"a list of lengths":                                         post("Content-Length: 0, "+fmt.Sprint(len(hidden)), hidden),
		"a signed length":                                           post("Content-Length: +"+fmt.Sprint(len(hidden)), hidden),
		"a negative length":                                         post("Content-Length: -1", hidden),
		"a hexadecimal length":                                      post(fmt.Sprintf("Content-Length: 0x%x", len(hidden)), hidden),
		"a length with a blank inside":                              post("Content-Length: 4 4", hidden),
		"a length that overflows":                                   post("Content-Length: 18446744073709551616", hidden),
		"a space before the colon of the length":                    post("Content-Length : "+fmt.Sprint(len(hidden)), hidden),
		"a space before the colon of the coding":                    post(length(len(end+hidden))+"\r\nTransfer-Encoding : chunked", end+hidden),
		"a tab before the coding":                                   post(length(len(end+hidden))+"\r\nTransfer-Encoding:\tchunked", end+hidden),
		"a vertical tab before the coding":                          post(length(len(end+hidden))+"\r\nTransfer-Encoding: \vchunked", end+hidden),
		"an unknown coding":                                         post(length(len(end+hidden))+"\r\nTransfer-Encoding: xchunked", end+hidden),
		"two codings in one line":                                   post(length(len(end+hidden))+"\r\nTransfer-Encoding: identity, chunked", end+hidden),
		"chunked and then another coding":                           post(length(len(end+hidden))+"\r\nTransfer-Encoding: chunked, identity", end+hidden),
		"two lines of codings":                                      post(chunked+"\r\nTransfer-Encoding: identity\r\n"+length(len(end+hidden)), end+hidden),
		"a coding in quotes":                                        post(length(len(end+hidden))+"\r\nTransfer-Encoding: \"chunked\"", end+hidden),
		"a coding on a folded line":                                 post(length(len(end+hidden))+"\r\nTransfer-Encoding:\r\n chunked", end+hidden),
		"a length on a folded line":                                 post("Content-Length:\r\n "+fmt.Sprint(len(hidden)), hidden),
		"a coding behind a bare line feed":                          post(length(len(end+hidden))+"\r\nX-Note: a\nTransfer-Encoding: chunked", end+hidden),
		"a coding behind a bare carriage return":                    post(length(len(end+hidden))+"\r\nX-Note: a\rTransfer-Encoding: chunked", end+hidden),
		"a coding under a name with an underscore":                  post(length(len(end+hidden))+"\r\nTransfer_Encoding: chunked", end+hidden),
		"a line feed in a chunk's extension":                        post(chunked, "2;\n"+"xx\r\n"+chunk(hidden)),
		"a chunk's length with a sign":                              post(chunked, fmt.Sprintf("+%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)),
		"a chunk's length in hexadecimal notation":                  post(chunked, fmt.Sprintf("0x%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)),
		"a chunk that ends by line feeds alone":                     post(chunked, fmt.Sprintf("%x\n%s\n0\n\n", len(hidden), hidden)),
		"a chunk's length that overflows":                           post(chunked, "10000000000000000\r\n"+hidden),
		"the hidden one in the trailer":                             post(chunked, "0\r\nX-Note: "+hidden),
		"a length on a GET":                                         "GET " + htHealth + " HTTP/1.1\r\nHost: " + pxCore + "\r\n" + length(len(hidden)) + "\r\n\r\n" + hidden,
		"chunks on a GET":                                           "GET " + htHealth + " HTTP/1.1\r\nHost: " + pxCore + "\r\n" + chunked + "\r\n\r\n" + chunk(hidden),
		"both on a GET":                                             "GET " + htHealth + " HTTP/1.1\r\nHost: " + pxCore + "\r\n" + chunked + "\r\n" + length(4) + "\r\n\r\n" + chunk(hidden),
		"a body that core does not read":                            "POST /console/api/logout HTTP/1.1\r\nHost: " + pxCore + "\r\n" + length(len(hidden)) + "\r\n\r\n" + hidden,
		"a body beyond core's cap":                                  post(length(70_000+len(hidden)), htStart+strings.Repeat(" ", 70_000-len(htStart))+hidden),
		"chunks beyond core's cap":                                  post(chunked, fmt.Sprintf("%x\r\n%s\r\n%s", 70_000, strings.Repeat(" ", 70_000), chunk(hidden))),
		"HTTP/1.0 with a coding":                                    "POST " + codePath + " HTTP/1.0\r\nHost: " + pxCore + "\r\nConnection: keep-alive\r\n" + length(len(end+hidden)) + "\r\n" + chunked + "\r\n\r\n" + end + hidden,
		"a body that waits for permission":                          post("Expect: 100-continue\r\n"+length(len(hidden)), hidden),
		"a request line of the hidden one in a header":              post("X-Note: a\r\n "+strings.ReplaceAll(hidden, "\r\n", "\r\n ")+length(0), ""),
		"an upgrade that core does not take":                        "GET " + htHealth + " HTTP/1.1\r\nHost: " + pxCore + "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
		"a connection header that names the length":                 post("Connection: Content-Length, keep-alive\r\n"+length(len(hidden)), hidden),
		"a connection header that names the coding":                 post("Connection: Transfer-Encoding, keep-alive\r\n"+chunked, chunk(hidden)),
	}
	return all
}

// One request of a client is one request of core, or none.
func TestFramingBehindProxies(t *testing.T) {
	for _, kind := range pxKinds {
		t.Run("HTTP-01 HTTP-03 no second request comes out of one, behind "+kind, func(t *testing.T) {
			s := apitest.Start(t, unlimited(), apitest.Set("READ_TIMEOUT", "1s"))
			p := pxStart(t, kind, pxTargets{core: s.URL, inner: s.Inner, api: s.URL, key: faKey})
			before := 0
			for name, request := range pxSmuggled("GET " + htVersion + "?hidden HTTP/1.1\r\nHost: " + pxCore + "\r\n\r\n") {
				said := pxAll(t, p, request+"GET "+htHealth+" HTTP/1.1\r\nHost: "+pxCore+"\r\nConnection: close\r\n\r\n")
				// Whatever core was asked, the client reads the answer to: an answer that
				// nobody reads would be somebody else's.
				for range 3 {
					if a := p.ask(t, pxCore, "GET", htHealth, ""); a.Status != http.StatusOK || a.Body != `{"ok":true}` {
						t.Fatalf("%s: the next client reads %d %s", name, a.Status, a.Body)
					}
				}
				asked, answered := strings.Count(s.Log.String(), `"route":"`+htVersion+`"`)-before, strings.Count(said, `{"version":`)
				if asked != answered {
					t.Errorf("%s: core was asked %d times, the client reads %d answers:\n%s", name, asked, answered, said)
				}
				before += asked
			}
		})
	}
}

// pxAll sends bytes and gives everything that comes back until the proxy hangs up, or
// says nothing more because it waits for the rest of a body.
func pxAll(t testing.TB, p *pxProxy, request string) string {
	t.Helper()
	c := p.open(t, pxCore)
	go c.send(request)
	var all strings.Builder
	buffer := make([]byte, 4096)
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := c.in.Read(buffer)
		all.Write(buffer[:n])
		if err != nil {
			_ = c.conn.Close()
			if timeout, ok := errors.AsType[net.Error](err); !errors.Is(err, io.EOF) && (!ok || !timeout.Timeout()) && all.Len() == 0 {
				t.Logf("hung up without a word: %v", err)
			}
			return all.String()
		}
	}
}
