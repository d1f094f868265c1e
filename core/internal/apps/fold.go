// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Fold brings a name and what is searched in it to one spelling: NFKC, lower case.
// Engines differ in what they fold, so none of them does.
func Fold(s string) string { return norm.NFKC.String(strings.ToLower(norm.NFKC.String(s))) }
