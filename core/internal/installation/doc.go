// SPDX-License-Identifier: Apache-2.0

// Package installation owns what exists once per installation: whether it is set
// up, the set-up code that lets the first owner in, that first owner with their
// workspace, and the canary that notices a changed key before it does harm.
package installation
