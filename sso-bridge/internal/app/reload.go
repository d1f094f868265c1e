// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/serve"
)

// reloadLimit bounds the reconciliation of a reload.
const reloadLimit = time.Minute

// Reload reads again what may change while the bridge serves: the TLS certificate, the key
// set, the connections file and the files of its secrets. What is refused leaves the state
// as it was, and changes nothing of the others.
func (a *App) Reload() {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	defer serve.Reloading()()
	if cert := a.opts.Certificate; cert != nil {
		cert.Reload()
	}
	a.reloadKeyset()
	if a.Settings.ConnectionsFile == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), reloadLimit)
	defer cancel()
	declared, err := a.Settings.readConnections()
	if err == nil {
		err = a.reconcile(ctx, declared)
	}
	for _, p := range connectionProblems(err) {
		a.opts.Log.Error("CONNECTIONS_FILE is refused; the connections stay as they were", slog.String("problem", p))
	}
}

func (a *App) reloadKeyset() {
	done, ok := keyset.Reloader{
		Ring: a.shared, Path: a.Settings.KeysetFile, Judge: a.apart, Refused: a.keysetRefused, Log: a.opts.Log, Now: a.opts.Now,
	}.Reload()
	if ok {
		a.recorder.Later(audit.New(context.Background(), a.opts.Now().UTC(), audit.System, done))
	}
}

// apart says which secrets of the bridge's own a set holds.
func (a *App) apart(set *keyset.Set) (found []error) {
	file, err := keySource(a.Settings, a.dir).SealingFile()
	if err != nil {
		return []error{err}
	}
	var problems config.Problems
	ownkeys.Apart(set, a.keys.Master, a.keys.Previous, file, &problems)
	for _, p := range problems {
		found = append(found, errors.New(p.Key+" "+p.Text))
	}
	return found
}
