// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"context"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// By is who changes the registry: a member of the app's workspace, whose role is read in
// the transaction, or an operator by a command, who needs none. Its zero value is nobody,
// who may nothing.
type By struct {
	Actor audit.Actor
	// AccountID is the member's; empty for an operator.
	AccountID string
}

// operates reports whether no role is asked for. Neither an empty AccountID alone makes
// an operator, nor does an actor of that kind who has one.
func (b By) operates() bool {
	return b.AccountID == "" && (b.Actor.Type == audit.Operator.Type || b.Actor.Type == audit.System.Type)
}

// Member is somebody who acts by their role.
func Member(accountID string) By { return By{Actor: audit.Account(accountID), AccountID: accountID} }

// Operator is a command.
func Operator(actor audit.Actor) By { return By{Actor: actor} }

// Draft is a new app. Without a runtime it is on RuntimeDify, without an access mode it is
// InternalAll.
type Draft struct {
	Name          string
	Description   string
	Mode          Mode
	Tags          []string
	Author        string
	Runtime       Runtime
	RuntimeURL    string
	Key           secret.Text
	RuntimeConfig string
	Features      Features
	APIEnabled    bool
	Access        Access
	MaxActive     int
	// Allowed are accounts of the workspace, for Internal.
	Allowed []string
	// Once is set by a form, which a browser may send twice: the app that the same account
	// has made a moment ago, and that is the same, is given in place of another.
	Once bool
	// Imported: the settings say at which runtime it is, and that runtime has given its key.
	// Whoever may make apps adds it then, for nobody has chosen either.
	Imported bool
}

// change gives a draft as what becomes of an app that is not there yet.
func (d Draft) change() Change {
	if d.Runtime == "" {
		d.Runtime = RuntimeDify
	}
	if d.Access == "" {
		d.Access = InternalAll
	}
	status := StatusNormal
	return Change{
		Name: &d.Name, Description: &d.Description, Mode: &d.Mode, Tags: &d.Tags, Author: &d.Author, Runtime: &d.Runtime, RuntimeURL: &d.RuntimeURL,
		RuntimeConfig: &d.RuntimeConfig, Features: &d.Features, APIEnabled: &d.APIEnabled, Access: &d.Access, MaxActive: &d.MaxActive, Status: &status,
		Key: &d.Key, Allowed: &d.Allowed,
	}
}

// Change is what becomes of an app; nil leaves a member as it is.
type Change struct {
	Name          *string
	Description   *string
	Mode          *Mode
	Tags          *[]string
	Author        *string
	Runtime       *Runtime
	RuntimeURL    *string
	RuntimeConfig *string
	Features      *Features
	APIEnabled    *bool
	Access        *Access
	MaxActive     *int
	Status        *Status
	// Key is the app's at its runtime; an empty one takes it away.
	Key *secret.Text
	// Allowed are accounts of the workspace, all that are to be on the list of access.
	Allowed *[]string
}

// Key tells of an app's key without telling it: Fingerprint is eight hex digits of a
// keyed digest, by which two people see that they mean the same key.
type Key struct {
	Set         bool
	Fingerprint string
}

// Entry is an app as those who keep the registry see it.
type Entry struct {
	Summary
	Key Key
	// Allowed are the accounts on its list of access, by e-mail.
	Allowed []Allowed
}

// Allowed is an account on an app's list of access.
type Allowed struct{ AccountID, Email, Name string }

// RegistryDeps is what a Registry needs; all fields but Enterprise are required.
type RegistryDeps struct {
	Store    RegistryStore
	Sealing  *seal.Keys
	Recorder *audit.Recorder
	Now      func() time.Time
	// Fingerprints is the key of Key.Fingerprint. It is not one that seals: those change
	// when keys are sealed anew, and a fingerprint is to outlive that.
	Fingerprints []byte
	// Enterprise: the access modes for people without an account exist.
	Enterprise bool
	// Acceptable judges the form of a runtime's address, and says what is wrong with it in
	// words that do not repeat it.
	Acceptable func(address string) error
}

// Registry changes apps. Every change and its audit events are one transaction, behind
// the lock of the app's workspace and so in a row, in which the rights of a member are
// read: a role that was taken away before it is gone. Every method returns a 503 when the
// store cannot be asked. It is safe for concurrent use.
type Registry struct{ RegistryDeps }

// NewRegistry checks the dependencies.
func NewRegistry(d RegistryDeps) (*Registry, error) {
	if d.Store == nil || d.Sealing == nil || d.Recorder == nil || d.Now == nil || len(d.Fingerprints) == 0 || d.Acceptable == nil {
		return nil, errors.New("apps: store, sealing keys, recorder, clock, key of fingerprints and judge of addresses are required")
	}
	return &Registry{d}, nil
}

// Find gives an app to somebody who keeps the registry. It returns ErrNotFound to a
// stranger and workspace.ErrRole to a member who does not.
func (r *Registry) Find(ctx context.Context, by By, appID string) (Entry, error) {
	if !canon.IsID(appID) {
		return Entry{}, ErrNotFound
	}
	if !by.operates() {
		p, err := r.Store.Place(ctx, appID, by.AccountID)
		if err != nil {
			return Entry{}, fault.Store(err)
		}
		if _, err := keeps(p.Workspace, p.Role, ErrNotFound); err != nil {
			return Entry{}, err
		}
	}
	summary, allowed, err := r.Store.Entry(ctx, appID)
	if err != nil {
		return Entry{}, fault.Store(err)
	}
	return r.entry(summary, allowed), nil
}

// List gives a page (from 1) of a workspace's apps, archived ones and those without an API
// included, by the time of their last change, newest first; without a workspace, to an
// operator, those of all. It returns workspace.ErrNotFound or workspace.ErrRole.
func (r *Registry) List(ctx context.Context, by By, workspaceID string, page, limit int) ([]Summary, int, error) {
	if workspaceID == "" && !by.operates() || workspaceID != "" && !canon.IsID(workspaceID) {
		return nil, 0, workspace.ErrNotFound
	}
	if workspaceID != "" {
		w, role, err := r.Store.Member(ctx, workspaceID, by.AccountID)
		if err == nil && !by.operates() {
			_, err = keeps(w, role, workspace.ErrNotFound)
		}
		if err != nil {
			return nil, 0, fault.Store(err)
		}
	}
	list, total, err := r.Store.Kept(ctx, workspaceID, (page-1)*limit, limit)
	return list, total, fault.Store(err)
}

// OpenKey gives an app's key, for its runtime alone.
func (r *Registry) OpenKey(a App) (secret.Text, error) {
	if a.SealedKey == "" {
		return secret.New(""), nil
	}
	key, err := r.Sealing.Open(a.SealedKey, KeyPlace(a.ID))
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(string(key)), nil
}

// entry tells of an app's key without telling it. A key that does not open, for the key
// that had sealed it is gone, is set and has no fingerprint.
func (r *Registry) entry(s Summary, allowed []Allowed) Entry {
	e := Entry{Summary: s, Allowed: allowed, Key: Key{Set: s.SealedKey != ""}}
	if key, err := r.OpenKey(s.App); err == nil {
		e.Key = r.key(key)
	}
	return e
}

// fingerprintLength is how many hex digits of a digest are shown: enough to tell keys
// apart, too few to be anything else.
const fingerprintLength = 8

func (r *Registry) key(key secret.Text) Key {
	if key.IsZero() {
		return Key{}
	}
	return Key{Set: true, Fingerprint: secret.MACOf(r.Fingerprints, key.Reveal()).Hex()[:fingerprintLength]}
}
