// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"

	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// Describer is a Runtime that tells of itself which mode its app has.
type Describer interface {
	// Info gives the mode that the app has at its runtime, or "" when that does not say.
	Info(ctx context.Context, t Target) (mode string, err error)
}

// Checked is what a runtime that answers has said of an app.
type Checked struct {
	// Mode is the app's at its runtime; empty when that does not say.
	Mode apps.Mode
}

// Check asks an app's runtime, never what is remembered of it, whether the app is reached
// there. Its failure is the runtime's, with its cause.
func (s *Service) Check(ctx context.Context, a apps.App) (Checked, error) {
	t, runtime, err := s.target(a)
	if err != nil {
		return Checked{}, err
	}
	if _, err := runtime.Parameters(ctx, t); err != nil {
		return Checked{}, err
	}
	d, ok := runtime.(Describer)
	if !ok {
		return Checked{}, nil
	}
	// A runtime that is too old to tell still runs the app.
	mode, err := d.Info(ctx, t)
	if err != nil {
		return Checked{}, nil //nolint:nilerr // as said
	}
	return Checked{Mode: apps.Mode(mode)}, nil
}
