// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"context"
	"crypto/subtle"
	"errors"
	"sync/atomic"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// State is the installation's own row.
type State struct {
	SetupAt       *time.Time // nil until set up
	SetupCodeHash secret.Digest
	Canary        string // sealed
}

// Refusals of a set-up.
var (
	// ErrNotSetUp: nothing but the set-up works yet.
	ErrNotSetUp = fault.New(fault.Unauthenticated, "not_setup", "This installation is not set up yet. Open it in a browser.")
	// ErrAlreadySetUp: somebody was first.
	ErrAlreadySetUp = fault.New(fault.Conflict, "already_set_up", "This installation is already set up. Sign in.")
	// ErrSetupCodeWrong: the code is not the one that the server's terminal showed.
	ErrSetupCodeWrong = fault.New(fault.Forbidden, "setup_code_wrong", "The set-up code is not right. It is in the server's terminal; \"core admin setup-code\" makes a new one.")
)

// Store keeps the row.
type Store interface {
	// Read gives the row; the zero State when there is none yet.
	Read(ctx context.Context) (State, error)
	// Init inserts the row if there is none.
	Init(ctx context.Context, canary string) error
	// SetCodeHash replaces the set-up code's digest.
	SetCodeHash(ctx context.Context, d secret.Digest) error
	// SwapCanary replaces the canary if it is still from, with the events.
	SwapCanary(ctx context.Context, from, to string, events ...audit.Event) (swapped bool, err error)
	// Reseal goes through every value that is sealed and replaces those that again gives
	// in another form, each unless it has changed meanwhile.
	Reseal(ctx context.Context, again func(sealed, place string) (string, error)) ([]Resealed, error)
	// SetUp creates the first account, its workspace and ownership, and the mark, in
	// one transaction with the events. Of several callers one wins; the others get
	// ErrAlreadySetUp.
	SetUp(ctx context.Context, a account.Account, w workspace.Workspace, now time.Time, events ...audit.Event) error
}

// Deps is what a Service needs; all fields are required.
type Deps struct {
	Store     Store
	Passwords *account.Passwords
	Recorder  *audit.Recorder
	Now       func() time.Time
	Sealing   *seal.Keys
	// CanaryKey is derived from SECRET_KEY, so that the canary watches both keys.
	CanaryKey []byte
	// CanaryKeyPrevious derives from the former SECRET_KEY; nil when there is none.
	CanaryKeyPrevious []byte
}

// Service sets an installation up. It is safe for concurrent use.
type Service struct {
	Deps
	done atomic.Pointer[time.Time] // the set-up never goes back
}

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Store == nil || d.Passwords == nil || d.Recorder == nil || d.Now == nil || d.Sealing == nil || len(d.CanaryKey) != secret.KeySize {
		return nil, errors.New("installation: store, passwords, recorder, clock, sealing keys and a canary key of 32 bytes are required")
	}
	return &Service{Deps: d}, nil
}

// SetUpAt gives the time of the set-up, nil before it.
func (s *Service) SetUpAt(ctx context.Context) (*time.Time, error) {
	if at := s.done.Load(); at != nil {
		return at, nil
	}
	state, err := s.Store.Read(ctx)
	if err == nil && state.SetupAt != nil {
		s.done.Store(state.SetupAt)
	}
	return state.SetupAt, fault.Store(err)
}

// NewCode draws a set-up code and voids the former. Its digest alone is kept. It
// returns ErrAlreadySetUp when no code is needed any more.
func (s *Service) NewCode(ctx context.Context) (secret.Text, error) {
	code := secret.New(secret.Random())
	return code, s.UseCode(ctx, code)
}

// UseCode makes a configured value the set-up code.
func (s *Service) UseCode(ctx context.Context, code secret.Text) error {
	at, err := s.SetUpAt(ctx)
	if err != nil {
		return err
	}
	if at != nil {
		return ErrAlreadySetUp
	}
	return fault.Store(s.Store.SetCodeHash(ctx, secret.DigestOf(code.Reveal())))
}

