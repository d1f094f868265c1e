// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// operations are what runtimes are asked.
var operations = []string{"parameters", "stream", "block", "stop", "events", "outcome", "upload", "form", "submit", "delete", "export", "dependencies", "import", "confirm"}

// timedRuntime measures a runtime.
type timedRuntime struct {
	run.Runtime
	figures *figures
}

// timed measures a runtime, whatever it offers beside.
func (f *figures) timed(r run.Runtime) run.Runtime {
	t := timedRuntime{r, f}
	dsl, imports := r.(run.DSL)
	describer, describes := r.(run.Describer)
	switch {
	case imports && describes:
		return struct {
			timedDSL
			run.Describer
		}{timedDSL{t, dsl}, describer}
	case imports:
		return timedDSL{t, dsl}
	case describes:
		return struct {
			timedRuntime
			run.Describer
		}{t, describer}
	}
	return t
}

// took counts an answer, unless its client had left before it came.
func (t timedRuntime) took(ctx context.Context, operation string, began time.Time, err error) {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	t.figures.runtimes.Of(operation, answerOf(err)).Observe(time.Since(began).Seconds())
}

func answerOf(err error) string {
	if err == nil {
		return "ok"
	}
	if errors.Is(err, run.ErrKeyRejected) {
		return "refused"
	}
	switch fault.Of(err).Kind() {
	case fault.GatewayTimeout:
		return "timeout"
	case fault.BadGateway, fault.Internal, fault.Unavailable:
		if errors.Is(err, context.DeadlineExceeded) {
			return "timeout"
		}
		return "unavailable"
	}
	return "refused"
}

// Parameters implements run.Runtime.
func (t timedRuntime) Parameters(ctx context.Context, to run.Target) (body json.RawMessage, err error) {
	defer func(began time.Time) { t.took(ctx, "parameters", began, err) }(time.Now())
	return t.Runtime.Parameters(ctx, to)
}

// Stream implements run.Runtime.
func (t timedRuntime) Stream(ctx context.Context, to run.Target, r run.Request) (s run.Stream, err error) {
	defer func(began time.Time) { t.took(ctx, "stream", began, err) }(time.Now())
	return t.Runtime.Stream(ctx, to, r)
}

// Block implements run.Runtime.
func (t timedRuntime) Block(ctx context.Context, to run.Target, r run.Request) (body json.RawMessage, err error) {
	defer func(began time.Time) { t.took(ctx, "block", began, err) }(time.Now())
	return t.Runtime.Block(ctx, to, r)
}

// Stop implements run.Runtime.
func (t timedRuntime) Stop(ctx context.Context, to run.Target, taskID, user string) (err error) {
	defer func(began time.Time) { t.took(ctx, "stop", began, err) }(time.Now())
	return t.Runtime.Stop(ctx, to, taskID, user)
}

// Events implements run.Runtime.
func (t timedRuntime) Events(ctx context.Context, to run.Target, workflowRunID, user string, o run.EventOptions) (s run.Stream, err error) {
	defer func(began time.Time) { t.took(ctx, "events", began, err) }(time.Now())
	return t.Runtime.Events(ctx, to, workflowRunID, user, o)
}

// Outcome implements run.Runtime.
func (t timedRuntime) Outcome(ctx context.Context, to run.Target, workflowRunID string) (o run.Outcome, err error) {
	defer func(began time.Time) { t.took(ctx, "outcome", began, err) }(time.Now())
	return t.Runtime.Outcome(ctx, to, workflowRunID)
}

// Upload implements run.Runtime.
func (t timedRuntime) Upload(ctx context.Context, to run.Target, user string, f run.File) (body json.RawMessage, err error) {
	defer func(began time.Time) { t.took(ctx, "upload", began, err) }(time.Now())
	return t.Runtime.Upload(ctx, to, user, f)
}

// Form implements run.Runtime.
func (t timedRuntime) Form(ctx context.Context, to run.Target, formToken string) (body json.RawMessage, err error) {
	defer func(began time.Time) { t.took(ctx, "form", began, err) }(time.Now())
	return t.Runtime.Form(ctx, to, formToken)
}

// Submit implements run.Runtime.
func (t timedRuntime) Submit(ctx context.Context, to run.Target, formToken, user, action string, inputs json.RawMessage) (err error) {
	defer func(began time.Time) { t.took(ctx, "submit", began, err) }(time.Now())
	return t.Runtime.Submit(ctx, to, formToken, user, action, inputs)
}

// DeleteConversation implements run.Runtime.
func (t timedRuntime) DeleteConversation(ctx context.Context, to run.Target, conversationID, user string) (err error) {
	defer func(began time.Time) { t.took(ctx, "delete", began, err) }(time.Now())
	return t.Runtime.DeleteConversation(ctx, to, conversationID, user)
}

// timedDSL measures what a runtime offers of apps' descriptions, too.
type timedDSL struct {
	timedRuntime
	dsl run.DSL
}

// Export implements run.DSL.
func (t timedDSL) Export(ctx context.Context, to run.Target, user string, o run.ExportOptions) (yaml string, err error) {
	defer func(began time.Time) { t.took(ctx, "export", began, err) }(time.Now())
	return t.dsl.Export(ctx, to, user, o)
}

// Dependencies implements run.DSL.
func (t timedDSL) Dependencies(ctx context.Context, to run.Target, user string) (list []json.RawMessage, err error) {
	defer func(began time.Time) { t.took(ctx, "dependencies", began, err) }(time.Now())
	return t.dsl.Dependencies(ctx, to, user)
}

// Import implements run.DSL.
func (t timedDSL) Import(ctx context.Context, to run.Target, user string, d run.Description) (done run.Imported, err error) {
	defer func(began time.Time) { t.took(ctx, "import", began, err) }(time.Now())
	return t.dsl.Import(ctx, to, user, d)
}

// Confirm implements run.DSL.
func (t timedDSL) Confirm(ctx context.Context, to run.Target, user, importID string) (done run.Imported, err error) {
	defer func(began time.Time) { t.took(ctx, "confirm", began, err) }(time.Now())
	return t.dsl.Confirm(ctx, to, user, importID)
}
