// SPDX-License-Identifier: Apache-2.0

// Package workspace owns workspaces, who belongs to them and in which role. People
// belong to package account.
package workspace
