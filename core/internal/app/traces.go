// SPDX-License-Identifier: Apache-2.0

package app

import "github.com/dify-sso/dify-sso/pkg/telemetry"

// openTraces builds what records traces, where the settings name a collector.
func (a *App) openTraces(metrics *telemetry.Metrics) (err error) {
	s := a.Settings
	a.traces, err = telemetry.NewTracing(telemetry.OTLPOptions{
		Endpoint: s.OTLPEndpoint, Headers: s.OTLPHeaders, Service: Program, Version: a.opts.Version, Log: a.opts.Log, Now: a.opts.Now,
	}, s.TracesRatio)
	metrics.SpansDropped(Program, a.traces.Lost)
	return err
}
