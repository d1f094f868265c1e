// SPDX-License-Identifier: Apache-2.0

// Package underload takes parts of a fleet away while people sign in, devices poll, tokens
// are used and runs stream, and counts what each of them noticed. "make ha" writes
// docs/reliability.md from a run; "make test" runs each scenario once with a small load.
package underload
