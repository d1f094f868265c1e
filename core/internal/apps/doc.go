// SPDX-License-Identifier: Apache-2.0

// Package apps is the registry of apps: what an app is, whose it is, who may use it, and
// how its runtime is reached. What an app does when it runs is its runtime's; package run
// asks for it.
package apps
