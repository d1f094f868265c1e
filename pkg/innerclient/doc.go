// SPDX-License-Identifier: Apache-2.0

// Package innerclient sends signed requests from one service to the other's second
// listener (docs/specs/v1.0/server/sso.md, Inner requests). What is asked, how often, and
// what an answer means is the caller's matter.
package innerclient
