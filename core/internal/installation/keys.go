// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"context"
	"errors"
	"fmt"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
)

// ErrKeyChanged: the stores were written under other keys. What wraps it says which.
var ErrKeyChanged = errors.New("the keys are not those of this database")

var (
	errSealingChanged = fmt.Errorf("%w: no sealing key opens what it holds. Restore the former sealing key, below the new line if both are wanted", ErrKeyChanged)
	errSecretChanged  = fmt.Errorf("%w: SECRET_KEY has changed. Restore it; or, to change it, name the former one with SECRET_KEY_PREVIOUS_FILE until \"core admin rotate-secret-key\" is done", ErrKeyChanged)
)

// Resealed counts the values of one column.
type Resealed = seal.Resealed

// Open makes the row on first start and afterwards compares its canary. It returns
// ErrKeyChanged when a key does not fit: going on would make every stored code and
// sealed value useless without a word.
func (s *Service) Open(ctx context.Context) error {
	state, err := s.Store.Read(ctx)
	if err != nil {
		return err
	}
	if state.Canary == "" {
		if err := s.Store.Init(ctx, s.canary().Make()); err != nil {
			return err
		}
		// Of two first starts one made the row: what is compared is what is there.
		if state, err = s.Store.Read(ctx); err != nil {
			return err
		}
	}
	_, err = s.fits(state)
	return err
}

// canary watches SECRET_KEY and the sealing key.
func (s *Service) canary() seal.Canary {
	return seal.Canary{Keys: s.Sealing, Place: "installation/1/canary", Key: s.CanaryKey, Previous: s.CanaryKeyPrevious}
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

// Verify compares the canary without making one. It returns ErrKeyChanged.
func (s *Service) Verify(ctx context.Context) error {
	state, err := s.Store.Read(ctx)
	if err != nil {
		return err
	}
	if state.Canary == "" {
		return errors.New("this database belongs to no installation")
	}
	_, err = s.fits(state)
	return err
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
// meanwhile was sealed with the first key already, or is found by a second call.
func (s *Service) Reseal(ctx context.Context, by audit.Actor) ([]Resealed, error) {
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
