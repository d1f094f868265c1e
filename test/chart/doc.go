// SPDX-License-Identifier: Apache-2.0

// Package chart renders the Helm chart as an operator would and reads the result as
// Kubernetes would: strictly, by every version's schema, and by the restricted standard of
// pod security.
package chart
