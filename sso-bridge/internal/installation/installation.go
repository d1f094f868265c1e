// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// ErrKeyChanged: the stores were written under other keys. What wraps it says which.
var ErrKeyChanged = errors.New("the keys are not those of this database")

var (
	errSealingChanged = fmt.Errorf("%w: no sealing key opens what it holds. Restore the former sealing key, below the new line if both are wanted", ErrKeyChanged)
	errSecretChanged  = fmt.Errorf("%w: SECRET_KEY has changed. Restore it; or, to change it, name the former one with SECRET_KEY_PREVIOUS_FILE until \"sso-bridge admin rotate-secret-key\" is done", ErrKeyChanged)
	errNone           = errors.New("this database belongs to no installation")
)

// State is the installation's row; both fields are sealed. Its zero value stands for none.
type State struct {
	Canary         string
	FingerprintKey string
}

// Store keeps the installation's row.
type Store interface {
	// Read gives the row, or the zero State when there is none.
	Read(ctx context.Context) (State, error)
	// Init makes the row; one that is there stays as it is.
	Init(ctx context.Context, s State) error
	// SwapCanary replaces a canary that is still from; swapped is false when it is not.
	SwapCanary(ctx context.Context, from, to string, events ...audit.Event) (swapped bool, err error)
	// Reseal replaces every sealed value of the database by what again makes of it and its
	// place, table/row/column. A value that was replaced meanwhile stays.
	Reseal(ctx context.Context, again func(sealed, place string) (string, error)) ([]seal.Resealed, error)
}

// Deps is what a Service needs; all fields but CanaryKeyPrevious are required.
type Deps struct {
	Store    Store
	Recorder *audit.Recorder
	Now      func() time.Time
	Sealing  *seal.Keys
	// CanaryKey is derived from SECRET_KEY, CanaryKeyPrevious from the one before it.
	CanaryKey         []byte
	CanaryKeyPrevious []byte
}

// Service compares and changes the keys of an installation. It is safe for concurrent
// use.
type Service struct{ Deps }

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Recorder == nil || d.Now == nil || d.Sealing == nil || len(d.CanaryKey) == 0 {
		return nil, errors.New("installation: every dependency is required")
	}
	return &Service{d}, nil
}

const keyPlace = "sso_installation/1/fingerprint_key_sealed"

// canary watches SECRET_KEY and the sealing key.
func (s *Service) canary() seal.Canary {
	return seal.Canary{Keys: s.Sealing, Place: "sso_installation/1/canary", Key: s.CanaryKey, Previous: s.CanaryKeyPrevious}
}

// fits returns ErrKeyChanged, or whether it is the former SECRET_KEY that fits.
func (s *Service) fits(state State) (previous bool, err error) {
	previous, err = s.canary().Fits(state.Canary)
	switch {
	case errors.Is(err, seal.ErrOpen):
		return false, errSealingChanged
	case err != nil:
		return false, errSecretChanged
	}
	return previous, nil
}

// Open makes the row on first start, compares its canary, and gives the fingerprint key,
// secret.KeySize bytes. It returns ErrKeyChanged when a key does not fit: going on would
// make every sealed secret and every login under way useless without a word.
func (s *Service) Open(ctx context.Context) (fingerprintKey []byte, err error) {
	state, err := s.Store.Read(ctx)
	if err != nil {
		return nil, err
	}
	if state.Canary == "" {
		var key [secret.KeySize]byte
		_, _ = rand.Read(key[:]) // it never fails
		if err := s.Store.Init(ctx, State{Canary: s.canary().Make(), FingerprintKey: s.Sealing.Seal(key[:], keyPlace)}); err != nil {
			return nil, err
		}
	}
	// Of two first starts one made the row: what holds is what is there.
	return s.Verify(ctx)
}

// Verify is Open that makes nothing: a database without an installation is refused.
func (s *Service) Verify(ctx context.Context) (fingerprintKey []byte, err error) {
	state, err := s.Store.Read(ctx)
	if err != nil {
		return nil, err
	}
	if state.Canary == "" {
		return nil, errNone
	}
	if _, err := s.fits(state); err != nil {
		return nil, err
	}
	key, err := s.Sealing.Open(state.FingerprintKey, keyPlace)
	if err != nil || len(key) != secret.KeySize {
		return nil, errSealingChanged
	}
	return key, nil
}

// AdoptSecretKey writes the canary of the present SECRET_KEY in the place of the former
// one's. It reports whether there was anything to do.
func (s *Service) AdoptSecretKey(ctx context.Context, by audit.Actor) (bool, error) {
	state, err := s.Store.Read(ctx)
	if err != nil {
		return false, fault.Store(err)
	}
	previous, err := s.fits(state)
	if err != nil || !previous {
		return false, err
	}
	event := audit.New(ctx, s.Now(), by, secretKeyRotated{})
	swapped, err := s.Store.SwapCanary(ctx, state.Canary, s.canary().Make(), event)
	if err != nil {
		return false, fault.Store(err)
	}
	if swapped {
		s.Recorder.Committed(event)
	}
	return swapped, nil // else somebody else was faster
}

// Reseal seals with the first sealing key what others have sealed. What was replaced
// meanwhile was sealed with the first key already, or is found by a second call. No
// fingerprint and no revision changes by it.
func (s *Service) Reseal(ctx context.Context, by audit.Actor) ([]seal.Resealed, error) {
	columns, err := s.Store.Reseal(ctx, s.Sealing.Again)
	if err != nil {
		return columns, fault.Store(err)
	}
	anew := 0
	for _, c := range columns {
		anew += c.Sealed
	}
	if anew > 0 {
		s.Recorder.Later(audit.New(ctx, s.Now(), by, sealingKeyRotated{Key: s.Sealing.IDs()[0], Sealed: anew}))
	}
	return columns, nil
}

// secretKeyRotated is installation.secret_key_rotated.
type secretKeyRotated struct{}

// EventName implements audit.Details.
func (secretKeyRotated) EventName() string { return "installation.secret_key_rotated" }

// sealingKeyRotated is installation.sealing_key_rotated.
type sealingKeyRotated struct {
	Key    string `json:"key_id"`
	Sealed int    `json:"values"`
}

// EventName implements audit.Details.
func (sealingKeyRotated) EventName() string { return "installation.sealing_key_rotated" }

// AuditKinds lists the kinds of event of this package.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: secretKeyRotated{}, When: "the canary was written under a new SECRET_KEY"},
		{Of: sealingKeyRotated{}, When: "values were sealed anew with the first sealing key"},
	}
}
