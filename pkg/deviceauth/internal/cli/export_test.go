// SPDX-License-Identifier: Apache-2.0

package cli

import "net/http"

// Network is the transport that System leaves to the command.
func Network() http.RoundTripper { return network() }

// Explain gives the words for an error that no server is to blame for.
func Explain(err error) (code, text string) {
	f := (&command{}).explain(err)
	return f.Code, f.Message
}
