// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// readyLimit bounds the questions, so that a hanging store is an answer too.
const readyLimit = 2 * time.Second

// Readiness asks every store, and whether the schema still has what this program needs.
func (a *App) Readiness(ctx context.Context) server.Readiness {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	r := a.stores(ctx)
	r.Checks["schema"] = a.checkSchema(ctx)
	if a.shared != nil {
		set := a.shared.Current()
		r.Keyset, r.Checks["keyset"] = set.Fingerprint(), a.checkKeyset(set)
	}
	return r
}

// checkKeyset says whether messages can be signed: an active entry may have an end in the
// file, and come to it without anybody reading the file again.
func (a *App) checkKeyset(set *keyset.Set) string {
	if _, err := set.Verify(set.Active(), "keyset.check", secret.Text{}, a.opts.Now()); err != nil {
		return "the active entry is past its verify_until"
	}
	return server.CheckOK
}

// answering asks what a request of a stranger may cost: the stores, and the schema at
// most once a second.
func (a *App) answering(ctx context.Context) server.Readiness {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	r := a.stores(ctx)
	now, last := a.opts.Now(), a.lastSchema.Load()
	if last == nil || now.Sub(last.at) >= schemaAge || now.Before(last.at) {
		last = &schemaResult{at: now, result: a.checkSchema(ctx)}
		a.lastSchema.Store(last)
	}
	r.Checks["schema"] = last.result
	return r
}

// schemaAge is for how long an answer about the schema serves strangers.
const schemaAge = time.Second

// schemaResult is what was last said of the schema.
type schemaResult struct {
	at     time.Time
	result string
}

func (a *App) stores(ctx context.Context) server.Readiness {
	return server.Readiness{
		Checks:   map[string]string{"sql": check(a.Stores.DB.Ping(ctx)), "store": check(a.Stores.Grants.Ping(ctx))},
		Draining: a.draining.Load(),
	}
}

// checkSchema finds a schema that was taken back. A newer one is what each rolling upgrade
// brings while this program serves: its migration is followed by programs that need it, and
// by what ends this one. If that were not ready, all processes would leave at once, before
// the first of the new ones is there. The start refuses it.
func (a *App) checkSchema(ctx context.Context) string {
	status, err := a.schema.Status(ctx)
	if err != nil {
		return check(err)
	}
	if errors.Is(status.Check(), schema.ErrOlder) {
		return "older than this program"
	}
	return server.CheckOK
}

// check words a failure without what it names: a cause may hold an address. A store has
// limits of its own for one exchange, which are shorter than ours.
func check(err error) string {
	switch {
	case err == nil:
		return server.CheckOK
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "does not answer"
	default:
		return "unavailable"
	}
}
