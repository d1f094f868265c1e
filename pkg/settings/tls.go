// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// TLS is the pair of files that both listeners show.
type TLS struct {
	CertFile, KeyFile string
	// PublicKey names the setting of the public address, Public is that address.
	PublicKey string
	Public    *url.URL
}

// On reports whether both listeners serve https.
func (t TLS) On() bool { return t.CertFile != "" }

// Judge looks at what the settings say and not at the files: commands, which serve
// nothing, run as people who may not read the key.
func (t TLS) Judge(problems *config.Problems) {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		problems.Add("TLS_KEY_FILE", "is required with TLS_CERT_FILE")
	case t.CertFile == "" && t.KeyFile != "":
		problems.Add("TLS_CERT_FILE", "is required with TLS_KEY_FILE")
	case t.On() && t.Public != nil && t.Public.Scheme != "https":
		problems.Add(t.PublicKey, "must be https with TLS_CERT_FILE: nobody is served plain http then")
	}
}

// Load reads the pair; nil where there is none. It returns config.Problems, and warnings
// of a pair that serves nobody well. behind says that proxies stand before the listener,
// whose certificate clients then see.
func (t TLS) Load(now func() time.Time, log *slog.Logger, behind bool) (cert *server.Certificate, warnings []string, err error) {
	if !t.On() {
		return nil, nil, nil
	}
	cert, err = server.LoadCertificate(t.CertFile, t.KeyFile, now, log)
	var wrong *server.PairError
	if errors.As(err, &wrong) {
		key := "TLS_CERT_FILE"
		if wrong.Key {
			key = "TLS_KEY_FILE"
		}
		var problems config.Problems
		problems.Add(key, "%s", wrong.Text)
		return nil, nil, problems
	}
	if err != nil {
		return nil, nil, err
	}
	leaf := cert.Leaf()
	if cert.Over() {
		warnings = append(warnings, fmt.Sprintf("TLS_CERT_FILE holds a certificate that is good from %s to %s, and not now: clients will refuse it",
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
	if leaf.VerifyHostname(t.Public.Hostname()) != nil && !behind {
		warnings = append(warnings, fmt.Sprintf("TLS_CERT_FILE holds no certificate for %s, the host of %s: clients will refuse it", t.Public.Hostname(), t.PublicKey))
	}
	if info, err := os.Stat(t.KeyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
		warnings = append(warnings, fmt.Sprintf("TLS_KEY_FILE can be read by everybody on this machine (mode %04o): chmod 640 keeps others out", info.Mode().Perm()))
	}
	return cert, warnings, nil
}
