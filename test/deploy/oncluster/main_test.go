// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"os"
	"testing"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// A container begins as this program, which becomes what it runs: between the two it
// takes its namespaces, its root and its user, as a container runtime does.
func TestMain(m *testing.M) {
	if spec := os.Getenv(specVariable); spec != "" {
		become(spec)
	}
	process.Main(m)
}
