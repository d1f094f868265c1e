// SPDX-License-Identifier: Apache-2.0

package canon

import "regexp"

// One plain address: a dot-atom (RFC 5322 section 3.2.3), so nothing quoted and no
// display name, and a domain of letters, digits and hyphens.
var plainAddress = regexp.MustCompile(`^[a-z0-9!#$%&'*+/=?^_{|}~` + "`" + `-]+(\.[a-z0-9!#$%&'*+/=?^_{|}~` + "`" + `-]+)*@[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// PlainEmail gives the canonical form of an address that an identity provider asserts, or
// by which a person looks for theirs: that of Email, in ASCII alone and with an unquoted
// local part. It reports false for everything else.
func PlainEmail(s string) (string, bool) {
	// Before anything is folded: the Kelvin sign is k in lower case.
	for i := range len(s) {
		if s[i] > '~' {
			return "", false
		}
	}
	s, ok := Email(s)
	if !ok || !plainAddress.MatchString(s) {
		return "", false
	}
	return s, true
}
