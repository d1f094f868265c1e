// SPDX-License-Identifier: Apache-2.0

// Package fault proves a fleet from outside: processes of the built core on one
// Postgres and one Redis, with a proxy between them that refuses, delays and cuts.
// It knows no package of core; it speaks HTTP, and looks into both stores afterwards.
//
// "make test" runs a tenth of the rounds, "make fault" all of them.
package fault
