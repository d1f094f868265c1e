// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// TLS reports whether both listeners serve https.
func (s *Settings) TLS() bool { return s.TLSCertFile != "" }

// judgeTLS looks at what the settings say and not at the files: commands, which serve
// nothing, run as people who may not read the key.
func (s *Settings) judgeTLS(problems *config.Problems) {
	switch {
	case s.TLSCertFile != "" && s.TLSKeyFile == "":
		problems.Add("TLS_KEY_FILE", "is required with TLS_CERT_FILE")
	case s.TLSCertFile == "" && s.TLSKeyFile != "":
		problems.Add("TLS_CERT_FILE", "is required with TLS_KEY_FILE")
	case s.TLS() && s.Public != nil && s.Public.Scheme != "https":
		problems.Add("CONSOLE_API_URL", "must be https with TLS_CERT_FILE: nobody is served plain http then")
	}
}

// Certificate reads the pair that the settings name; nil where they name none. It
// returns config.Problems, and adds a warning of a pair that serves nobody well.
func (s *Settings) Certificate(now func() time.Time, log *slog.Logger) (*server.Certificate, error) {
	if !s.TLS() {
		return nil, nil //nolint:nilnil // the settings name none
	}
	cert, err := server.LoadCertificate(s.TLSCertFile, s.TLSKeyFile, now, log)
	var wrong *server.PairError
	if errors.As(err, &wrong) {
		var problems config.Problems
		if wrong.Key {
			problems.Add("TLS_KEY_FILE", "%s", wrong.Text)
		} else {
			problems.Add("TLS_CERT_FILE", "%s", wrong.Text)
		}
		return nil, problems
	}
	if err != nil {
		return nil, err
	}
	leaf := cert.Leaf()
	if cert.Over() {
		s.Warnings = append(s.Warnings, fmt.Sprintf("TLS_CERT_FILE holds a certificate that is good from %s to %s, and not now: clients will refuse it",
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
	if leaf.VerifyHostname(s.Public.Hostname()) != nil && len(s.TrustedProxies) == 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("TLS_CERT_FILE holds no certificate for %s, the host of CONSOLE_API_URL: clients will refuse it", s.Public.Hostname()))
	}
	if info, err := os.Stat(s.TLSKeyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("TLS_KEY_FILE can be read by everybody on this machine (mode %04o): chmod 640 keeps others out", info.Mode().Perm()))
	}
	return cert, nil
}

// secured gives the listeners as they are served. Settings that name a certificate are
// never served in clear, whoever has built the App.
func (a *App) secured(l *Listeners) (public, inner net.Listener, err error) {
	cert, most := a.opts.Certificate, a.Settings.MaxConnections
	switch {
	case cert != nil:
		return server.BoundedTLS(a.public, l.Public, most, cert), cert.Listener(l.Inner), nil
	case a.Settings.TLS():
		return nil, nil, errors.New("app: the settings name a certificate and the options have none")
	}
	return server.Bounded(a.public, l.Public, most), l.Inner, nil
}
