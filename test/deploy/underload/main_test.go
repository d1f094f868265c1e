// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"flag"
	"os"
	"testing"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

func TestMain(m *testing.M) {
	// The scenarios wait for seconds and compute for moments: more of them at once than there
	// are processors. A flag of the command line wins.
	if err := flag.Set("test.parallel", "5"); err != nil {
		panic(err)
	}
	process.Main(m)
}

// full is what "make ha" runs: a load for minutes, one scenario at a time, and a report.
func full() bool { return os.Getenv("ROUNDS") == "full" }

// sized gives one number for "make test" and one for "make ha".
func sized(short, long int) int {
	if full() {
		return long
	}
	return short
}
