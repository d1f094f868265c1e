// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"errors"
	"net/url"
	"unicode"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

// Code is the cause of a refusal, for administrators.
type Code string

// maxShown bounds expected and got, in characters.
const maxShown = 200

// Error is a refusal. It carries nothing of a person: expected and got are addresses,
// issuers, audiences, algorithms, formats and times alone; facts are the fields that the
// catalogue names for the code, as short texts.
type Error struct {
	Code     Code
	Public   ssocode.Code
	Expected string
	Got      string
	Facts    map[string]string
	cause    error // for the log alone
}

// New refuses with a code of the catalogue; one that is not in it is Internal.
func New(code Code) *Error {
	e, ok := catalogue[code]
	if !ok {
		return &Error{Code: Internal, Public: catalogue[Internal].Public, cause: errors.New("failure: no code is named " + string(code))}
	}
	return &Error{Code: code, Public: e.Public}
}

// Because notes the cause for the log; it reaches no page and no trace.
func (e *Error) Because(cause error) *Error { c := *e; c.cause = cause; return &c }

// Showing notes what was expected and what came, each cut to 200 printable characters.
func (e *Error) Showing(expected, got string) *Error {
	c := *e
	c.Expected, c.Got = printable(expected), printable(got)
	return &c
}

// With notes one fact of the catalogue's fields.
func (e *Error) With(field, value string) *Error {
	c := *e
	c.Facts = make(map[string]string, len(e.Facts)+1)
	for k, v := range e.Facts {
		c.Facts[k] = v
	}
	c.Facts[field] = printable(value)
	return &c
}

// Publicly changes the public code, for the codes that have two.
func (e *Error) Publicly(public ssocode.Code) *Error { c := *e; c.Public = public; return &c }

// HostOf gives the host of an address, which is all that a fact says of one: its path and
// query may hold a secret. It is empty for what is no address.
func HostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Error implements error, for the log.
func (e *Error) Error() string {
	if e.cause != nil {
		return string(e.Code) + ": " + e.cause.Error()
	}
	return string(e.Code)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target has the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Of gives the refusal of an error: itself, or Internal for one that nobody classified.
func Of(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return New(Internal).Because(err)
}

// printable bounds a foreign text and takes what would confuse a reader out of it.
func printable(s string) string {
	out := make([]rune, 0, maxShown)
	for _, r := range s {
		if len(out) == maxShown {
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
