// SPDX-License-Identifier: Apache-2.0

// Package keyring reaches the keyring of the person's session: Secret Service on Linux and
// the BSDs, the keychain on macOS, the credential manager on Windows. It never waits for
// one longer than Patience, and never starts one.
package keyring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

var (
	// ErrUnavailable says that there is no keyring here, or that it does not answer.
	ErrUnavailable = errors.New("no keyring answers")
	// ErrAbsent says that the keyring has no such item.
	ErrAbsent = errors.New("the keyring has no such item")
)

// Patience is how long one call waits. A keyring that asks the person to unlock it may
// take longer, and a session without a person would wait forever.
const Patience = 3 * time.Second

// Keyring keeps short secrets by name. The errors of every method are ErrAbsent and
// ErrUnavailable; deleting what is not there is ErrAbsent.
type Keyring interface {
	Get(item string) (string, error)
	Set(item, secret string) error
	Delete(item string) error
}

// Bounded waits for another keyring no longer than Patience, and after one call without an
// answer not at all. It may be used by several goroutines at once.
func Bounded(k Keyring) Keyring { return &bounded{ring: k} }

type bounded struct {
	ring   Keyring
	silent atomic.Bool
}

type answer struct {
	secret string
	err    error
}

// ask runs call. One without an answer is left to itself until the process ends: nothing
// can be taken back that a keyring was asked for.
func (b *bounded) ask(call func() (string, error)) (string, error) {
	if b.silent.Load() {
		return "", fmt.Errorf("%w: it was asked and did not answer", ErrUnavailable)
	}
	got := make(chan answer, 1)
	go func() {
		secret, err := call()
		got <- answer{secret, err}
	}()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case a := <-got:
		return a.secret, a.err
	case <-timer.C:
		b.silent.Store(true)
		return "", fmt.Errorf("%w: it is silent for %s", ErrUnavailable, Patience)
	}
}

// Get implements Keyring.
func (b *bounded) Get(item string) (string, error) {
	return b.ask(func() (string, error) { return b.ring.Get(item) })
}

// Set implements Keyring.
func (b *bounded) Set(item, secret string) error {
	_, err := b.ask(func() (string, error) { return "", b.ring.Set(item, secret) })
	return err
}

// Delete implements Keyring.
func (b *bounded) Delete(item string) error {
	_, err := b.ask(func() (string, error) { return "", b.ring.Delete(item) })
	return err
}

// None is where there is no keyring.
type None struct{}

// Get gives ErrUnavailable.
func (None) Get(string) (string, error) { return "", ErrUnavailable }

// Set gives ErrUnavailable.
func (None) Set(string, string) error { return ErrUnavailable }

// Delete gives ErrUnavailable.
func (None) Delete(string) error { return ErrUnavailable }
