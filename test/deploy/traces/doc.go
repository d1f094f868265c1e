// SPDX-License-Identifier: Apache-2.0

// Package traces runs core with a collector of traces, and reads what comes there with the
// messages of OpenTelemetry's own protocol.
package traces
