// SPDX-License-Identifier: Apache-2.0

// Package faulttest plans what goes wrong with a store, and when, for the wrappers that
// each service's tests put around the stores they have.
package faulttest
