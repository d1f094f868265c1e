// SPDX-License-Identifier: Apache-2.0

// Package echo is a runtime in this process, for development and tests: it answers what it
// was asked, checks inputs as a runtime does, keeps conversations and files in memory, and
// pauses where it is told to. What it keeps is bounded in number, bytes and age, and lost
// when the process ends; processes of a fleet do not know each other's.
package echo
