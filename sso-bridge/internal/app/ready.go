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

// Readiness asks every store, whether the schema still has what this program needs, and whether
// messages can be signed. Identity providers and core are not asked: their outage is
// theirs.
func (a *App) Readiness(ctx context.Context) server.Readiness {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	set := a.shared.Current()
	r := server.Readiness{
		Checks: map[string]string{
			"sql": check(a.Stores.DB.Ping(ctx)), "store": server.CheckOK, "schema": a.checkSchema(ctx), "keyset": a.checkKeyset(set),
		},
		Keyset: set.Fingerprint(), Draining: a.draining.Load(),
	}
	if a.Stores.ping != nil {
		r.Checks["store"] = check(a.Stores.ping(ctx))
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

// check words a failure without what it names: a cause may hold an address.
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
