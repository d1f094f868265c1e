// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/echo"
	"github.com/dify-sso/dify-sso/core/internal/run"
)

// openApps builds the registry of apps.
func (a *App) openApps() (reads *apps.Service, err error) {
	if reads, err = apps.New(a.Stores.Apps); err != nil {
		return nil, err
	}
	if err = a.openDify(); err != nil {
		return nil, err
	}
	a.Registry, err = apps.NewRegistry(apps.RegistryDeps{
		Store: a.Stores.Apps, Sealing: a.keys.sealing, Recorder: a.recorder, Now: a.opts.Now, Fingerprints: a.keys.fingerprints, Enterprise: a.Settings.sso != nil,
		Acceptable: a.dify.Acceptable,
	})
	return reads, err
}

// openRuns builds what has apps run.
func (a *App) openRuns() (*run.Service, error) {
	s, runtimes := a.Settings, a.Stores.Runtimes
	if runtimes == nil {
		runtimes = map[apps.Runtime]run.Runtime{apps.RuntimeDify: a.dify, apps.RuntimeEcho: echo.New(echo.Options{Now: a.opts.Now})}
	}
	timed := make(map[apps.Runtime]run.Runtime, len(runtimes))
	for kind, r := range runtimes {
		timed[kind] = a.figures.timed(r)
	}
	return run.New(run.Deps{
		Runtimes: timed, Ended: a.figures.ran, Keys: a.Registry, Store: a.Stores.Runs, Slots: a.Stores.Slots, Recorder: a.recorder, Log: a.opts.Log, Now: a.opts.Now,
		Bounds: run.Bounds{
			Idle: s.RuntimeIdleTimeout, Max: s.RunMaxDuration, Blocking: s.RunBlockingTimeout,
			DefaultActive: s.DefaultActiveRequests, MaxActive: s.MaxActiveRequests, KeepOnLeave: !s.RunStopOnDisconnect, Pace: a.opts.Pace,
		},
		Limits: run.FileLimits{
			File: mebi(s.UploadFileLimit), Image: mebi(s.UploadImageLimit), Audio: mebi(s.UploadAudioLimit), Video: mebi(s.UploadVideoLimit),
			Blocked: s.UploadBlocked,
		},
		Imports: run.Imports{
			Sealing: a.keys.sealing, Registry: a.Registry, URL: s.DSLImportRuntime, Key: s.DSLImportKey,
			Once: func(ctx context.Context, id string, ttl time.Duration) (bool, error) {
				return a.Stores.Replay.Consume(ctx, "core.app_import", id, ttl)
			},
		},
	})
}

func mebi(n int) int64 { return int64(n) << 20 }
