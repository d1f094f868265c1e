// SPDX-License-Identifier: Apache-2.0

package identity

import "strings"

// Domain gives what stands behind the @ of a canonical address.
func Domain(email string) string {
	_, domain, _ := strings.Cut(email, "@")
	return domain
}
