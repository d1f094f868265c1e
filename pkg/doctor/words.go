// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

// network words a failed connection without an address, a user or anything that the other
// side has said: an error of a driver holds all three. Empty: it is of no known kind.
func network(err error) string {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &host):
		return "its certificate is for another host"
	case errors.As(err, &unknown):
		return "its certificate is of an authority that is not trusted here"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate is not good at this time"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS"
	case errors.As(err, &alert):
		return "the TLS handshake is refused"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the name is not known"
	case errors.As(err, &dns):
		return "the name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to it"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "it does not answer in time"
	}
	return ""
}
