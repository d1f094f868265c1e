// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// Operations are the acts of commands. Service does them; a control.Client has them done
// by the process that serves.
type Operations interface {
	CreateConnection(ctx context.Context, c Change) (Connection, error)
	UpdateConnection(ctx context.Context, c Change) (Connection, error)
	Connections(ctx context.Context) (Connections, error)
	Connection(ctx context.Context, r Ref) (Connection, error)
	TestConnection(ctx context.Context, o Test) (TestBegun, error)
	EnableConnection(ctx context.Context, o Enable) (Connection, error)
	DisableConnection(ctx context.Context, o End) (Ended, error)
	DeleteConnection(ctx context.Context, o End) (Ended, error)
	Revisions(ctx context.Context, r Ref) (Revisions, error)
	RestoreRevision(ctx context.Context, o Restore) (Connection, error)
	SigningKeys(ctx context.Context, r Ref) (SigningKeys, error)
	StageKey(ctx context.Context, r Ref) (SigningKeys, error)
	PromoteKey(ctx context.Context, o PromoteKey) (SigningKeys, error)
	RetireKey(ctx context.Context, o RetireKey) (SigningKeys, error)
	Metadata(ctx context.Context, r MetadataRef) (Metadata, error)
	RefreshMetadata(ctx context.Context, r MetadataRef) (Metadata, error)
	AcceptMetadata(ctx context.Context, r MetadataRef) (Metadata, error)
	RejectMetadata(ctx context.Context, r MetadataRef) (Metadata, error)
	Attempts(ctx context.Context, q AttemptQuery) (Attempts, error)
	Attempt(ctx context.Context, r Ref) (login.Report, error)
	// RotateSecretKey draws a new SECRET_KEY where the bridge keeps it itself, and else puts
	// the present one in the place of the former.
	RotateSecretKey(ctx context.Context) (ownkeys.Rotation, error)
	// RotateSealingKey draws a new sealing key where the bridge keeps them itself, and seals
	// everything anew with the first.
	RotateSealingKey(ctx context.Context) (SealingKey, error)
	// Snapshot copies the embedded installation aside, as it is at one moment.
	Snapshot(ctx context.Context) (backup.Snapshot, error)
	// Bundle gives what may be told to somebody who helps.
	Bundle(ctx context.Context) (Bundle, error)
}

// Connector is the life of connections; *connection.Service has it.
type Connector interface {
	Create(ctx context.Context, c connection.Content, a connection.Act) (connection.View, error)
	Update(ctx context.Context, c connection.Content, match string, a connection.Act) (connection.View, error)
	List(ctx context.Context) ([]connection.View, error)
	Show(ctx context.Context, id string) (connection.View, error)
	Enable(ctx context.Context, id, hash string, a connection.Act) (connection.View, error)
	Disable(ctx context.Context, id string, a connection.Act, keepTokens bool) (connection.Ended, error)
	Delete(ctx context.Context, id string, a connection.Act, keepTokens bool) (connection.Ended, error)
	Revisions(ctx context.Context, id string) ([]connection.Revision, error)
	Restore(ctx context.Context, id, hash, match string, a connection.Act) (connection.View, error)
	ForTest(ctx context.Context, id, hash string) (connection.Serving, error)
}

// Logins begins tests and tells of attempts; *login.Service does.
type Logins interface {
	BeginTest(ctx context.Context, o login.TestOrder) (login.Begun, error)
	List(ctx context.Context, f login.Filter, limit int) ([]login.Report, error)
	Show(ctx context.Context, reference string) (login.Report, error)
}

// Keys are the files of an installation; package app has them.
type Keys interface {
	RotateSecretKey(ctx context.Context, by audit.Actor) (ownkeys.Rotation, error)
	RotateSealingKey(ctx context.Context, by audit.Actor) (SealingKey, error)
	Snapshot(ctx context.Context) (backup.Snapshot, error)
	Bundle(ctx context.Context) (Bundle, error)
}

// Deps is what a Service needs; all fields are required. Public is the bridge's origin.
type Deps struct {
	Connections Connector
	Logins      Logins
	Keys        Keys
	Signers     Signers
	Sources     Sources
	Public      string
	Now         func() time.Time
}

// Service does what commands ask. It is safe for concurrent use.
type Service struct{ Deps }

// New checks the dependencies.
func New(d Deps) (*Service, error) {
	if d.Connections == nil || d.Logins == nil || d.Keys == nil || d.Signers == nil || d.Sources == nil || d.Public == "" || d.Now == nil {
		return nil, errors.New("operator: every dependency is required")
	}
	return &Service{d}, nil
}

// As gives the operations in the name of who asks.
func (s *Service) As(by audit.Caller) Operations { return session{s, by} }

