// SPDX-License-Identifier: Apache-2.0

// Package coreclient tells core, over its second listener, what has ended. It is the only
// package of the bridge that calls core, and no login needs it.
package coreclient
