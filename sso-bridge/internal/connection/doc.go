// SPDX-License-Identifier: Apache-2.0

// Package connection owns the configuration of identity providers: a connection, its
// immutable hashed revisions, their life from draft over tested to enabled, presets, and
// the file that declares them. What is done with a provider is the business of the
// protocol packages and of package login.
package connection
