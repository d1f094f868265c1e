// SPDX-License-Identifier: Apache-2.0

// Package workspace owns workspaces, who belongs to them and in which role, and the
// invitations by which people come to belong. Nobody gets into one by another's act
// alone: an account is a member once it has accepted. People belong to package account;
// what ends when one becomes active is package access's.
package workspace
