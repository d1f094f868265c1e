// SPDX-License-Identifier: Apache-2.0

// Package monitored has a real Prometheus judge the alerts and answer every query of the
// dashboard, from real processes of both services.
package monitored
