// SPDX-License-Identifier: Apache-2.0

// Package doctor has what core alone looks at when it examines an installation: the
// runtimes of its apps. What it shares with sso-bridge is in pkg/doctor.
package doctor

import (
	"context"
	"fmt"
	"sync"

	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/doctor"
)

// Runtime is the id of the check of an app's runtime.
const Runtime = "runtime"

// Catalogue are all checks of core.
func Catalogue() []doctor.Entry {
	return append(doctor.Shared(), doctor.Entry{ID: Runtime, What: "the runtime of each app answers and takes its key, as core app check says"})
}

// Apps are the operations that the check of runtimes needs.
type Apps interface {
	ListApps(ctx context.Context, q operator.AppQuery) (operator.AppPage, error)
	CheckApp(ctx context.Context, r operator.AppRef) (operator.AppChecked, error)
}

const (
	// maxApps bounds how many runtimes are called: a large installation has few runtimes
	// with many apps, and each is called several times by then.
	maxApps = 50
	// atOnce bounds how many are called at the same time.
	atOnce = 8
)

// Runtimes calls the runtime of each app.
func Runtimes(ctx context.Context, apps Apps) []doctor.Finding {
	page, err := apps.ListApps(ctx, operator.AppQuery{Page: 1, Limit: maxApps})
	if err != nil {
		return one(doctor.Fail, "The apps could not be listed.", "See the check of the database.")
	}
	if len(page.Data) == 0 {
		return one(doctor.Skipped, "There are no apps yet.", "")
	}
	found, places := make([]doctor.Finding, len(page.Data)), make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, app := range page.Data {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			checked, err := apps.CheckApp(ctx, operator.AppRef{App: app.ID})
			found[i] = judge(ctx, checked, err)
			found[i].Subject = app.Name
		})
	}
	all.Wait()
	if page.HasMore {
		found = append(found, one(doctor.Skipped, fmt.Sprintf("%d more apps were not called: core app check does one.", page.Total-len(page.Data)), "")...)
	}
	return found
}

func judge(ctx context.Context, c operator.AppChecked, err error) doctor.Finding {
	switch {
	case ctx.Err() != nil:
		return one(doctor.Fail, "The runtime does not answer as soon as doctor waits.", "Try it by itself: core app check waits longer.")[0]
	case err != nil:
		return one(doctor.Fail, "The app could not be checked.", "Try it by itself: core app check.")[0]
	case c.OK:
		return one(doctor.OK, c.Text, "")[0]
	}
	return one(doctor.Fail, c.Text, c.Hint)[0]
}

func one(s doctor.Status, text, next string) []doctor.Finding {
	return []doctor.Finding{{Check: Runtime, Status: s, Text: text, Next: next}}
}
