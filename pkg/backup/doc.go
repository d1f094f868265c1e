// SPDX-License-Identifier: Apache-2.0

// Package backup makes one file of an embedded installation, its database as it is at one moment
// and the keys that lie beside it, and brings it back. It knows no database: each service says how
// its own is copied, and how a copy is judged.
package backup
