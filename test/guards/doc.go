// SPDX-License-Identifier: Apache-2.0

// Guards takes the guards of the code away, one at a time, and asks the tests whether
// they notice. A guard is whatever refuses: an entry of a route's chain, a condition
// whose branch returns, a part of a WHERE. list.go says where guards stand and which
// tests know of them; the guards themselves are found in the source, so that a new
// condition in a function of the list is one more guard without a line of its own.
//
// Nothing in the tree changes: "go test -overlay" puts other files in the place of the
// right ones. In them each guard has a switch, so that tests are built once and told by
// the environment which guard is off; a guard in SQL or Lua is taken away by a build of
// its own. A guard that no test notices is a missing test or
// dead code, and the command ends with 1.
//
// "make guards" runs all of them and writes docs/reference/guards.md; -missing runs
// those that have no line there, -only those whose name fits a pattern. The tests of this
// package hold that document, the list and the code together, and run no guard.
package main
