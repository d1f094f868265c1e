// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

// proxyRefused is a proxy's answer to CONNECT that is not 200.
type proxyRefused struct{ status int }

func (e proxyRefused) Error() string {
	return fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
}

// network finds the words for a connection that did not come about.
func (c *command) network(err error) (code, text string, ok bool) {
	var proxy proxyRefused
	var op *net.OpError
	var name *net.DNSError
	var alert tls.AlertError
	var refusal net.Error
	say := func(code, format string, args ...any) (string, string, bool) {
		return code, fmt.Sprintf(format, args...), true
	}
	switch {
	case errors.As(err, &proxy) && proxy.status == http.StatusProxyAuthRequired:
		return say("proxy", "the proxy on the way to %s wants a name and a password: put them into HTTPS_PROXY, or %s into NO_PROXY", c.at, c.name())
	case errors.As(err, &proxy):
		return say("proxy", "the proxy on the way to %s refuses (%v): check HTTPS_PROXY, or put %s into NO_PROXY", c.at, proxy, c.name())
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return say("proxy", "the proxy on the way to %s cannot be reached (%s): check HTTPS_PROXY, or put %s into NO_PROXY", c.at, plain(op.Err.Error()), c.name())
	}
	if code, text, ok := c.certificate(err); ok {
		return code, text, true
	}
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return say("unreachable", "%s does not speak https: check the port, or write http:// if the server runs on this machine", c.at)
	case errors.As(err, &alert):
		return say("tls", "%s refuses the encrypted connection (%s): ask who runs it which versions of TLS it takes", c.at, plain(alert.Error()))
	case !errors.Is(err, deviceauth.ErrUnreachable):
		return "", "", false
	case errors.As(err, &name) && name.IsNotFound:
		return say("unreachable", "no server is known by the name %s: check the address for a slip, and your network or VPN", c.name())
	case errors.As(err, &name):
		return say("unreachable", "the name %s could not be looked up (%s): check your network, then try again", c.name(), plain(name.Err))
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("unreachable", "nothing answers at %s (connection refused): check the address and port, and that the server is started", c.at)
	case errors.As(err, &refusal) && refusal.Timeout():
		return say("unreachable", "%s does not answer in time: check the address and your network, then try again", c.at)
	}
	return say("unreachable", "%s does not answer%s: check the address and your network, then try again", c.at, after(err, deviceauth.ErrUnreachable))
}

// certificate finds the words for a certificate that crypto/x509 refuses.
func (c *command) certificate(err error) (code, text string, ok bool) {
	var refused *tls.CertificateVerificationError
	if !errors.As(err, &refused) {
		return "", "", false
	}
	var wrong x509.HostnameError
	var invalid x509.CertificateInvalidError
	say := func(format string, args ...any) (string, string, bool) {
		return "certificate", fmt.Sprintf(format, args...), true
	}
	const day = "2006-01-02 15:04 UTC"
	switch {
	case errors.As(err, &wrong):
		return say("the certificate of %s is for %s: check the address", c.at, plain(names(wrong.Certificate)))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		now, cert := time.Now().UTC(), invalid.Cert
		if now.Before(cert.NotBefore) {
			return say("the certificate of %s begins only at %s, and the clock of this machine says %s: set the clock right", c.at, cert.NotBefore.UTC().Format(day), now.Format(day))
		}
		return say("the certificate of %s ended at %s, and the clock of this machine says %s: set the clock right, or ask who runs the server to renew it", c.at, cert.NotAfter.UTC().Format(day), now.Format(day))
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return say("the certificate of %s is signed by an authority that this machine does not know: check the address, or install that authority's certificate here", c.at)
	}
	return say("the certificate of %s is not trusted (%s): check the address, or ask who runs the server for another one", c.at, plain(refused.Err.Error()))
}

// names lists for what a certificate is.
func names(cert *x509.Certificate) string {
	all := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no name at all"
	}
	if len(all) > 3 {
		all = append(all[:3], "others")
	}
	return strings.Join(all, ", ")
}

// name is the host of the server without scheme and port.
func (c *command) name() string {
	if u, err := url.Parse(c.at); err == nil {
		return u.Hostname()
	}
	return c.at
}

// unwritable is a folder in which nothing can be stored.
type unwritable struct {
	dir string
	err error
}

func (e unwritable) Error() string { return "nothing can be stored in " + e.dir + ": " + e.err.Error() }
func (e unwritable) Unwrap() error { return e.err }

// disk finds the words for a folder that takes nothing, or gives nothing.
func disk(err error) (code, text string, ok bool) {
	var u unwritable
	var path *os.PathError
	place := ""
	switch {
	case errors.As(err, &u):
		place = u.dir
	case errors.As(err, &path):
		place = path.Path
	default:
		return "", "", false
	}
	say := func(format string, args ...any) (string, string, bool) {
		return "not_stored", fmt.Sprintf(format, args...), true
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return say("the disk that %s is on is full: make room, or set DIFYAUTH_CONFIG_DIR to a folder elsewhere", place)
	case errors.Is(err, syscall.EROFS):
		return say("%s is on a disk that cannot be written to: set DIFYAUTH_CONFIG_DIR to a folder elsewhere", place)
	case errors.Is(err, os.ErrPermission):
		return say("%s may not be used by you: make it yours (chown), or set DIFYAUTH_CONFIG_DIR to a folder of your own", place)
	}
	reason := err
	if u.err != nil {
		reason = u.err
	}
	return say("%s cannot be used (%s): set DIFYAUTH_CONFIG_DIR to a folder of your own", place, plain(reason.Error()))
}
