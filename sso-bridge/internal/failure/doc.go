// SPDX-License-Identifier: Apache-2.0

// Package failure is the catalogue of causes for which a company sign-in is refused:
// each with its stable code, the public code that the person sees, what it means and how
// it is mended. It knows no protocol; those who refuse name a code and what they
// expected and got.
package failure
