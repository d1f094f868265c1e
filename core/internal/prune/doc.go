// SPDX-License-Identifier: Apache-2.0

// Package prune is what core deletes in the background: the rows of its database that
// are over. When it is due, and by which process it is done, pkg/jobs decides.
package prune
