// SPDX-License-Identifier: Apache-2.0

// Package webui holds the pages of the bridge: what a person reads when a sign-in has
// failed, and what an administrator reads after a connection test. Templates, texts in
// English and Chinese and one style sheet are embedded. It decides nothing.
package webui
