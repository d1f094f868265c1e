// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
	"github.com/dify-sso/dify-sso/pkg/config"
)

// bundleEvents is how many events of the audit trail a bundle names.
const bundleEvents = 200

// wordSettings are those of a few words, which say nothing of whoever has set them.
var wordSettings = []string{"LOG_LEVEL", "LOG_FORMAT", "REDIS_MODE", "RATE_LIMITS"}

// Bundle implements operator.Keys.
func (k keeper) Bundle(ctx context.Context) (operator.Bundle, error) {
	a := k.a
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b := operator.Bundle{
		Format: 1, MadeAt: a.opts.Now().UTC(), Version: a.opts.Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Edition: "CE", Embedded: a.Settings.Embedded(), Goroutines: runtime.NumGoroutine(), HeapBytes: memory.HeapAlloc,
		Settings: bundled(&a.Settings.Config), Warnings: len(a.Settings.Warnings), Checks: []operator.BundleCheck{}, Events: []operator.BundleEvent{},
	}
	if since := a.serving.Load(); since != nil {
		b.Serving, b.Since = true, *since
	}
	// A store that does not answer is what a bundle is asked for: it is no failure of it.
	checks := a.Readiness(ctx).Checks
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		b.Checks = append(b.Checks, operator.BundleCheck{Name: name, Answer: checks[name]})
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if status, err := a.schema.Status(ctx); err == nil {
		b.Schema = operator.BundleSchema{Database: status.Current, Program: status.Target}
	}
	if events, err := sqlstore.Audit(a.Stores.DB).Names(ctx, a.opts.Now(), bundleEvents); err == nil {
		for _, e := range events {
			b.Events = append(b.Events, operator.BundleEvent{At: e.At, Event: e.Name})
		}
	}
	return b, nil
}

// bundled tells of the settings what tells nothing of an installation's secrets and
// addresses.
func bundled(cfg *Config) (list []operator.BundleSetting) {
	defaults := Defaults()
	usual := map[string]string{}
	for _, f := range config.Fields(&defaults) {
		usual[f.Key] = f.Value
	}
	for _, f := range config.Fields(cfg) {
		s := operator.BundleSetting{Key: f.Key, Given: f.Value != usual[f.Key]}
		if !f.Secret && (!s.Given || slices.Contains(wordSettings, f.Key) || plainValue(f.Value)) {
			s.Value = f.Value
		}
		list = append(list, s)
	}
	return list
}

// plainValue reports a number, a switch or a duration.
func plainValue(value string) bool {
	_, notNumber := strconv.ParseInt(value, 10, 32)
	_, notSwitch := strconv.ParseBool(value)
	_, notDuration := time.ParseDuration(value)
	return notNumber == nil || notSwitch == nil || notDuration == nil
}
