// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Certificate is the pair of files that a service shows its clients, read again when
// they change: what renews certificates replaces files and tells nobody.
type Certificate struct {
	certFile, keyFile string
	now               func() time.Time
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // of what follows; handshakes do not wait for it
	seen   [2]stamp   // the files at the last look
	failed error      // what that look found wrong, told at the next one
	warned time.Time  // of an end that is near
}

// PairError says which file of a pair does not fit, and never shows any of it.
type PairError struct {
	// Key is true for the private key's file.
	Key  bool
	Text string
}

// Error implements error.
func (e *PairError) Error() string {
	if e.Key {
		return "the private key's file " + e.Text
	}
	return "the certificate's file " + e.Text
}

const (
	// lookEvery is the time between two looks at the files.
	lookEvery = 2 * time.Second
	// soonOver is how long before its end a certificate is warned of, once a day.
	soonOver = 14 * 24 * time.Hour
)

// LoadCertificate reads the pair. It returns PairError. A pair that is over is no error
// at start, for no pair at all would serve nobody better.
func LoadCertificate(certFile, keyFile string, now func() time.Time, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, now: now, log: log}
	c.seen = c.stamps()
	pair, err := readPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	c.current.Store(pair)
	return c, nil
}

func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := os.ReadFile(certFile) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, &PairError{Text: "cannot be read: " + cause(err)}
	}
	key, err := os.ReadFile(keyFile) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, &PairError{Key: true, Text: "cannot be read: " + cause(err)}
	}
	if !hasPEM(cert, "CERTIFICATE") {
		return nil, &PairError{Text: "holds no certificate in PEM form"}
	}
	if !hasPEM(key, "PRIVATE KEY") {
		return nil, &PairError{Key: true, Text: "holds no private key in PEM form, or one that a password protects"}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		if _, parse := x509.ParseCertificate(firstBlock(cert)); parse != nil {
			return nil, &PairError{Text: "holds a certificate that cannot be parsed"}
		}
		return nil, &PairError{Key: true, Text: "does not hold the key of the certificate, which must come first in its file"}
	}
	if pair.Leaf == nil { // GODEBUG=x509keypairleaf=0
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, &PairError{Text: "holds a certificate that cannot be parsed"}
		}
	}
	return &pair, nil
}

// cause leaves out the path, which its reader knows.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// Leaf is the certificate that is shown at present.
func (c *Certificate) Leaf() *x509.Certificate { return c.current.Load().Leaf }

// Over reports whether the present certificate's time has passed or not begun.
func (c *Certificate) Over() bool { return over(c.Leaf(), c.now()) }

func over(leaf *x509.Certificate, now time.Time) bool {
	return now.After(leaf.NotAfter) || now.Before(leaf.NotBefore)
}

// Reload reads the files now. A pair that does not fit leaves the present one in use
// and is logged, and so is one whose time is over while that of the present one is not.
func (c *Certificate) Reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = c.stamps()
	c.failed = c.replace()
	c.tell()
}

// Watch looks at the files until ctx ends. Whoever replaces a pair replaces one file
// after the other, so what does not fit is told of only when a second look finds the
// same files.
func (c *Certificate) Watch(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	c.look()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.look()
		}
	}
}

func (c *Certificate) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.stamps(); now != c.seen {
		c.seen = now
		c.failed = c.replace()
	} else {
		c.tell()
	}
	left := c.Leaf().NotAfter.Sub(c.now())
	if left < soonOver && c.now().Sub(c.warned) >= 24*time.Hour {
		c.warned = c.now()
		c.log.Warn("the TLS certificate ends soon: renew it", slog.Time("not_after", c.Leaf().NotAfter), slog.Duration("left", left.Round(time.Minute)))
	}
}

// tell logs a failure once.
func (c *Certificate) tell() {
	if c.failed != nil {
		c.log.Error("the TLS certificate was not replaced: the former one stays in use", slog.String("error", c.failed.Error()))
		c.failed = nil
	}
}

func (c *Certificate) replace() error {
	pair, err := readPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	if over(pair.Leaf, c.now()) && !c.Over() {
		return &PairError{Text: fmt.Sprintf("holds a certificate of another time: it is good from %s to %s",
			pair.Leaf.NotBefore.UTC().Format(time.RFC3339), pair.Leaf.NotAfter.UTC().Format(time.RFC3339))}
	}
	before := c.current.Swap(pair)
	if string(before.Certificate[0]) != string(pair.Certificate[0]) {
		c.warned = time.Time{}
		c.log.Info("a new TLS certificate is in use", slog.Time("not_after", pair.Leaf.NotAfter), slog.String("serial", pair.Leaf.SerialNumber.Text(16)))
	}
	return nil
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
	missing  bool
}

func (c *Certificate) stamps() (s [2]stamp) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			s[i].missing = true
			continue
		}
		s[i].modified, s[i].size = info.ModTime(), info.Size()
	}
	return s
}
