// SPDX-License-Identifier: Apache-2.0

// Package fault proves a fleet from outside: processes of the built core on one
// Postgres and one Redis, with a proxy between them that refuses, delays and cuts.
// It knows no package of core; it speaks HTTP, and looks into both stores afterwards.
//
// testdata/exchanges.golden lists what each step of a client asks the stores. The
// proxies tell these exchanges apart, so that each of them can fail, come late or stand
// still while its process is killed; a table says what the client then reads.
//
// "make test" runs a tenth of the rounds, "make fault" all of them.
package fault
