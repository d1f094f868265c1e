// SPDX-License-Identifier: Apache-2.0

// Package egress owns the guarded HTTP clients for addresses that a peer or an
// administrator influences: Client for discovery documents, key sets, token and userinfo
// endpoints, Runtime for the runtimes of apps. One dialer serves both.
// It judges where a call may go, bounds what may come back, follows nothing, and repeats
// only what is safe to repeat. What an answer means is its caller's business.
package egress
