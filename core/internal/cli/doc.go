// SPDX-License-Identifier: Apache-2.0

// Package cli is every command of core. A command reads the settings, calls a
// service and says what came of it; it decides nothing.
package cli
