// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"maps"
	"runtime"
	"slices"

	"github.com/dify-sso/dify-sso/pkg/bundle"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/sqlstore"
)

// bundleEvents is how many events of the audit trail a bundle names.
const bundleEvents = 200

// Bundle implements operator.Keys.
func (k keeper) Bundle(ctx context.Context) (operator.Bundle, error) {
	a := k.a
	defaults := Defaults()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b := operator.Bundle{
		Format: 1, MadeAt: a.opts.Now().UTC(), Version: a.opts.Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Embedded: a.Settings.Embedded(), Goroutines: runtime.NumGoroutine(), HeapBytes: memory.HeapAlloc,
		Settings: bundle.Settings(&a.Settings.Config, &defaults), Warnings: len(a.Settings.Warnings), Checks: []bundle.Check{}, Events: []bundle.Event{},
	}
	if since := a.serving.Load(); since != nil {
		b.Serving, b.Since = true, *since
	}
	// A store that does not answer is what a bundle is asked for: it is no failure of it.
	checks := a.Readiness(ctx).Checks
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		b.Checks = append(b.Checks, bundle.Check{Name: name, Answer: checks[name]})
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if status, err := a.schema.Status(ctx); err == nil {
		b.Schema = bundle.Schema{Database: status.Current, Program: status.Target}
	}
	if events, err := sqlstore.Audit(a.Stores.DB).Names(ctx, a.opts.Now(), bundleEvents); err == nil {
		for _, e := range events {
			b.Events = append(b.Events, bundle.Event{At: e.At, Event: e.Name})
		}
	}
	return b, nil
}
