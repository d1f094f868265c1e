// SPDX-License-Identifier: Apache-2.0

// Package ownkeys loads the keys that a service has for itself: SECRET_KEY, from which one
// key per purpose is derived, and the sealing keys. An embedded installation makes them in
// its data directory on first start and rotates them there.
package ownkeys
