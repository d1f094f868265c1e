// SPDX-License-Identifier: Apache-2.0

// Package account owns people with a row in the accounts table and their
// passwords: how a password is hashed, bounded and verified. Sessions belong to
// package console, workspaces to package workspace.
package account
