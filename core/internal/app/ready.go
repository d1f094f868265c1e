// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/sqlstore"
)

// readyLimit bounds the questions, so that a hanging store is an answer too.
const readyLimit = 2 * time.Second

// Readiness asks every store, and whether the schema still fits this program.
func (a *App) Readiness(ctx context.Context) httpapi.Readiness {
	r := a.answering(ctx)
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	r.Checks["schema"] = a.checkSchema(ctx)
	return r
}

// answering asks what a request of a stranger may cost: the stores alone.
func (a *App) answering(ctx context.Context) httpapi.Readiness {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	return httpapi.Readiness{
		Checks:   map[string]string{"sql": check(a.Stores.DB.Ping(ctx)), "store": check(a.Stores.Grants.Ping(ctx))},
		Draining: a.draining.Load(),
	}
}

func (a *App) checkSchema(ctx context.Context) string {
	status, err := a.schema.Status(ctx)
	if err != nil {
		return check(err)
	}
	switch fit := status.Check(); {
	case errors.Is(fit, sqlstore.ErrSchemaNewer):
		return "newer than this program"
	case errors.Is(fit, sqlstore.ErrSchemaOlder):
		return "older than this program"
	}
	return httpapi.CheckOK
}

// check words a failure without what it names: a cause may hold an address. A store has
// limits of its own for one exchange, which are shorter than ours.
func check(err error) string {
	switch {
	case err == nil:
		return httpapi.CheckOK
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "does not answer"
	default:
		return "unavailable"
	}
}
