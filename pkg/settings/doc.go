// SPDX-License-Identifier: Apache-2.0

// Package settings judges settings that every service has: listeners, addresses, TLS,
// stores, times and the log. What only one service has is judged by that service.
package settings
