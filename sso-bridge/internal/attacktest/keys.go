// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"math/rand/v2"
	"sync"
	"time"
)

// Key signs, and has the certificate that names it.
type Key struct {
	Signer      crypto.Signer
	Certificate *x509.Certificate
}

// Base64 is the certificate as KeyInfo carries it.
func (k Key) Base64() string { return base64.StdEncoding.EncodeToString(k.Certificate.Raw) }

// Now is the moment at which every login of this package happens.
var Now = time.Date(2026, 3, 10, 9, 30, 0, 0, time.UTC)

// The keys are made once, when they are first asked for, from their names: a fuzzer's
// workers and the inputs that it keeps need the same ones in every process. Everybody
// knows them, so nothing but tests may trust them.
var (
	// Provider is the key that the connection knows, Other one that it may know besides.
	Provider = key("provider", rsaKey(2048), Now.AddDate(1, 0, 0))
	Other    = key("other", rsaKey(2048), Now.AddDate(1, 0, 0))
	// Stranger is the key of an attacker.
	Stranger = key("stranger", rsaKey(2048), Now.AddDate(1, 0, 0))
	// Short has 1024 bits.
	Short = key("short", rsaKey(1024), Now.AddDate(1, 0, 0))
	// P256 and P384 are of elliptic curves, P224 is of one too short.
	P224 = key("p224", ecKey(elliptic.P224()), Now.AddDate(1, 0, 0))
	P256 = key("p256", ecKey(elliptic.P256()), Now.AddDate(1, 0, 0))
	P384 = key("p384", ecKey(elliptic.P384()), Now.AddDate(1, 0, 0))
	// Expired has the signer of Provider and a certificate that was over an hour ago.
	Expired = key("expired", func(string) crypto.Signer { return Provider().Signer }, Now.Add(-time.Hour))
)

// rsaKey draws primes: the standard library lets nobody choose its randomness.
func rsaKey(bits int) func(string) crypto.Signer {
	return func(name string) crypto.Signer {
		stream := rand.NewChaCha8(sha256.Sum256([]byte(name)))
		prime := func() *big.Int {
			raw := make([]byte, bits/16)
			_, _ = stream.Read(raw)
			raw[0] |= 0xC0 // both of them so long that their product has all bits
			raw[len(raw)-1] |= 1
			p := new(big.Int).SetBytes(raw)
			for one := big.NewInt(1); ; p.Add(p, big.NewInt(2)) {
				if p.ProbablyPrime(10) && new(big.Int).GCD(nil, nil, new(big.Int).Sub(p, one), big.NewInt(exponent)).Cmp(one) == 0 {
					return p
				}
			}
		}
		p, q := prime(), prime()
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		k := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
			D:         new(big.Int).ModInverse(big.NewInt(exponent), phi), Primes: []*big.Int{p, q},
		}
		k.Precompute()
		if err := k.Validate(); err != nil {
			panic(err)
		}
		return k
	}
}

const exponent = 65537

func ecKey(c elliptic.Curve) func(string) crypto.Signer {
	return func(name string) crypto.Signer {
		raw := make([]byte, (c.Params().BitSize+7)/8)
		_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(raw)
		raw[0] &= 0x7F // below the order of the curve
		return must(ecdsa.ParseRawPrivateKey(c, raw))
	}
}

func key(name string, signer func(name string) crypto.Signer, until time.Time) func() Key {
	return sync.OnceValue(func() Key {
		s := signer(name)
		template := &x509.Certificate{
			SerialNumber: new(big.Int).SetBytes([]byte(name)), Subject: pkix.Name{CommonName: "idp.example"},
			NotBefore: Now.AddDate(-2, 0, 0), NotAfter: until,
		}
		// Without randomness a signer of either kind makes one signature (RFC 6979).
		raw := must(x509.CreateCertificate(nil, template, template, s.Public(), s))
		return Key{Signer: s, Certificate: must(x509.ParseCertificate(raw))}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
