// SPDX-License-Identifier: Apache-2.0

package devicegrant

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// userCodeTries bounds how often a taken user code is drawn again.
const userCodeTries = 5

// Minter turns a claimed grant into a token; package token's Service is one.
type Minter interface {
	// Epoch is the sum an approval stores.
	Epoch(ctx context.Context, s token.Subject) (int64, error)
	// Mint is documented at token.Service.
	Mint(ctx context.Context, r token.MintRequest) (token.Minted, error)
}

// Workspaces lists an account's workspaces for the token answer; package
// workspace's Service is one.
type Workspaces interface {
	// Of lists an account's memberships.
	Of(ctx context.Context, accountID string) ([]workspace.Membership, error)
}

// Turn is a state that a grant has come into, as it is told.
type Turn string

// The turns of a grant's life.
const (
	TurnPending  Turn = "pending"
	TurnApproved Turn = "approved"
	TurnDenied   Turn = "denied"
	TurnRedeemed Turn = "redeemed"
	TurnRefused  Turn = "refused" // an approved one from which no token may be made any more
	TurnExpired  Turn = "expired" // one that nobody decided, where a store sees it
)

// Deps is what a Service needs. All fields are required but UserCodeKeyPrevious, NewUserCode
// and Turned.
type Deps struct {
	Store      Store
	Minter     Minter
	Workspaces Workspaces
	Recorder   *audit.Recorder
	Now        func() time.Time
	// UserCodeKey is the key under which stores see user codes.
	UserCodeKey []byte
	// UserCodeKeyPrevious is the former one, for codes that were given out under it; nil
	// when there is none. Codes of the two are not compared with each other: that the same
	// one is drawn while the other lives is as likely as to guess it.
	UserCodeKeyPrevious []byte
	// Clients lists the client ids that may start a grant.
	Clients []string
	// NewUserCode draws a user code; nil means NewUserCode. Tests force collisions
	// with it.
	NewUserCode func() string
	// Turned hears of each turn of a grant once; nil hears of none.
	Turned func(to Turn)
}

// Service runs the grant. It is safe for concurrent use.
type Service struct {
	Deps

	mu      sync.Mutex
	cleanup []cleanup // claims whose deletion failed
}

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Minter == nil || d.Workspaces == nil || d.Recorder == nil || d.Now == nil {
		return nil, errors.New("devicegrant: store, minter, workspaces, recorder and clock are required")
	}
	if len(d.UserCodeKey) != secret.KeySize {
		return nil, errors.New("devicegrant: a user code key of 32 bytes is required")
	}
	if d.NewUserCode == nil {
		d.NewUserCode = NewUserCode
	}
	if d.Turned == nil {
		d.Turned = func(Turn) {}
	}
	return &Service{Deps: d}, nil
}

// Start is a device authorization request (RFC 8628 section 3.1) whose fields have
// been bounded.
type Start struct{ ClientID, Label, IP string }

// Authorization is the answer to a Start. The codes exist in clear nowhere else.
type Authorization struct {
	DeviceCode secret.Text
	UserCode   string
	ExpiresIn  time.Duration
	Interval   time.Duration
}

// Start creates a grant. It returns ErrUnsupportedClient, ErrUserCodeExhausted,
// ErrFull or a store failure.
func (s *Service) Start(ctx context.Context, r Start) (Authorization, error) {
	if !slices.Contains(s.Clients, r.ClientID) {
		return Authorization{}, ErrUnsupportedClient
	}
	now := s.Now()
	code := newDeviceCode()
	for range userCodeTries {
		userCode := s.NewUserCode()
		err := s.Store.Create(ctx, Grant{
			Ref: secret.DigestOf(code.Reveal()), UserMAC: s.mac(userCode), ClientID: r.ClientID, Label: r.Label, State: Pending,
			CreatedAt: now, ExpiresAt: now.Add(Lifetime), CreatedIP: r.IP, Interval: FirstInterval,
		})
		if errors.Is(err, ErrUserCodeTaken) {
			continue
		}
		if err != nil {
			return Authorization{}, fault.Store(err)
		}
		s.Turned(TurnPending)
		s.Recorder.Later(audit.New(ctx, now, audit.Anonymous, flowStarted{ClientID: r.ClientID, Label: r.Label}))
		return Authorization{DeviceCode: code, UserCode: userCode, ExpiresIn: Lifetime, Interval: FirstInterval}, nil
	}
	return Authorization{}, ErrUserCodeExhausted
}

func (s *Service) mac(userCode string) secret.Digest { return secret.MACOf(s.UserCodeKey, userCode) }

// Find gives the live grant of a user code as a person typed it, in whatever state.
// What is not shaped like a code is ErrNotFound without asking the store.
func (s *Service) Find(ctx context.Context, typed string) (Grant, error) {
	userCode, ok := canon.UserCode(typed)
	if !ok {
		return Grant{}, ErrNotFound
	}
	now := s.Now()
	g, err := s.Store.Find(ctx, s.mac(userCode), now)
	if errors.Is(err, ErrNotFound) && s.UserCodeKeyPrevious != nil {
		g, err = s.Store.Find(ctx, secret.MACOf(s.UserCodeKeyPrevious, userCode), now)
	}
	return g, fault.Store(err)
}

// FindPending is Find for a grant that nobody has decided; one that is decided is
// ErrAlreadyResolved.
func (s *Service) FindPending(ctx context.Context, typed string) (Grant, error) {
	g, err := s.Find(ctx, typed)
	if err == nil && g.State != Pending {
		return Grant{}, ErrAlreadyResolved
	}
	return g, err
}
