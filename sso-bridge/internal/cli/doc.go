// SPDX-License-Identifier: Apache-2.0

// Package cli holds the commands of sso-bridge: it reads arguments, has package app or a
// serving process do the work, and writes what people and scripts read.
package cli