type session struct {
	*Service
	by audit.Caller
}

func (s session) act(force bool, reason string) connection.Act {
	return connection.Act{Actor: "cli:" + s.by.User, Force: force, Reason: reason}
}

// CreateConnection implements Operations.
func (s session) CreateConnection(ctx context.Context, c Change) (Connection, error) {
	content, err := connection.Declare([]byte(c.Connection), c.ID)
	if err != nil {
		return Connection{}, err
	}
	return s.shown(ctx)(s.Service.Connections.Create(ctx, content, s.act(c.Force, c.Reason)))
}

// UpdateConnection implements Operations.
func (s session) UpdateConnection(ctx context.Context, c Change) (Connection, error) {
	content, err := connection.Declare([]byte(c.Connection), c.ID)
	if err != nil {
		return Connection{}, err
	}
	return s.shown(ctx)(s.Service.Connections.Update(ctx, content, c.Match, s.act(c.Force, c.Reason)))
}

// Connections implements Operations.
func (s session) Connections(ctx context.Context) (Connections, error) {
	views, err := s.Service.Connections.List(ctx)
	list := Connections{Data: []Connection{}}
	for _, v := range views {
		shown, err := s.connection(ctx, v)
		if err != nil {
			return Connections{}, err
		}
		list.Data = append(list.Data, shown)
	}
	return list, err
}

// Connection implements Operations.
func (s session) Connection(ctx context.Context, r Ref) (Connection, error) {
	return s.shown(ctx)(s.Service.Connections.Show(ctx, r.ID))
}

// TestConnection implements Operations.
func (s session) TestConnection(ctx context.Context, o Test) (TestBegun, error) {
	serving, err := s.Service.Connections.ForTest(ctx, o.ID, o.Revision)
	if err != nil {
		return TestBegun{}, err
	}
	if o.NextKey {
		if err := s.staged(ctx, o.ID); err != nil {
			return TestBegun{}, err
		}
	}
	begun, err := s.Logins.BeginTest(ctx, login.TestOrder{
		Connection: o.ID, Revision: serving.Hash, Actor: s.act(false, "").Actor, ExpectRefusal: o.ExpectRefusal, NextKey: o.NextKey, Locale: "en", RequestID: audit.RequestOf(ctx).ID,
	})
	return TestBegun{URL: begun.StartURL, Reference: begun.Reference, ExpiresAt: begun.ExpiresAt}, err
}

// EnableConnection implements Operations. Without a revision it is the head.
func (s session) EnableConnection(ctx context.Context, o Enable) (Connection, error) {
	if o.Revision == "" {
		v, err := s.Service.Connections.Show(ctx, o.ID)
		if err != nil {
			return Connection{}, err
		}
		o.Revision = v.Head
	}
	return s.shown(ctx)(s.Service.Connections.Enable(ctx, o.ID, o.Revision, s.act(o.Force, o.Reason)))
}

// DisableConnection implements Operations.
func (s session) DisableConnection(ctx context.Context, o End) (Ended, error) {
	done, err := s.Service.Connections.Disable(ctx, o.ID, s.act(false, o.Reason), o.KeepTokens)
	return Ended(done), err
}

// DeleteConnection implements Operations.
func (s session) DeleteConnection(ctx context.Context, o End) (Ended, error) {
	done, err := s.Service.Connections.Delete(ctx, o.ID, s.act(false, o.Reason), o.KeepTokens)
	return Ended(done), err
}

// Revisions implements Operations.
func (s session) Revisions(ctx context.Context, r Ref) (Revisions, error) {
	all, err := s.Service.Connections.Revisions(ctx, r.ID)
	list := Revisions{Data: []connection.RevisionDocument{}}
	for _, one := range all {
		list.Data = append(list.Data, one.Document())
	}
	return list, err
}

// RestoreRevision implements Operations. Without a match it takes the present head for
// the one that the caller has seen.
func (s session) RestoreRevision(ctx context.Context, o Restore) (Connection, error) {
	if o.Match == "" {
		v, err := s.Service.Connections.Show(ctx, o.ID)
		if err != nil {
			return Connection{}, err
		}
		o.Match = v.Head
	}
	return s.shown(ctx)(s.Service.Connections.Restore(ctx, o.ID, o.Revision, o.Match, s.act(o.Force, o.Reason)))
}

// Attempts implements Operations.
func (s session) Attempts(ctx context.Context, q AttemptQuery) (Attempts, error) {
	f := login.Filter{Connection: q.Connection, Code: failure.Code(q.Code)}
	if q.Since != nil {
		f.Since = *q.Since
	}
	found, err := s.Logins.List(ctx, f, q.Limit)
	if err != nil {
		return Attempts{}, err
	}
	return Attempts{Data: append([]login.Report{}, found...)}, nil
}

