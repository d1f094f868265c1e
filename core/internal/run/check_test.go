// SPDX-License-Identifier: Apache-2.0

package run_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// answering is a runtime that is asked for parameters alone, and tells no mode.
type answering struct {
	run.Runtime
	err error
	got run.Target
}

func (a *answering) Parameters(_ context.Context, t run.Target) (json.RawMessage, error) {
	a.got = t
	return json.RawMessage("{}"), a.err
}

// telling tells a mode, too.
type telling struct {
	*answering
	mode string
	fail error
}

func (a telling) Info(context.Context, run.Target) (string, error) { return a.mode, a.fail }

type opened struct{ err error }

func (o opened) OpenKey(apps.App) (secret.Text, error) { return secret.New("app-key"), o.err }

func TestACheckOfAnApp(t *testing.T) {
	down := errors.New("down")
	plain := &answering{}
	for name, tc := range map[string]struct {
		runtime run.Runtime
		keys    error
		want    apps.Mode
		err     error
	}{
		"it answers":            {runtime: plain},
		"it tells the mode":     {runtime: telling{plain, "workflow", nil}, want: apps.Workflow},
		"it cannot tell":        {runtime: telling{plain, "chat", down}},
		"it does not answer":    {runtime: telling{&answering{err: run.ErrUnavailable}, "chat", nil}, err: run.ErrUnavailable},
		"the key does not open": {runtime: plain, keys: down, err: fault.ErrInternal},
	} {
		t.Run(name, func(t *testing.T) {
			s := &run.Service{Deps: run.Deps{Runtimes: map[apps.Runtime]run.Runtime{apps.RuntimeDify: tc.runtime}, Keys: opened{tc.keys}}}
			got, err := s.Check(t.Context(), apps.App{ID: "a", Runtime: apps.RuntimeDify, RuntimeURL: "http://r", Mode: apps.Chat})
			if got.Mode != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if plain.got.Key.Reveal() != "app-key" || plain.got.URL != "http://r" || plain.got.AppID != "a" {
		t.Errorf("asked for %+v", plain.got)
	}
}
