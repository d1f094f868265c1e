// SPDX-License-Identifier: Apache-2.0

// Package idptest is an OpenID provider in process that behaves, and misbehaves on
// demand: whatever it says can be changed, and Attacks lists what a relying party must
// withstand. It is for tests alone.
package idptest
