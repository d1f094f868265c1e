// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"log/slog"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
)

func (k *keys) entries() *devicegrant.Entries {
	if k.former.entry == nil {
		return devicegrant.NewEntries(k.entry)
	}
	return devicegrant.NewEntries(k.entry, k.former.entry)
}

// settleKeys brings a rotation of our own key to its end: this process alone has the
// database, so nobody needs the former key's canary. Where the key is an operator's,
// other processes may still start under the former one, and a command says when not.
func (a *App) settleKeys(ctx context.Context) error {
	k := a.keys
	if k.former.canary == nil {
		return nil
	}
	if !k.own {
		a.opts.Log.Info("the former SECRET_KEY is accepted until SECRET_KEY_PREVIOUS is removed")
		return nil
	}
	adopted, err := a.Installation.AdoptSecretKey(ctx, audit.System)
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
func (k keeper) RotateSecretKey(ctx context.Context, by audit.Actor) (operator.SecretKey, error) {
	a := k.a
	a.rotating.Lock()
	defer a.rotating.Unlock()
	if !a.keys.own {
		changed, err := a.Installation.AdoptSecretKey(ctx, by)
		return operator.SecretKey{Changed: changed}, err
	}
	done, err := ownkeys.NewSecretKey(a.dir, a.keys.master)
	return operator.SecretKey{Changed: done.Changed, Restart: done.Restart, Previous: done.Previous}, err
}

// RotateSealingKey implements operator.Keys. A key of our own is first in the file before
// it seals anything, and the one before it stays, for a value that was on its way into
// the database meanwhile and for copies made before.
func (k keeper) RotateSealingKey(ctx context.Context, by audit.Actor) (operator.SealingKey, error) {
	a := k.a
	a.rotating.Lock()
	defer a.rotating.Unlock()
	own := a.dir != nil && a.Settings.SealingKeyFile == ""
	if own {
		if err := a.drawSealingKey(ctx, by); err != nil {
			return operator.SealingKey{}, err
		}
	}
	columns, err := a.Installation.Reseal(ctx, by)
	if err != nil {
		return operator.SealingKey{}, err
	}
	ids := a.keys.sealing.IDs()
	return operator.SealingKey{Key: ids[0], Others: append([]string{}, ids[1:]...), New: own, Columns: columns}, nil
}

// drawSealingKey puts a new key in front and drops those that nothing needs: everything
// is sealed with the first one before.
func (a *App) drawSealingKey(ctx context.Context, by audit.Actor) error {
	if _, err := a.Installation.Reseal(ctx, by); err != nil {
		return err
	}
	return ownkeys.NewSealingKey(a.dir, a.keys.sealing)
}
