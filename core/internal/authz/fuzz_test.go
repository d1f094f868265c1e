// SPDX-License-Identifier: Apache-2.0

package authz_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/memstore"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

type nowhere struct{}

func (nowhere) Append(context.Context, ...audit.Event) error { return nil }

// fuzzGate is a gate without a database, cheap enough for every input.
func fuzzGate(t *testing.T, kinds *token.KindRegistry, tokens *tokens) *authz.BearerAuthenticator {
	t.Helper()
	recorder, err := audit.NewRecorder(nowhere{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	counters := ratelimit.NewMemory(10)
	table, err := limits.New(limits.Deps{Store: counters, Recorder: recorder, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	b, err := authz.New(authz.Deps{Kinds: kinds, Tokens: tokens, Places: tokens, Apps: noApps{}, Gate: memstore.Gate{Counters: counters, Bearers: memstore.NewBearers(10)}, Limits: table, Recorder: recorder, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noApps is a registry without an app.
type noApps struct{}

func (noApps) Place(context.Context, string, string) (*apps.Place, error) {
	return nil, apps.ErrNotFound
}
