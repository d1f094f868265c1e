// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// wrapped breaks text into lines.
func wrapped(text string, size int, end string) string {
	var lines []string
	for line := range slices.Chunk([]byte(text), size) {
		lines = append(lines, string(line))
	}
	return strings.Join(lines, end)
}

func TestWrappedBase64(t *testing.T) {
	response := signedAssertion(t, sampleText)
	var broken strings.Builder // into pieces of which each makes a line with its break
	for piece := range slices.Chunk([]byte(response), 75) {
		broken.WriteString(string(piece[:min(35, len(piece))]) + "\n" + string(piece[min(35, len(piece)):]))
	}
	for _, tc := range []struct {
		name, response string
		ok             bool
	}{
		{"SAML-27 in one line", response, true},
		{"SAML-27 in lines of MIME", wrapped(response, 76, "\r\n"), true},
		{"SAML-27 in lines of MIME, the last one ended too", wrapped(response, 76, "\r\n") + "\r\n", true},
		{"SAML-27 in lines of PEM", wrapped(response, 64, "\n"), true},
		{"SAML-27 in longer lines", wrapped(response, 80, "\n"), false},
		{"SAML-27 in lines that cut a group", wrapped(response, 62, "\n"), false},
		{"SAML-27 lines ended in two ways", strings.Replace(wrapped(response, 76, "\r\n"), "\r\n", "\n", 1), false},
		{"SAML-27 lines that are ended in another way within", wrapped(broken.String(), 76, "\r\n"), false},
		{"SAML-27 a line ended by a return alone", wrapped(response, 76, "\r"), false},
		{"SAML-27 an empty line", strings.Replace(wrapped(response, 76, "\n"), "\n", "\n\n", 1), false},
		{"SAML-27 an empty line at the end", wrapped(response, 76, "\n") + "\n\n", false},
		{"SAML-27 a short line in between", response[:60] + "\n" + wrapped(response[60:], 76, "\n"), false},
		{"SAML-27 a long last line", response[:4] + "\n" + response[4:], false},
		{"SAML-27 a line break first", "\n" + response, false},
		{"SAML-27 a blank", response[:8] + " " + response[8:], false},
		{"SAML-27 a blank at the end", response + " ", false},
		{"SAML-27 nothing but a line break", "\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.ok {
				accepted(t, tc.response, expected())
				return
			}
			_ = refusal(t, tc.response, expected(), failure.SAMLMalformed)
		})
	}
}
