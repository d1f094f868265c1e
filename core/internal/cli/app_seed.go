// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/control"
)

// seedPause lies between two looks at whether somebody has set the installation up.
const seedPause = time.Second

// seeds reads the files of apps that serve was given.
func (c *command) seeds(files []string) (list []operator.AppWanted, err error) {
	for _, path := range files {
		some, err := c.declaredApps(path)
		if err != nil {
			return nil, fmt.Errorf("--seed-apps: %s: %w", path, err)
		}
		list = append(list, some...)
	}
	return list, nil
}

// seed makes apps once the first owner is there, where there are none yet: what somebody
// has changed or removed since stays as they left it. It ends with ctx.
func (c *command) seed(ctx context.Context, a *app.App, list []operator.AppWanted, log *slog.Logger) {
	caller := audit.Caller{Service: app.Program, User: control.UserName(os.Geteuid()), Version: c.Version}
	ctx, _ = caller.Request(ctx)
	by := a.Operator.As(caller)
	every := time.NewTicker(seedPause)
	defer every.Stop()
	for {
		done, err := seedOnce(ctx, a, by, list)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("the apps of --seed-apps were not made", slog.String("error", err.Error()))
			return
		case done > 0:
			log.Info("apps are made", slog.Int("count", done))
			if c.Terminal {
				_, _ = fmt.Fprintf(c.Stdout, "\n%d apps to try are there. Once signed in:\n  %s apps list\n\n", done, c.difyauth())
			}
			return
		case done == 0:
			return
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// seedOnce gives how many apps it has made, or -1 while nobody has set the installation
// up.
func seedOnce(ctx context.Context, a *app.App, by operator.Operations, list []operator.AppWanted) (int, error) {
	switch at, err := a.Installation.SetUpAt(ctx); {
	case err != nil:
		return 0, err
	case at == nil:
		return -1, nil
	}
	there, err := by.ListApps(ctx, operator.AppQuery{Page: 1, Limit: 1})
	if err != nil || there.Total > 0 {
		return 0, err
	}
	made, err := by.DeclareApps(ctx, operator.AppsWanted{Apps: list})
	if err != nil {
		return 0, inFile(err, list)
	}
	return len(made.Apps), nil
}

// difyauth is what a person types for the client.
func (c *command) difyauth() string {
	if c.Client == "" {
		return "difyauth"
	}
	return c.Client
}
