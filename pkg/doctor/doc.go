// SPDX-License-Identifier: Apache-2.0

// Package doctor examines an installation and says what it has found in plain sentences.
// A check is a small function over what it looks at; both services put theirs together.
package doctor
