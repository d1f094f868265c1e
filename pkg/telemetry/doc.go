// SPDX-License-Identifier: Apache-2.0

// Package telemetry makes the structured log and the metrics registry. Both redact:
// no secret, address or label of a person reaches a log line by accident or a metric
// label at all.
package telemetry
