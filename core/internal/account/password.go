// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// MaxPassword is the longest password in characters.
const MaxPassword = 128

// The cost of one hash: 19 MiB, two passes, one lane (RFC 9106 and OWASP's
// minimum for argon2id), about 20 ms.
const (
	argonMemory  = 19 * 1024
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// dummyHash is verified for an unknown e-mail, so that its refusal does the same
// work as that of a wrong password. It is a constant: nothing is hashed at start.
const dummyHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// ErrBusy is returned when more passwords wait to be hashed than the queue holds.
var ErrBusy = fault.New(fault.Unavailable, "service_unavailable", "The service cannot answer right now. Try again shortly.").RetryAfter(2 * time.Second)

// The ways in which a new password is refused; the text names the rule, never the
// password.
var (
	ErrPasswordTooShort = errors.New("account: password too short")
	ErrPasswordTooLong  = errors.New("account: password too long")
	ErrPasswordIsEmail  = errors.New("account: password is the e-mail address")
	ErrPasswordInvalid  = errors.New("account: password is not valid text")
)

// Passwords hashes and verifies with argon2id, at most one computation per CPU at a
// time behind a bounded queue: a flood of sign-ins costs 503s, not memory.
type Passwords struct {
	min   int
	slots chan struct{}
	queue chan struct{}
}

// leastQueue is what may wait on one CPU: about a second of work, so that a burst of
// people after an outage is not turned away.
const leastQueue = 64

// NewPasswords takes the least length of a new password in characters.
func NewPasswords(min int) *Passwords {
	cpus := runtime.GOMAXPROCS(0)
	return &Passwords{min: min, slots: make(chan struct{}, cpus), queue: make(chan struct{}, max(leastQueue, cpus*16))}
}

// MinLength is the least length of a new password in characters.
func (p *Passwords) MinLength() int { return p.min }

// Check judges a new password: MinLength to 128 characters after NFC, not the
// e-mail address.
func (p *Passwords) Check(password secret.Text, email string) error {
	text := norm.NFC.String(password.Reveal())
	if !utf8.ValidString(text) {
		return ErrPasswordInvalid
	}
	switch n := utf8.RuneCountInString(text); {
	case n < p.min:
		return ErrPasswordTooShort
	case n > MaxPassword:
		return ErrPasswordTooLong
	case strings.EqualFold(text, email):
		return ErrPasswordIsEmail
	}
	return nil
}

// Hash gives the PHC string of a password. It returns ErrBusy when the queue is
// full, or the context's error while it waits.
func (p *Passwords) Hash(ctx context.Context, password secret.Text) (string, error) {
	release, err := p.turn(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	var salt [argonSalt]byte
	_, _ = rand.Read(salt[:])
	key := argon2.IDKey(normal(password), salt[:], argonTime, argonMemory, argonThreads, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt[:]), base64.RawStdEncoding.EncodeToString(key)), nil
}

// Verify compares a password with a hash; an empty hash costs the same and never
// fits. rehash reports that the hash was made with other parameters than today's.
func (p *Passwords) Verify(ctx context.Context, password secret.Text, hash string) (ok, rehash bool, err error) {
	release, err := p.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	known := hash != ""
	if !known {
		hash = dummyHash
	}
	h, err := parsePHC(hash)
	if err != nil {
		return false, false, err
	}
	got := argon2.IDKey(normal(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	ok = subtle.ConstantTimeCompare(got, h.key) == 1 && known
	return ok, ok && (h.memory != argonMemory || h.time != argonTime || h.threads != argonThreads), nil
}

func normal(password secret.Text) []byte { return norm.NFC.Bytes([]byte(password.Reveal())) }

func (p *Passwords) turn(ctx context.Context) (release func(), err error) {
	select {
	case p.queue <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots; <-p.queue }, nil
	case <-ctx.Done():
		<-p.queue
		return nil, fault.Store(ctx.Err())
	}
}

type phc struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

var errPHC = errors.New("account: stored password hash does not parse")

func parsePHC(s string) (phc, error) {
	var h phc
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errPHC
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil || n != 3 || h.time == 0 || h.threads == 0 {
		return h, errPHC
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return h, errPHC
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(h.key) < 16 {
		return h, errPHC
	}
	return h, nil
}
