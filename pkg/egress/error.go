// SPDX-License-Identifier: Apache-2.0

package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
)

// Phase is where a call ended.
type Phase string

// The phases.
const (
	DNS         Phase = "dns"
	Refused     Phase = "refused" // by this guard
	Connect     Phase = "connect" // or the connection broke
	TLS         Phase = "tls"
	Timeout     Phase = "timeout"
	TooLarge    Phase = "too_large"
	Encoding    Phase = "encoding"
	Redirect    Phase = "redirect"
	ContentType Phase = "content_type"
	Protocol    Phase = "protocol" // the peer wants to speak another
	Open        Phase = "circuit"  // the circuit was open, nothing was called
)

// Error is every failure of a call. It carries no address but the host, no part of an
// answer and nothing that was sent.
type Error struct {
	Phase  Phase
	Host   string
	Status int // 0 before there was an answer
	cause  error
}

// Error gives phase, host and cause, for the log.
func (e *Error) Error() string {
	text := "egress: " + string(e.Phase) + ": " + e.Host
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Silent reports whether the peer did not answer at all, as against an answer that is
// not acceptable.
func (e *Error) Silent() bool {
	switch e.Phase {
	case DNS, Refused, Connect, TLS, Timeout:
		return true
	}
	return false
}

// phased marks a cause with its phase on its way through net/http.
type phased struct {
	phase Phase
	cause error
}

func (p *phased) Error() string { return p.cause.Error() }
func (p *phased) Unwrap() error { return p.cause }

// classify gives the typed error of a call. An error of net/http repeats the address
// with its query, so only what lies inside it is kept.
func classify(host string, err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	e := &Error{Phase: Connect, Host: host, cause: err}
	var (
		mark    *phased
		invalid *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		record  tls.RecordHeaderError
		op      *net.OpError
		network net.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.Phase = Timeout
	case errors.As(err, &mark):
		e.Phase = mark.phase
	case errors.As(err, &invalid), errors.As(err, &unknown), errors.As(err, &record),
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"): // an alert of TLS
		e.Phase = TLS
	case errors.As(err, &network) && network.Timeout():
		e.Phase = Timeout
	}
	return e
}
