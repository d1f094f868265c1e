// SPDX-License-Identifier: Apache-2.0

// Package app is the composition root of the bridge: it reads settings, opens the stores,
// builds every service and serves the two listeners. Nothing else constructs anything.
package app
