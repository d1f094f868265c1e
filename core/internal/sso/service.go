// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Devices are the device grants; package devicegrant's Service is one.
type Devices interface {
	// Find gives the live grant of a user code in whatever state, or
	// devicegrant.ErrNotFound.
	Find(ctx context.Context, typed string) (devicegrant.Grant, error)
	// ApproveExternal and DenyExternal move a pending grant. They return
	// devicegrant.ErrNotFound and devicegrant.ErrAlreadyResolved.
	ApproveExternal(ctx context.Context, g devicegrant.Grant, by devicegrant.External) error
	DenyExternal(ctx context.Context, g devicegrant.Grant, by devicegrant.External) error
	// RefusedExternal records that somebody may not have a token.
	RefusedExternal(ctx context.Context, g devicegrant.Grant, by devicegrant.External, reason string)
}

// Subjects says whether a person may have a token; package token's Service is one.
type Subjects interface {
	// External returns *token.RefusedError for somebody who has an account.
	External(ctx context.Context, s token.Subject) error
	// Epochs gives the sum that an approval stores, and when a counter last moved.
	Epochs(ctx context.Context, s token.Subject) (sum int64, moved time.Time, err error)
}

// Deps is what a Service needs. All fields are required but SecretKeyPrevious.
type Deps struct {
	Bridge   Bridge
	Devices  Devices
	Subjects Subjects
	Replay   envelope.Replay
	Keys     *keyset.Ring
	// SecretKey is core's own: the bridge cannot make what is derived from it.
	SecretKey secret.Text
	// SecretKeyPrevious is the one before it, if any: what was begun under it ends well.
	SecretKeyPrevious secret.Text
	// Public and BridgePublic are the origins that sign.
	Public, BridgePublic string
	Recorder             *audit.Recorder
	Now                  func() time.Time
}

// Service runs core's half of a login. It is safe for concurrent use.
type Service struct {
	Deps
	owned
	former     *owned // of SecretKeyPrevious; nil without one
	assertions *envelope.Codec[envelope.ExternalSubjectClaims]

	mu      sync.Mutex
	offer   Offer
	offered time.Time // when offer was heard
}

// owned is what derives from a SECRET_KEY.
type owned struct {
	nonceKey, codeKey []byte
	grants            *envelope.Codec[approvalClaims]
}

func own(d Deps, master secret.Text) (o owned, err error) {
	if o.nonceKey, err = secret.Derive(master, "api.sso.flow_nonce"); err != nil {
		return o, fmt.Errorf("sso: %w", err)
	}
	if o.codeKey, err = secret.Derive(master, "api.device_flow.user_code_digest"); err != nil {
		return o, fmt.Errorf("sso: %w", err)
	}
	o.grants, err = envelope.New[approvalClaims](envelope.Deps{
		Keys: d.Keys, Audience: envelope.ApprovalGrant, Issuer: d.Public, Owner: master, Now: d.Now,
	})
	return o, err
}

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Bridge == nil || d.Devices == nil || d.Subjects == nil || d.Replay == nil || d.Keys == nil || d.Recorder == nil || d.Now == nil {
		return nil, errors.New("sso: bridge, devices, subjects, replay store, keys, recorder and clock are required")
	}
	s := &Service{Deps: d}
	var err error
	if s.owned, err = own(d, d.SecretKey); err != nil {
		return nil, err
	}
	if !d.SecretKeyPrevious.IsZero() {
		before, err := own(d, d.SecretKeyPrevious)
		if err != nil {
			return nil, err
		}
		s.former = &before
	}
	s.assertions, err = envelope.New[envelope.ExternalSubjectClaims](envelope.Deps{
		Keys: d.Keys, Audience: envelope.ExternalSubject, Issuer: d.BridgePublic, Now: d.Now,
	})
	return s, err
}

// offerKept is for how long the bridge's list is believed.
const offerKept = 5 * time.Second

// Offered lists the connections that may be chosen, as of the last five seconds. It
// returns ErrSilent.
func (s *Service) Offered(ctx context.Context) (Offer, error) {
	s.mu.Lock()
	offer, at := s.offer, s.offered
	s.mu.Unlock()
	if now := s.Now(); !at.IsZero() && now.Sub(at) < offerKept && !now.Before(at) {
		return offer, nil
	}
	offer, err := s.Bridge.Offered(ctx)
	if err != nil {
		return Offer{}, err
	}
	s.mu.Lock()
	s.offer, s.offered = offer, s.Now()
	s.mu.Unlock()
	return offer, nil
}
