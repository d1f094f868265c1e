// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/control"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// heard notes the request that an operation was called with, and judges it as the
// service does.
type heard struct{ request any }

func hear[Q interface{ Check() error }, A any](h *heard, q Q) (answer A, err error) {
	h.request = q
	return answer, q.Check()
}

func (h *heard) SetupCode(context.Context) (operator.SetupCode, error) {
	h.request = struct{}{}
	return operator.SetupCode{}, nil
}

func (h *heard) CreateOwner(_ context.Context, q operator.Owner) (operator.Created, error) {
	return hear[operator.Owner, operator.Created](h, q)
}

func (h *heard) CreateAccount(_ context.Context, q operator.Person) (access.AccountMade, error) {
	return hear[operator.Person, access.AccountMade](h, q)
}

func (h *heard) SetPassword(_ context.Context, q operator.Password) (access.PasswordSet, error) {
	return hear[operator.Password, access.PasswordSet](h, q)
}

func (h *heard) SetAdministrator(_ context.Context, q operator.Administrator) (access.AdministratorChange, error) {
	return hear[operator.Administrator, access.AdministratorChange](h, q)
}

func (h *heard) ListAccounts(_ context.Context, q operator.AccountQuery) (access.AccountPage, error) {
	return hear[operator.AccountQuery, access.AccountPage](h, q)
}

func (h *heard) SetStatus(_ context.Context, q operator.Status) (access.StatusChange, error) {
	return hear[operator.Status, access.StatusChange](h, q)
}

func (h *heard) ListTokens(_ context.Context, q operator.TokenQuery) (access.TokenPage, error) {
	return hear[operator.TokenQuery, access.TokenPage](h, q)
}

func (h *heard) RevokeToken(_ context.Context, q operator.TokenRef) (access.Revoked, error) {
	return hear[operator.TokenRef, access.Revoked](h, q)
}

func (h *heard) RevokeSubject(_ context.Context, q operator.Subject) (access.Receipt, error) {
	return hear[operator.Subject, access.Receipt](h, q)
}

func (h *heard) ListApps(_ context.Context, q operator.AppQuery) (operator.AppPage, error) {
	return hear[operator.AppQuery, operator.AppPage](h, q)
}

func (h *heard) ShowApp(_ context.Context, q operator.AppRef) (operator.AppEntry, error) {
	return hear[operator.AppRef, operator.AppEntry](h, q)
}

func (h *heard) DeclareApps(_ context.Context, q operator.AppsWanted) (operator.AppsPlanned, error) {
	return hear[operator.AppsWanted, operator.AppsPlanned](h, q)
}

func (h *heard) RemoveApp(_ context.Context, q operator.AppRef) (operator.AppRemoved, error) {
	return hear[operator.AppRef, operator.AppRemoved](h, q)
}

func (h *heard) CheckApp(_ context.Context, q operator.AppRef) (operator.AppChecked, error) {
	return hear[operator.AppRef, operator.AppChecked](h, q)
}

func (h *heard) RotateSecretKey(context.Context) (operator.SecretKey, error) {
	h.request = struct{}{}
	return operator.SecretKey{}, nil
}

func (h *heard) RotateSealingKey(context.Context) (operator.SealingKey, error) {
	h.request = struct{}{}
	return operator.SealingKey{}, nil
}

func (h *heard) Snapshot(context.Context) (backup.Snapshot, error) {
	h.request = struct{}{}
	return backup.Snapshot{}, nil
}

func (h *heard) Bundle(context.Context) (operator.Bundle, error) {
	h.request = struct{}{}
	return operator.Bundle{}, nil
}

// Whatever is taken is what a strict standard decoder reads too, and what is refused
// is refused in the words of the protocol.
func FuzzRequest(f *testing.F) {
	names := slices.Sorted(maps.Keys(control.Operations(nil)))
	for _, body := range []string{
		`{}`, `{"id":"0190d1f4-7c3a-7b1e-9c55-0242ac120002"}`, `{"ID":"x"}`, `{"id":"a","id":"b"}`, `[]`, `{"page":1,"limit":50,"email":"a@b.c"}`,
		`{"account":"a@b.c","status":"banned"}`, `{"account_id":"x","issuer":"i","subject_id":"s","email":"e","reason":"r"}`,
		`{"email":"a@b.c","name":"A","workspace_name":"W","password":"p"}`, `{"password":{"reveal":1}}`, `{"app":"a","workspace":"w"}`,
		`{"apps":[{"app":{"name":"a","mode":"chat","runtime":"echo","runtime_config":{"a":[1,{"b":null}]},"tags":["t"]},"runtime_key":"k"}],"new":true,"dry_run":false}`, `{"page":1e99}`, `{"id":null}`, "{\"id\":\"\xff\"}",
	} {
		for i := range names {
			f.Add(uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		name := names[int(which)%len(names)]
		h := &heard{}
		_, err := control.Operations(func(audit.Caller) operator.Operations { return h })[name](t.Context(), audit.Caller{}, body)
		if err != nil && fault.Of(err).Code() != "request_unknown" && !errors.Is(err, wire.ErrInvalidJSON) && !errors.Is(err, operator.ErrInvalid) {
			t.Fatalf("refused with %v", err)
		}
		if details := fault.Of(err).Details(); len(details) > wire.MaxProblems {
			t.Fatalf("%d details", len(details))
		}
		if h.request == nil {
			return
		}
		standard := reflect.New(reflect.TypeOf(h.request))
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(standard.Interface()); err != nil {
			t.Fatalf("taken, and the standard decoder says %v", err)
		}
		ours, err := json.Marshal(h.request)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := json.Marshal(standard.Elem().Interface())
		if err != nil || !bytes.Equal(ours, theirs) {
			t.Fatalf("read as %s, and as %s by the standard decoder (%v)", ours, theirs, err)
		}
	})
}
