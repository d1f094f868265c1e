// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Floor is the least version of a dependency, below which a defect is known.
type Floor struct {
	Module  string
	Version string // v1.2.3
	Why     string
}

// floors of every module; each is also required directly, so that a dependency's
// older wish is never selected.
var floors = []Floor{
	{"github.com/gofiber/fiber/v2", "v2.52.15", "advisories below 2.52.13 (CVE-2026-25882, CVE-2026-42554)"},
	{"github.com/valyala/fasthttp", "v1.77.0", "request smuggling by framing and chunk extensions, GO-2026-4950; fiber asks for 1.51.0"},
	{"github.com/jackc/pgx/v5", "v5.12.0", "advisories below 5.9.2"},
	{"github.com/redis/go-redis/v9", "v9.7.3", "answers out of order below 9.7.3"},
	{"github.com/russellhaering/goxmldsig", "v1.6.1", "CVE-2026-33487, GHSA-qhrp-hfff-vphr"},
	{"github.com/beevik/etree", "v1.8.1", "depth limit, token sanitising"},
	{"github.com/go-jose/go-jose/v4", "v4.1.8", "CVE-2026-34986, CVE-2026-116586 (stack)"},
	{"github.com/coreos/go-oidc/v3", "v3.21.0", "older ones ask for an older go-jose"},
	{"github.com/crewjam/saml", "v0.5.1", "GO-2026-6909 is open: answered by a reader of our own"},
	{"github.com/hashicorp/go-retryablehttp", "v0.7.8", "addresses with secrets in logs below 0.7.7"},
	{"golang.org/x/oauth2", "v0.27.0", "memory by malformed tokens below 0.27.0"},
	{"golang.org/x/crypto", "v0.58.0", "GO-2026-6355 and ssh advisories"},
	{"modernc.org/sqlite", "v1.61.1", "SQLite 3.54.1; goose asks for an older one"},
	{"github.com/pressly/goose/v3", "v3.29.0", "provider API, session lock"},
}

// exact are versions that another module dictates.
var exact = []Floor{{"modernc.org/libc", "v1.79.0", "modernc.org/sqlite is generated against exactly this one"}}

// leastGo is the least toolchain (GO-2026-6088, depth in encoding/xml).
const leastGo = "v1.26.6"

// Floors compares the versions that the packages and tests of the module in the
// working directory are built with, inside the workspace and alone.
func Floors(t testing.TB) {
	t.Helper()
	for _, alone := range []bool{false, true} {
		var env []string
		if alone {
			env = []string{"GOWORK=off"}
		}
		out := goCommand(t, env, "list", "-deps", "-test", "-f", "{{with .Module}}{{.Path}} {{.Version}} {{.GoVersion}} {{.Main}}{{end}}", "./...")
		for _, problem := range tooOld(string(out)) {
			t.Errorf("%s (GOWORK off: %v)", problem, alone)
		}
	}
}

// FloorsOf compares the versions that a binary says it is made of.
func FloorsOf(t testing.TB, binary []byte) {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	// The main module is the one of the program; of a binary its Go is the one that built it.
	goVersion, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	listing := fmt.Sprintf("%s %s %s true\n", info.Main.Path, info.Main.Version, goVersion)
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		listing += fmt.Sprintf("%s %s - false\n", m.Path, m.Version)
	}
	if len(info.Deps) == 0 {
		t.Error("the binary names no module that it is made of")
	}
	for _, problem := range tooOld(listing) {
		t.Error(problem)
	}
}

// tooOld reads lines of "path version goVersion main".
func tooOld(listing string) (problems []string) {
	seen := map[string]bool{}
	found := false
	for line := range strings.Lines(listing) {
		if seen[line] {
			continue
		}
		seen[line] = true
		fields := strings.Split(strings.TrimSpace(line), " ")
		if len(fields) != 4 {
			continue
		}
		path, version, goVersion, main := fields[0], fields[1], fields[2], fields[3]
		if main == "true" {
			found = true
			if less("v"+goVersion, leastGo) {
				problems = append(problems, fmt.Sprintf("%s asks for Go %s, less than %s", path, goVersion, leastGo))
			}
		}
		for _, f := range floors {
			if f.Module == path && less(version, f.Version) {
				problems = append(problems, fmt.Sprintf("%s %s is below %s: %s", path, version, f.Version, f.Why))
			}
		}
		for _, f := range exact {
			if f.Module == path && version != f.Version {
				problems = append(problems, fmt.Sprintf("%s is %s, not %s: %s", path, version, f.Version, f.Why))
			}
		}
	}
	if !found {
		problems = append(problems, "the listing names no main module")
	}
	return problems
}

// less compares v1.2.3 forms; a pre-release or a form that it does not know is less.
func less(a, b string) bool {
	x, okA := numbers(a)
	y, okB := numbers(b)
	return !okA || !okB || slices.Compare(x, y) < 0
}

func numbers(version string) ([]int, bool) {
	body, ok := strings.CutPrefix(version, "v")
	if !ok || strings.Contains(body, "-") {
		return nil, false
	}
	body, _, _ = strings.Cut(body, "+")
	var out []int
	for part := range strings.SplitSeq(body, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, false
		}
		out = append(out, n)
	}
	for len(out) < 3 {
		out = append(out, 0)
	}
	return out, true
}
