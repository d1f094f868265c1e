// SPDX-License-Identifier: Apache-2.0

// Package authz decides who may call a bearer route: a route's rule and what the
// request presents go in, a caller or a refusal comes out. Every bearer route runs
// the same steps in the same order; none is skipped by a path's prefix.
package authz
