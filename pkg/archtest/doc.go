// SPDX-License-Identifier: Apache-2.0

// Package archtest keeps a module's architecture: which package may import which,
// and which versions of its dependencies are the least. Each module's own tests
// hold the rows; this package asks the go command what is so. Tests alone import it.
package archtest