// HasCode reports whether a set-up code is in force.
func (s *Service) HasCode(ctx context.Context) (bool, error) {
	state, err := s.Store.Read(ctx)
	return !state.SetupCodeHash.IsZero(), fault.Store(err)
}

// Owner is the first person of an installation; its fields have been bounded.
type Owner struct {
	Email         string // canonical
	Name          string
	Password      secret.Text
	WorkspaceName string
}

// MaxName is the longest name of a person or workspace in characters.
const MaxName = 255

// ParseOwner bounds the fields of an owner and names those that are wrong: email,
// name or workspace_name. The password is judged by SetUp and CreateOwner.
func ParseOwner(email, name, workspaceName string, password secret.Text) (o Owner, wrong []string) {
	var ok bool
	if o.Email, ok = canon.Email(email); !ok {
		wrong = append(wrong, "email")
	}
	if o.Name, ok = canon.Text(name, MaxName); !ok {
		wrong = append(wrong, "name")
	}
	if o.WorkspaceName, ok = canon.Text(workspaceName, MaxName); !ok {
		wrong = append(wrong, "workspace_name")
	}
	o.Password = password
	return o, wrong
}

// SetUp creates the first owner for whoever holds the set-up code. It returns
// ErrAlreadySetUp, ErrSetupCodeWrong, a password rule of package account, or a 503.
func (s *Service) SetUp(ctx context.Context, code secret.Text, o Owner) (account.Account, error) {
	state, err := s.Store.Read(ctx)
	if err != nil {
		return account.Account{}, fault.Store(err)
	}
	if state.SetupAt != nil {
		return account.Account{}, ErrAlreadySetUp
	}
	presented := secret.DigestOf(code.Reveal())
	if state.SetupCodeHash.IsZero() || subtle.ConstantTimeCompare(presented[:], state.SetupCodeHash[:]) != 1 {
		return account.Account{}, ErrSetupCodeWrong
	}
	return s.create(ctx, audit.Actor{}, o)
}

// CreateOwner is SetUp for an operator, who needs no code.
func (s *Service) CreateOwner(ctx context.Context, o Owner) (account.Account, error) {
	return s.create(ctx, audit.Operator, o)
}

// CreateOwnerBy is CreateOwner for an operator with a name.
func (s *Service) CreateOwnerBy(ctx context.Context, operator audit.Actor, o Owner) (account.Account, error) {
	return s.create(ctx, operator, o)
}

// create takes the zero actor for the owner themselves.
func (s *Service) create(ctx context.Context, by audit.Actor, o Owner) (account.Account, error) {
	if err := s.Passwords.Check(o.Password, o.Email); err != nil {
		return account.Account{}, err
	}
	hash, err := s.Passwords.Hash(ctx, o.Password)
	if err != nil {
		return account.Account{}, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond)
	a := account.Account{ID: canon.NewID(), Email: o.Email, Name: o.Name, PasswordHash: hash, Status: account.Active, DeploymentAdmin: true, CreatedAt: now, UpdatedAt: now}
	w := workspace.Workspace{ID: canon.NewID(), Name: o.WorkspaceName, Status: workspace.StatusNormal, CreatedAt: now, UpdatedAt: now}
	if by == (audit.Actor{}) {
		by = audit.Account(a.ID)
	}
	event := audit.New(ctx, now, by, setUp{AccountID: a.ID, WorkspaceID: w.ID}).Workspace(w.ID)
	if err := s.Store.SetUp(ctx, a, w, now, event); err != nil {
		return account.Account{}, fault.Store(err)
	}
	s.Recorder.Committed(event)
	return a, nil
}

// setUp is account.setup.
type setUp struct {
	AccountID   string `json:"account_id"`
	WorkspaceID string `json:"workspace_id"`
}

// EventName implements audit.Details.
func (setUp) EventName() string { return "account.setup" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: setUp{}, When: "the installation was set up, by a browser or by a command"},
		{Of: secretKeyRotated{}, When: "an operator put another SECRET_KEY in the former's place"},
		{Of: sealingKeyRotated{}, When: "an operator had what the database holds sealed anew, under the first key of SEALING_KEY_FILE"},
	}
}
