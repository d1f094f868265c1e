// SPDX-License-Identifier: Apache-2.0

// Package serve lets a service answer on its two listeners and its control socket until
// it is told to end, and then end in order.
package serve
