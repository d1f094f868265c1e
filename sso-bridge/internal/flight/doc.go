// SPDX-License-Identifier: Apache-2.0

// Package flight lets logins that need the same document of a provider wait for one call.
package flight
