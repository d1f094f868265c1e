// SPDX-License-Identifier: Apache-2.0

package deviceauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// What can go wrong, for errors.Is.
var (
	// ErrPending says that nobody has decided yet (RFC 8628 §3.5). Token alone returns it.
	ErrPending = errors.New("nobody has decided yet")
	// ErrSlowDown says that the poll came too early; the authorization's Interval has
	// grown by 5 s (RFC 8628 §3.5). Token alone returns it.
	ErrSlowDown = errors.New("the poll came too early")
	// ErrAccessDenied says that the person refused, or may not have a token.
	ErrAccessDenied = errors.New("the sign-in was refused")
	// ErrExpired says that the code ended before anybody allowed it.
	ErrExpired = errors.New("the code has ended")
	// ErrForgotten says that the server ended the code well before its time. It comes
	// beside ErrExpired.
	ErrForgotten = errors.New("the server has lost the code")
	// ErrDisabled says that whoever runs the server has switched sign-in by token off.
	ErrDisabled = errors.New("the server has sign-in by token switched off")
	// ErrUnsupportedClient says that the server does not know the ClientID.
	ErrUnsupportedClient = errors.New("the server does not know this client")
	// ErrUnauthorized says that the server does not accept the token: it has run out, was
	// ended, or never was.
	ErrUnauthorized = errors.New("the server does not accept the token")
	// ErrRateLimited says that the server has had too many requests; Error.RetryAfter says
	// when one will pass.
	ErrRateLimited = errors.New("too many requests")
	// ErrUnavailable says that the server cannot serve the request for the moment.
	ErrUnavailable = errors.New("the server is not available")
	// ErrUnreachable says that no answer came: refused, cut, timed out.
	ErrUnreachable = errors.New("the server does not answer")
	// ErrBadAnswer says that the answer is none of this protocol: a redirect, a web page,
	// a member missing, too large.
	ErrBadAnswer = errors.New("the answer is not that of a device authorization server")
	// ErrHost says that Client.Host is no origin.
	ErrHost = errors.New("the host must be an origin such as https://sso.example.com")
	// ErrInsecureHost says that Client.Host is plain http and not loopback, and that
	// AllowHTTP is not set.
	ErrInsecureHost = errors.New("the host is reached without encryption")
	// ErrOtherHost says that a request with a token was meant for another server.
	ErrOtherHost = errors.New("a token is sent to its own server alone")
)

// Error is a failure of one request. Its texts are made printable and short, for they
// come from the server.
type Error struct {
	Status     int           // HTTP status; 0 when no answer came
	Code       string        // the server's word for it, such as invalid_grant; may be empty
	Message    string        // the server's sentence; may be empty
	RetryAfter time.Duration // what the server asks to wait; 0 when it asks nothing
	Err        error         // a sentinel of this package, around the cause where there is one; may be nil
}

// Error gives one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("deviceauth: ")
	if e.Err != nil {
		b.WriteString(e.Err.Error())
	} else {
		b.WriteString("the server refuses")
	}
	if said := e.Said(); said != "" {
		fmt.Fprintf(&b, " (%s)", said)
	}
	return b.String()
}

// Said gives status, code and message as far as the server sent them.
func (e *Error) Said() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, strconv.Itoa(e.Status))
	}
	if e.Code != "" {
		parts = append(parts, e.Code)
	}
	said := strings.Join(parts, " ")
	if e.Message != "" {
		said += ": " + e.Message
	}
	return strings.TrimPrefix(said, ": ")
}

// Unwrap gives the sentinel.
func (e *Error) Unwrap() error { return e.Err }

// verdicts are the protocol's words (RFC 8628 §3.5, RFC 6749 §5.2) that have a sentinel.
var verdicts = map[string]error{
	"authorization_pending": ErrPending,
	"slow_down":             ErrSlowDown,
	"access_denied":         ErrAccessDenied,
	"expired_token":         ErrExpired,
	"unsupported_client":    ErrUnsupportedClient,
	"unauthorized_client":   ErrUnsupportedClient,
	"invalid_client":        ErrUnsupportedClient,
}

// ReadError gives the *Error of an answer that is not 2xx, for programs that call the
// server's API through Authorized. It reads at most 1 MiB of the body.
func ReadError(res *http.Response) error {
	if res.StatusCode < http.StatusOK {
		return badAnswer(res.StatusCode, "it changes to another protocol")
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return errorOf(res.StatusCode, res.Header, body)
}

func errorOf(status int, header http.Header, body []byte) *Error {
	// Members are decoded one by one: a proxy's "message" of another type must not hide
	// the word that counts.
	var members map[string]json.RawMessage
	_ = json.Unmarshal(body, &members)
	text := func(name string) (s string) {
		_ = json.Unmarshal(members[name], &s)
		return s
	}
	e := &Error{Status: status, Code: word(text("error")), Message: text("error_description"), RetryAfter: retryAfter(header)}
	if code := word(text("code")); code != "" {
		e.Code = code
	}
	if e.Message == "" {
		e.Message = text("message")
		var details []struct {
			Msg string `json:"msg"`
			Loc []any  `json:"loc"`
		}
		_ = json.Unmarshal(members["details"], &details)
		for i, d := range details {
			if d.Msg != "" && i < 3 {
				e.Message = strings.TrimSuffix(e.Message, ".") + "; " + strings.Join(append(places(d.Loc), d.Msg), " ")
			}
		}
	}
	e.Message = printable(e.Message)
	switch {
	case status == http.StatusServiceUnavailable && e.Code == "bearer_auth_disabled":
		e.Err = ErrDisabled // a setting, which no waiting changes
	// A broken server is never a verdict, whatever its body says.
	case status >= 500 && status != http.StatusNotImplemented, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		e.Err = ErrUnavailable
	case status == http.StatusTooManyRequests:
		e.Err = ErrRateLimited
	case verdicts[word(text("error"))] != nil:
		e.Err = verdicts[word(text("error"))]
	case status == http.StatusUnauthorized:
		e.Err = ErrUnauthorized
	case members == nil, status < 400:
		e.Err = ErrBadAnswer
	}
	return e
}

func places(loc []any) (names []string) {
	for _, l := range loc {
		names = append(names, fmt.Sprint(l))
	}
	return names
}

// badAnswer is an answer that cannot be used.
func badAnswer(status int, format string, args ...any) *Error {
	return &Error{Status: status, Err: fmt.Errorf("%w: %s", ErrBadAnswer, fmt.Sprintf(format, args...))}
}

// word keeps a code only if it looks like one.
func word(s string) string {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.' {
			return ""
		}
	}
	return s[:min(len(s), 64)]
}

// printable makes a server's text harmless in a terminal, on one line and short.
func printable(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > 300 {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// retryAfter reads seconds or an HTTP date (RFC 9110 §10.2.3). A day is the most it
// gives.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	const most = 24 * time.Hour
	if at, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(at), 0), most)
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, most)
}
