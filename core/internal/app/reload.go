// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/serve"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// Reload reads again what may change while core serves: the TLS certificate and the key
// set. One that is refused changes nothing of the other.
func (a *App) Reload() {
	defer serve.Reloading()()
	cert := a.opts.Certificate
	if cert == nil && a.shared == nil {
		a.opts.Log.Info("SIGHUP: there is no TLS certificate and no key set to read again; other settings need a restart")
		return
	}
	if cert != nil {
		cert.Reload()
	}
	if a.shared != nil {
		a.reloadKeyset()
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

// apart says which secrets of core's own a set holds.
func (a *App) apart(set *keyset.Set) (found []error) {
	var problems config.Problems
	sealing, err := keySource(a.Settings, a.dir).SealingFile()
	if err != nil {
		return []error{err}
	}
	ownkeys.Apart(set, a.keys.master, a.keys.previous, sealing, &problems)
	for _, p := range problems {
		found = append(found, errors.New(p.Key+" "+p.Text))
	}
	return found
}

// countReloads registers what counts refused key sets.
func (a *App) countReloads(metrics *telemetry.Metrics) {
	if a.shared != nil {
		a.keysetRefused = metrics.Counter("keyset_reload_failures_total", "Key-set files that SIGHUP found and that were refused.")
	}
}
