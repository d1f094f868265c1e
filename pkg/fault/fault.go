// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"time"
)

// Kind classifies a failure. The zero value is Internal, so that whatever
// nobody classified is answered with a fixed text.
type Kind uint8

// The kinds, each with the HTTP status that pkg/server gives it.
const (
	Internal            Kind = iota // 500
	Invalid                         // 400
	Unauthenticated                 // 401
	Forbidden                       // 403
	NotFound                        // 404
	MethodNotAllowed                // 405
	Conflict                        // 409
	TooLarge                        // 413
	UnsupportedMedia                // 415
	Unprocessable                   // 422
	TooMany                         // 429
	HeaderTooLarge                  // 431
	Unavailable                     // 503
	Precondition                    // 412
	PreconditionMissing             // 428
	NotImplemented                  // 501
	BadGateway                      // 502
	GatewayTimeout                  // 504
)

// Error is a failure that callers compare with errors.Is and that transports
// render. A sentinel is immutable; Detailed, Hinted and Retry return copies that
// still match it.
type Error struct {
	kind    Kind
	code    string
	text    string
	verdict bool

	hint    string
	details []Detail
	retry   time.Duration
	cause   error
	root    *Error // the sentinel this one was copied from
}

// Detail names one refused input: Type is a stable word (missing, too_long …),
// Loc the path to the field, Msg a sentence. None of them carries the refused
// value.
type Detail struct {
	Type string `json:"type" doc:"a stable word, such as missing"`
	Loc  []any  `json:"loc" doc:"the path to the input: names and indexes"`
	Msg  string `json:"msg"`
}

// New declares a sentinel: code is the stable reason on the wire, text a sentence
// for people that never carries a value.
func New(kind Kind, code, text string) *Error {
	return &Error{kind: kind, code: code, text: text}
}

// Verdict declares an answer of the OAuth protocol itself (RFC 6749 section 5.2,
// RFC 8628 section 3.5), whose body is exactly {"error": code}.
func Verdict(kind Kind, code string) *Error {
	return &Error{kind: kind, code: code, text: code, verdict: true}
}

// Error gives the code and, for the log alone, the cause.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.code + ": " + e.cause.Error()
	}
	return e.code
}

// Unwrap gives the cause that Because recorded.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is this error's sentinel.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && e.sentinel() == t.sentinel()
}

func (e *Error) sentinel() *Error {
	if e.root != nil {
		return e.root
	}
	return e
}

func (e *Error) copy() *Error {
	c := *e
	c.root = e.sentinel()
	return &c
}

// Because returns the sentinel with a cause for the log; the cause never reaches
// a body.
func (e *Error) Because(cause error) *Error {
	c := e.copy()
	c.cause = cause
	return c
}

// Detailed returns the failure with one entry per refused field.
func (e *Error) Detailed(details ...Detail) *Error {
	c := e.copy()
	c.details = details
	return c
}

// Hinted returns the failure with a sentence on what to do instead.
func (e *Error) Hinted(hint string) *Error {
	c := e.copy()
	c.hint = hint
	return c
}

// Saying returns the failure with another sentence for people: one that somebody else
// wrote and the caller has judged.
func (e *Error) Saying(text string) *Error {
	c := e.copy()
	c.text = text
	return c
}

// RetryAfter returns the failure with the time after which a repeat makes sense.
// Transports round it up to whole seconds, at least one.
func (e *Error) RetryAfter(d time.Duration) *Error {
	c := e.copy()
	c.retry = d
	return c
}

// Kind is the failure's class.
func (e *Error) Kind() Kind { return e.kind }

// Code is the stable reason on the wire.
func (e *Error) Code() string { return e.code }

// Text is the sentence for people.
func (e *Error) Text() string { return e.text }

// IsVerdict reports whether this is an answer of the OAuth protocol.
func (e *Error) IsVerdict() bool { return e.verdict }

// Hint is the sentence on what to do instead, empty when there is none.
func (e *Error) Hint() string { return e.hint }

// Details lists the refused fields.
func (e *Error) Details() []Detail { return e.details }

// Retry is the time after which a repeat makes sense, zero when unsaid.
func (e *Error) Retry() time.Duration { return e.retry }

// Of finds the failure in err's chain. What carries none is internal_server_error
// with err as its cause.
func Of(err error) *Error {
	if f, ok := errors.AsType[*Error](err); ok {
		return f
	}
	return ErrInternal.Because(err)
}

// Failures that belong to no domain.
var (
	// ErrInternal is everything unclassified.
	ErrInternal = New(Internal, "internal_server_error", "Something went wrong on our side.")
	// ErrUnavailable is a store that cannot be asked; it is never a verdict about
	// a credential. Callers may repeat after two seconds.
	ErrUnavailable = New(Unavailable, "service_unavailable", "The service cannot answer right now. Try again shortly.").RetryAfter(2 * time.Second)
)

// Store wraps a store's failure. An err that is classified already comes
// back unchanged, so that a sentinel is not hidden by a second wrapping.
func Store(err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Error](err); ok && f != nil {
		return err
	}
	return ErrUnavailable.Because(err)
}
