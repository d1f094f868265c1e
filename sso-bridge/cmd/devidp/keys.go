// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"time"
)

const certificateLife = 3 * 365 * 24 * time.Hour

// pair gives the key that everything is signed with and a certificate of it. A service
// remembers the certificate of its provider, so a file keeps both across restarts.
func pair(file string, now time.Time) (*rsa.PrivateKey, []byte, error) {
	if file == "" {
		return newPair(now)
	}
	content, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if err == nil {
		return readPair(file, content)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	key, certificate, err := newPair(now)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	content = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})...)
	return key, certificate, os.WriteFile(file, content, 0o600)
}

func newPair(now time.Time) (*rsa.PrivateKey, []byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "devidp"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return key, certificate, err
}

func readPair(file string, content []byte) (*rsa.PrivateKey, []byte, error) {
	first, rest := pem.Decode(content)
	second, _ := pem.Decode(rest)
	if first == nil || second == nil {
		return nil, nil, fmt.Errorf("%s holds no key and certificate as PEM; remove it and a pair is made", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(first.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s holds no RSA key", file)
	}
	return key, second.Bytes, nil
}
