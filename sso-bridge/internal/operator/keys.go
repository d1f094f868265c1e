// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/idpmetadata"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
)

// Signers are the keys with which connections sign their SAML requests; *spkeys.Service
// has them.
type Signers interface {
	List(ctx context.Context, connectionID string) ([]spkeys.Key, error)
	Stage(ctx context.Context, connectionID, by string) (spkeys.Key, error)
	Promote(ctx context.Context, connectionID, by string, force bool, reason string) (spkeys.Key, error)
	Retire(ctx context.Context, connectionID, keyID, by string) (spkeys.Key, error)
}

// errNotSAML: what was asked for exists with SAML 2.0 alone.
var errNotSAML = fault.New(fault.Conflict, "connection_not_saml", "The connection does not speak SAML 2.0: it has no signing keys.")

// PromoteKey lets the staged key of a connection sign.
type PromoteKey struct {
	ID string `json:"id"`
	// Force promotes a key of which nothing shows that the provider has it; it needs a
	// reason.
	Force  bool   `json:"force"`
	Reason string `json:"reason"`
}

// RetireKey ends a staged or retiring key.
type RetireKey struct {
	ID string `json:"id"`
	// Key is the key's id, its fingerprint, or at least 8 characters with which one of
	// them begins.
	Key string `json:"key"`
}

// SigningKey is a key that signs requests, without its private part.
type SigningKey struct {
	ID    string       `json:"id"`
	State spkeys.State `json:"state"`
	// Fingerprint is the lower-case hex SHA-256 of the certificate's DER, Certificate that
	// DER in standard base64: what some providers want pasted.
	Fingerprint string    `json:"fingerprint"`
	Certificate string    `json:"certificate"`
	NotAfter    time.Time `json:"not_after"`
	StagedAt    time.Time `json:"staged_at"`
	// MetadataSeenAt is when somebody last fetched our metadata while the key was staged,
	// TestedAt when a test signed with it has passed. One of them lets it be promoted.
	MetadataSeenAt *time.Time `json:"metadata_seen_at,omitempty"`
	TestedAt       *time.Time `json:"tested_at,omitempty"`
	PromotedAt     *time.Time `json:"promoted_at,omitempty"`
	RetiringAt     *time.Time `json:"retiring_at,omitempty"`
	RetiredAt      *time.Time `json:"retired_at,omitempty"`
}

// ChangedAt is when the key came into its state; nil for one that is staged.
func (k SigningKey) ChangedAt() *time.Time {
	switch k.State {
	case spkeys.Retired:
		return k.RetiredAt
	case spkeys.Retiring:
		return k.RetiringAt
	}
	return k.PromotedAt
}

// Over reports whether the key has ended.
func (k SigningKey) Over() bool { return k.State == spkeys.Retired }

// SigningKeys is a list, the newest first.
type SigningKeys struct {
	Data []SigningKey `json:"data"` // never null
}

// SigningKeys implements Operations.
func (s session) SigningKeys(ctx context.Context, r Ref) (SigningKeys, error) {
	if _, err := s.saml(ctx, r.ID); err != nil {
		return SigningKeys{}, err
	}
	return s.signingKeys(ctx, r.ID)
}

// StageKey implements Operations.
func (s session) StageKey(ctx context.Context, r Ref) (SigningKeys, error) {
	if _, err := s.saml(ctx, r.ID); err != nil {
		return SigningKeys{}, err
	}
	if _, err := s.Signers.Stage(ctx, r.ID, s.actor()); err != nil {
		return SigningKeys{}, err
	}
	return s.signingKeys(ctx, r.ID)
}

// PromoteKey implements Operations.
func (s session) PromoteKey(ctx context.Context, o PromoteKey) (SigningKeys, error) {
	if _, err := s.saml(ctx, o.ID); err != nil {
		return SigningKeys{}, err
	}
	if _, err := s.Signers.Promote(ctx, o.ID, s.actor(), o.Force, o.Reason); err != nil {
		return SigningKeys{}, err
	}
	return s.signingKeys(ctx, o.ID)
}

// RetireKey implements Operations.
func (s session) RetireKey(ctx context.Context, o RetireKey) (SigningKeys, error) {
	if _, err := s.saml(ctx, o.ID); err != nil {
		return SigningKeys{}, err
	}
	before, err := s.signingKeys(ctx, o.ID)
	if err != nil {
		return SigningKeys{}, err
	}
	if _, err := s.Signers.Retire(ctx, o.ID, before.named(o.Key), s.actor()); err != nil {
		return SigningKeys{}, err
	}
	return s.signingKeys(ctx, o.ID)
}

// saml gives a connection that speaks SAML 2.0.
func (s session) saml(ctx context.Context, id string) (connection.View, error) {
	v, err := s.Service.Connections.Show(ctx, id)
	if err == nil && v.Protocol != connection.SAML {
		err = errNotSAML
	}
	return v, err
}

// staged says no unless a connection has a key that comes next.
func (s session) staged(ctx context.Context, id string) error {
	if _, err := s.saml(ctx, id); err != nil {
		return err
	}
	keys, err := s.signingKeys(ctx, id)
	if err == nil && keys.of(spkeys.Next) == nil {
		err = spkeys.ErrNoNext
	}
	return err
}

func (s session) actor() string { return s.act(false, "").Actor }

func (s session) signingKeys(ctx context.Context, id string) (SigningKeys, error) {
	keys, err := s.Signers.List(ctx, id)
	list := SigningKeys{Data: []SigningKey{}}
	for _, k := range keys {
		list.Data = append(list.Data, shownKey(k))
	}
	return list, err
}

func shownKey(k spkeys.Key) SigningKey {
	shown := SigningKey{
		ID: k.ID, State: k.State, NotAfter: k.NotAfter, StagedAt: k.StagedAt, MetadataSeenAt: k.MetadataSeenAt, TestedAt: k.TestedAt,
		PromotedAt: k.PromotedAt, RetiringAt: k.RetiringAt, RetiredAt: k.RetiredAt,
	}
	if k.Certificate != nil {
		shown.Fingerprint, shown.Certificate = idpmetadata.Fingerprint(k.Certificate), base64.StdEncoding.EncodeToString(k.Certificate.Raw)
	}
	return shown
}

// minKeyPrefix is how much of a key's name has to be typed.
const minKeyPrefix = 8

// named gives the id of the one key that a text means. What means none or several is
// passed on as it is: no key has it for an id.
func (l SigningKeys) named(text string) string {
	found := text
	if len(text) < minKeyPrefix {
		return text
	}
	matches := 0
	for _, k := range l.Data {
		if strings.HasPrefix(k.ID, text) || strings.HasPrefix(k.Fingerprint, text) {
			found, matches = k.ID, matches+1
		}
	}
	if matches != 1 {
		return text
	}
	return found
}

// of gives the key in a state, nil when there is none.
func (l SigningKeys) of(state spkeys.State) *SigningKey {
	for i := range l.Data {
		if l.Data[i].State == state {
			return &l.Data[i]
		}
	}
	return nil
}
