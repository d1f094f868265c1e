// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"time"
)

// lifeWarn is how long before its end a certificate is warned of: what renews itself does
// so a month ahead, so that it has failed for two weeks by then.
const lifeWarn = 14 * 24 * time.Hour

const day = 24 * time.Hour

func judgeEnd(f *finds, id, which string, c *x509.Certificate, now time.Time) {
	end := c.NotAfter.UTC().Format(time.DateOnly)
	switch left := c.NotAfter.Sub(now); {
	case left <= 0:
		f.fail(id, "Replace it.", "%s ended on %s.", which, end)
	case now.Before(c.NotBefore):
		f.fail(id, "See the clock of this machine.", "%s begins on %s only.", which, c.NotBefore.UTC().Format(time.DateOnly))
	case left < lifeWarn:
		f.warn(id, "Renew it, and see why nothing has renewed it.", "%s ends in %d days, on %s.", which, int(left/day), end)
	default:
		f.ok(id, "%s is good for %d days.", which, int(left/day))
	}
}

// JudgeOwn judges the certificate that the service shows itself; nil is none.
func JudgeOwn(leaf *x509.Certificate, err error, now time.Time) []Finding {
	var f finds
	switch {
	case err != nil:
		f.fail(CertificateOwn, "See both files: PEM, a pair, and readable by this user.", "The certificate of TLS_CERT_FILE and TLS_KEY_FILE cannot be used: %s", err)
	case leaf == nil:
		f.skip(CertificateOwn, "TLS_CERT_FILE is not set: whatever is in front of the service ends TLS.")
	default:
		judgeEnd(&f, CertificateOwn, "The certificate of TLS_CERT_FILE", leaf, now)
	}
	return f
}

// JudgeRoots judges the files of roots, by setting. An empty path is none.
func JudgeRoots(files map[string]string, now time.Time) []Finding {
	var f finds
	for _, setting := range sorted(files) {
		path := files[setting]
		if path == "" {
			continue
		}
		content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			f.fail(CertificateRoots, "See the path, and that this user may read it.", "The file of %s cannot be read.", setting)
			continue
		}
		var last *x509.Certificate // one that is good is enough
		for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
			if c, err := x509.ParseCertificate(block.Bytes); err == nil && (last == nil || c.NotAfter.After(last.NotAfter)) {
				last = c
			}
		}
		if last == nil {
			f.fail(CertificateRoots, "Put a PEM certificate in it.", "The file of %s holds no certificate.", setting)
			continue
		}
		judgeEnd(&f, CertificateRoots, "The root of "+setting, last, now)
	}
	if len(f) == 0 {
		f.skip(CertificateRoots, "No setting names a file of roots.")
	}
	return f
}