// Attempt implements Operations.
func (s session) Attempt(ctx context.Context, r Ref) (login.Report, error) {
	return s.Logins.Show(ctx, r.ID)
}

// RotateSecretKey implements Operations.
func (s session) RotateSecretKey(ctx context.Context) (ownkeys.Rotation, error) {
	return s.Keys.RotateSecretKey(ctx, s.by.Actor())
}

// RotateSealingKey implements Operations.
func (s session) RotateSealingKey(ctx context.Context) (SealingKey, error) {
	return s.Keys.RotateSealingKey(ctx, s.by.Actor())
}

// Snapshot implements Operations.
func (s session) Snapshot(ctx context.Context) (backup.Snapshot, error) { return s.Keys.Snapshot(ctx) }

// Bundle implements Operations. What could not be counted is left out: a store that does
// not answer is what a bundle is asked for.
func (s session) Bundle(ctx context.Context) (Bundle, error) {
	b, err := s.Keys.Bundle(ctx)
	if err != nil {
		return Bundle{}, err
	}
	b.Connections, b.Attempts = []BundleCount{}, []BundleCount{}
	if views, err := s.Service.Connections.List(ctx); err == nil {
		counts := map[string]int{}
		for _, v := range views {
			counts[string(v.Protocol)+" "+string(v.State)]++
		}
		b.Connections = counted(counts)
	}
	if found, err := s.Logins.List(ctx, login.Filter{Since: s.Now().Add(-24 * time.Hour)}, maxCounted); err == nil {
		counts := map[string]int{}
		for _, one := range found {
			counts[one.Code]++
		}
		b.Attempts = counted(counts)
	}
	return b, nil
}

// maxCounted bounds how many traces a bundle counts.
const maxCounted = 1000

func counted(by map[string]int) []BundleCount {
	list := []BundleCount{}
	for _, what := range slices.Sorted(maps.Keys(by)) {
		list = append(list, BundleCount{what, by[what]})
	}
	return list
}

// Change is a connection as somebody wants it.
type Change struct {
	// ID names the connection to change; for a new one it may be empty.
	ID string `json:"id"`
	// Connection is the JSON of the shape that the connections file has.
	Connection string `json:"connection"`
	// Match is the head that the caller has seen.
	Match  string `json:"match"`
	Force  bool   `json:"force"`
	Reason string `json:"reason"`
}

// Ref names a connection by its id, or an attempt by its reference.
type Ref struct {
	ID string `json:"id"`
}

// Test orders the test of a connection.
type Test struct {
	ID            string `json:"id"`
	Revision      string `json:"revision"` // empty for the head
	ExpectRefusal bool   `json:"expect_refusal"`
	// NextKey has the request signed with the staged key; a pass shows that the provider
	// has it. With SAML alone.
	NextKey bool `json:"next_key"`
}

// TestBegun is a test that waits for its browser.
type TestBegun struct {
	URL       string    `json:"test_url"`
	Reference string    `json:"reference"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Enable lets logins use a revision.
type Enable struct {
	ID       string `json:"id"`
	Revision string `json:"revision"`
	Force    bool   `json:"force"`
	Reason   string `json:"reason"`
}

// End disables or deletes a connection.
type End struct {
	ID         string `json:"id"`
	Reason     string `json:"reason"`
	KeepTokens bool   `json:"keep_tokens"`
}

// Ended says what has ended with a connection. Pending: core has not answered, and is told
// until it does; the numbers are then 0.
type Ended struct {
	Tokens   int  `json:"tokens_revoked"`
	Sessions int  `json:"console_sessions_ended"`
	Pending  bool `json:"pending"`
}

// Restore makes a former content the head again.
type Restore struct {
	ID       string `json:"id"`
	Revision string `json:"revision"`
	Match    string `json:"match"`
	Force    bool   `json:"force"`
	Reason   string `json:"reason"`
}

// AttemptQuery says which attempts are listed.
type AttemptQuery struct {
	Connection string     `json:"connection"`
	Code       string     `json:"code"`
	Since      *time.Time `json:"since"`
	Limit      int        `json:"limit"`
}

// Report is an attempt as administrators read it.
type Report = login.Report

// Attempts is a list of attempts, the newest first.
type Attempts struct {
	Data []Report `json:"data"` // never null
}

// SealingKey is what became of a rotation of the sealing keys.
type SealingKey struct {
	Key string `json:"key"`
	// Others open values of copies made before, and nothing in the database.
	Others  []string        `json:"others"`
	New     bool            `json:"new"`
	Columns []seal.Resealed `json:"columns"`
}
