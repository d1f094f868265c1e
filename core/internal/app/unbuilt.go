// SPDX-License-Identifier: Apache-2.0

package app

import (
	"strings"

	"github.com/dify-sso/dify-sso/pkg/config"
)

// unbuilt are settings of the specification that this version does not have, each
// with the value that changes nothing. Another value in the environment refuses the
// start: whoever turns the Enterprise Edition on must not find the other one running. A
// key leaves this list when its feature is built.
var unbuilt = map[string]string{
	"ENTERPRISE_ENABLED": "false", "SSO_BRIDGE_URL": "", "KEYSET_FILE": "",
}

// judgeUnbuilt refuses settings that would be ignored. The values, which may be
// secrets, are not repeated.
func judgeUnbuilt(environ []string, problems *config.Problems) {
	for _, entry := range environ {
		key, value, _ := strings.Cut(entry, "=")
		harmless, known := unbuilt[key]
		if known && value != "" && !strings.EqualFold(value, harmless) {
			problems.Add(key, "is not supported by this version; unset it (docs/config.md lists what is)")
		}
	}
}
