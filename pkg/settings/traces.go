// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// Traces judges where traces go. The headers are not repeated.
func Traces(problems *config.Problems, endpoint string, headers secret.Text, ratio string) {
	if endpoint != "" {
		if _, err := telemetry.OTLPEndpoint(endpoint); err != nil {
			problems.Add("OTEL_EXPORTER_OTLP_ENDPOINT", "%s", err)
		}
	}
	if _, err := telemetry.OTLPHeaders(headers); err != nil {
		problems.Add("OTEL_EXPORTER_OTLP_HEADERS", "%s", err)
	}
	if _, err := telemetry.Ratio(ratio); err != nil {
		problems.Add("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1, such as 0.05")
	}
}
