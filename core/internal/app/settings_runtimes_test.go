// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"slices"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/app"
)

func TestHostsOfRuntimes(t *testing.T) {
	for list, good := range map[string]bool{
		"": true, "127.0.0.1": true, "localhost,dify.example:8443,10.0.0.0/8,[::1]:5003,fd00::/8": true,
		"http://127.0.0.1": false, "127.0.0.1:0": false, "10.0.0.0/33": false, "dify.example/v1": false, "*": false, "*.example": false, "0177.0.0.1": false,
	} {
		t.Run("API-32 "+list, func(t *testing.T) {
			_, err := app.Load(app.Sources{Environ: []string{"RUNTIME_ALLOWED_HOSTS=" + list}})
			if good != (err == nil) || err != nil && !slices.Equal(keysOf(t, err), []string{"RUNTIME_ALLOWED_HOSTS"}) {
				t.Error(err)
			}
		})
	}
}
