// SPDX-License-Identifier: Apache-2.0

// Package app is the composition root of core: the one place that knows every
// package, reads the configuration, opens the stores, builds the services and serves
// them. Commands and end-to-end tests alone import it.
package app
