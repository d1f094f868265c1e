// SPDX-License-Identifier: Apache-2.0

// Package serviceapi speaks Dify's Service API to the runtimes of apps. It is the only
// package of core that calls them.
package serviceapi
