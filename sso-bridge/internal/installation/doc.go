// SPDX-License-Identifier: Apache-2.0

// Package installation owns what one installation of the bridge is known by: the canary
// that tells whether SECRET_KEY and the sealing key are still those of its database, and
// the key under which secrets have their fingerprints, made once and never changed.
package installation
