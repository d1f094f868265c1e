// SPDX-License-Identifier: Apache-2.0

// Package token owns bearer tokens: the kinds and their scopes by prefix, minting,
// resolving, expiring and ending them, and the per-subject epochs that make a
// revocation reach an approval nobody has redeemed yet. It never sees HTTP; who
// may call what with a token is package authz's business.
package token
