// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Registrar adds apps; package apps' Registry is one.
type Registrar interface {
	Create(ctx context.Context, by apps.By, workspaceID string, d apps.Draft) (apps.Entry, error)
}

// Imports is what imports need; all fields but URL and Key are required.
type Imports struct {
	// Sealing makes the ids of imports that wait.
	Sealing  *seal.Keys
	Registry Registrar
	// Once reports whether an id is new within its time, over all processes.
	Once func(ctx context.Context, id string, ttl time.Duration) (fresh bool, err error)
	// URL and Key reach the runtime that makes new apps; an empty URL is none.
	URL string
	Key secret.Text
}

func (i Imports) complete() bool { return i.Sealing != nil && i.Registry != nil && i.Once != nil }

// importWaits is how long an import can be confirmed.
const importWaits = 15 * time.Minute

// importer gives what takes an import: an app's runtime, or without one that of new apps.
func (s *Service) importer(a *apps.App) (Target, DSL, error) {
	if a != nil {
		return s.describer(*a)
	}
	runtime, ok := s.Runtimes[apps.RuntimeDify].(DSL)
	if s.Imports.URL == "" || !ok {
		return Target{}, nil, ErrUnsupported
	}
	return Target{Runtime: apps.RuntimeDify, URL: s.Imports.URL, Key: s.Imports.Key, Features: apps.Features{DSL: true}}, runtime, nil
}

// Import has an app's runtime take its description, or without an app the one that makes
// new ones. The caller may build apps in this workspace, and the app is one of it. It
// returns ErrUnsupported.
func (s *Service) Import(ctx context.Context, who Caller, workspaceID string, a *apps.App, d Description) (Import, error) {
	t, runtime, err := s.importer(a)
	if err != nil {
		return Import{}, err
	}
	got, err := runtime.Import(ctx, t, UserOf(who.Subject), d)
	if err != nil {
		return Import{}, err
	}
	return s.imported(ctx, who, workspaceID, a, got), nil
}

// ConfirmImport goes on with an import that this caller has begun in this workspace. find
// gives its app as Import was given it. It returns ErrNoImport for any other.
func (s *Service) ConfirmImport(ctx context.Context, who Caller, workspaceID, id string, find func(appID string) (*apps.App, error)) (Import, error) {
	w, ok := s.openImport(who, workspaceID, id)
	if !ok {
		return Import{}, ErrNoImport
	}
	var app *apps.App
	var err error
	if w.appID != "" {
		if app, err = find(w.appID); err != nil {
			return Import{}, err
		}
	}
	t, runtime, err := s.importer(app)
	if err != nil {
		return Import{}, err
	}
	got, err := runtime.Confirm(ctx, t, UserOf(who.Subject), w.importID)
	if err != nil {
		return Import{}, err
	}
	if app == nil && got.Status != ImportPending && got.Status != ImportFailed {
		// A runtime that takes a confirmation twice makes no two apps of it here.
		digest := sha256.Sum256([]byte(importPlace(who, workspaceID) + "\n" + w.importID))
		fresh, err := s.Imports.Once(ctx, hex.EncodeToString(digest[:]), importWaits)
		if err != nil {
			return Import{}, fault.Store(err)
		}
		if !fresh {
			return Import{}, ErrNoImport
		}
	}
	return s.imported(ctx, who, workspaceID, app, got), nil
}

// imported tells of an import what its caller may know.
func (s *Service) imported(ctx context.Context, who Caller, workspaceID string, a *apps.App, got Imported) Import {
	told := Import{ID: got.ID, Status: got.Status, Error: got.Error}
	switch {
	case got.Status == ImportPending:
		w := waiting{importID: got.ID, until: s.Now().Add(importWaits)}
		if a != nil {
			w.appID = a.ID
		}
		told.ID = s.sealImport(who, workspaceID, w)
	case got.Status == ImportFailed:
	case a != nil:
		told.AppID = a.ID
	default:
		told.AppID = s.register(ctx, who, workspaceID, got)
		if told.AppID == "" {
			told.Status, told.Error = ImportWarned, unregistered(got)
		}
	}
	return told
}

// register adds an app that a runtime has made, and gives its id; empty where the runtime
// has not told what that takes, or the registry does not take it. The app exists at its
// runtime by then, so none of this is a failure of the import.
func (s *Service) register(ctx context.Context, who Caller, workspaceID string, got Imported) string {
	if got.Key.IsZero() || got.Name == "" || got.Mode == "" {
		return ""
	}
	made, err := s.Imports.Registry.Create(ctx, apps.Member(who.Subject.AccountID), workspaceID, apps.Draft{
		Name: got.Name, Mode: got.Mode, RuntimeURL: s.Imports.URL, Key: got.Key, Features: apps.Features{DSL: true, HumanInput: true}, APIEnabled: true, Imported: true,
	})
	if err != nil {
		s.Log.Error("an app that was imported is not in the registry", slog.String("workspace_id", workspaceID), slog.Any("error", err))
		return ""
	}
	return made.ID
}

// unregistered says what to do about an app that only its runtime has.
func unregistered(got Imported) string {
	text := "The app was made at its runtime and is not in the registry here. Ask an owner or admin of the workspace to add it with its key, in the console or by core app add."
	if got.AppID != "" {
		text += " Its id there is " + got.AppID + "."
	}
	return text
}

// waiting is an import that somebody must confirm. It is kept in its own id: any process
// goes on with it, and nothing has to be stored.
type waiting struct {
	appID, importID string
	until           time.Time
}

// maxImportID bounds what is opened.
const maxImportID = 1024

// importPlace is what the id of an import is sealed for: another subject's, or another
// workspace's, does not open.
func importPlace(who Caller, workspaceID string) string {
	return "imports/" + workspaceID + "/" + who.Subject.Key()
}

func (s *Service) sealImport(who Caller, workspaceID string, w waiting) string {
	text := strings.Join([]string{w.appID, strconv.FormatInt(w.until.Unix(), 10), w.importID}, "\n")
	return base64.RawURLEncoding.EncodeToString([]byte(s.Imports.Sealing.Seal([]byte(text), importPlace(who, workspaceID))))
}

func (s *Service) openImport(who Caller, workspaceID, id string) (w waiting, ok bool) {
	if len(id) > maxImportID {
		return w, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		return w, false
	}
	text, err := s.Imports.Sealing.Open(string(sealed), importPlace(who, workspaceID))
	if err != nil {
		return w, false
	}
	parts := strings.SplitN(string(text), "\n", 3)
	if len(parts) != 3 {
		return w, false
	}
	until, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || !s.Now().Before(time.Unix(until, 0)) {
		return w, false
	}
	return waiting{appID: parts[0], importID: parts[2]}, true
}
