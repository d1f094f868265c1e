// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"log/slog"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// settleKeys brings a rotation of our own key to its end: this process alone has the
// database, so nobody needs the former key's canary. Where the key is an operator's, other
// processes may still start under the former one, and a command says when not.
func (a *App) settleKeys(ctx context.Context) error {
	if a.keys.Previous.IsZero() {
		return nil
	}
	if !a.keys.Own {
		a.opts.Log.Info("the former SECRET_KEY is accepted until SECRET_KEY_PREVIOUS is removed")
		return nil
	}
	adopted, err := a.installation.AdoptSecretKey(ctx, audit.System)
	if err != nil || adopted {
		return err
	}
	removed, err := ownkeys.ForgetPrevious(a.dir, a.opts.Now())
	if removed != "" && err == nil {
		a.opts.Log.Info("the former secret key is not needed any more and was removed", slog.String("file", removed))
	}
	return err
}

// keeper keeps the files of an App for commands.
type keeper struct{ a *App }

var _ operator.Keys = keeper{}

// RotateSecretKey implements operator.Keys.
func (k keeper) RotateSecretKey(ctx context.Context, by audit.Actor) (ownkeys.Rotation, error) {
	a := k.a
	a.rotating.Lock()
	defer a.rotating.Unlock()
	if !a.keys.Own {
		changed, err := a.installation.AdoptSecretKey(ctx, by)
		return ownkeys.Rotation{Changed: changed}, err
	}
	return ownkeys.NewSecretKey(a.dir, a.keys.Master)
}

// RotateSealingKey implements operator.Keys. A key of our own is first in the file before
// it seals anything, and the one before it stays, for a value that was on its way into the
// database meanwhile and for copies made before.
func (k keeper) RotateSealingKey(ctx context.Context, by audit.Actor) (operator.SealingKey, error) {
	a := k.a
	a.rotating.Lock()
	defer a.rotating.Unlock()
	own := a.dir != nil && a.Settings.SealingKeyFile == ""
	if own {
		if _, err := a.installation.Reseal(ctx, by); err != nil {
			return operator.SealingKey{}, err
		}
		if err := ownkeys.NewSealingKey(a.dir, a.keys.Sealing); err != nil {
			return operator.SealingKey{}, err
		}
	}
	columns, err := a.installation.Reseal(ctx, by)
	if err != nil {
		return operator.SealingKey{}, err
	}
	ids := a.keys.Sealing.IDs()
	return operator.SealingKey{Key: ids[0], Others: append([]string{}, ids[1:]...), New: own, Columns: columns}, nil
}
