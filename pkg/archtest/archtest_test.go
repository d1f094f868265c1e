// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"slices"
	"strings"
	"testing"
)

func TestArrows(t *testing.T) {
	packages := []Package{
		{Path: "core/a", Imports: []string{"core/b", "net/http"}},
		{Path: "core/b", Imports: []string{"pkg/x"}},
	}
	for _, tc := range []struct {
		name string
		rows []Row
		want string
	}{
		{"as drawn", []Row{{Package: "a", May: []string{"core/b"}}, {Package: "b", May: []string{"pkg/x"}}}, ""},
		{"an arrow too many", []Row{{Package: "a"}, {Package: "b", May: []string{"pkg/x"}}}, "core/a imports core/b"},
		{"an arrow that is gone", []Row{{Package: "a", May: []string{"core/b", "pkg/x"}}, {Package: "b", May: []string{"pkg/x"}}}, "core/a does not import pkg/x"},
		{"a package without a row", []Row{{Package: "a", May: []string{"core/b"}}}, "core/b has no row"},
		{"a row without a package", []Row{{Package: "a", May: []string{"core/b"}}, {Package: "b", May: []string{"pkg/x"}}, {Package: "c"}}, "core/c has a row"},
	} {
		t.Run(tc.name, func(t *testing.T) { one(t, arrows("core", packages, tc.rows), tc.want) })
	}
}

func TestBans(t *testing.T) {
	packages := []Package{{Path: "core/a", Deps: []string{"github.com/x/saml/xmlenc"}}, {Path: "core/ab"}}
	for _, tc := range []struct {
		name string
		ban  Ban
		want string
	}{
		{"out of reach", Ban{From: "core", Never: []string{"github.com/x/sam"}}, ""},
		{"within reach", Ban{From: "core", Never: []string{"github.com/x/saml"}, Why: "no"}, "core/a reaches github.com/x/saml/xmlenc: no"},
		{"an exception", Ban{From: "core/a", Never: []string{"github.com/x/saml"}, But: []string{"github.com/x/saml/xmlenc"}}, ""},
		{"another package", Ban{From: "core/ab", Never: []string{"github.com/x/saml"}}, ""},
		{"nobody is meant", Ban{From: "core/z"}, "no package is called core/z"},
	} {
		t.Run(tc.name, func(t *testing.T) { one(t, broken(packages, []Ban{tc.ban}), tc.want) })
	}
}

func TestTestsOnly(t *testing.T) {
	one(t, leaked([]Package{{Path: "core/a", Imports: []string{"core/storetest"}}}), "core/a imports core/storetest")
	one(t, leaked([]Package{{Path: "core/a", Imports: []string{"pkg/testserver"}}}), "core/a imports pkg/testserver")
	one(t, leaked([]Package{{Path: "core/apitest", Imports: []string{"core/storetest", "net/http/httptest"}}, {Path: "core/a", Imports: []string{"net/http/httptest"}}}), "")
}

func TestFloorsAreCompared(t *testing.T) {
	const self = "example.com/m  1.26.6 true\n"
	for _, tc := range []struct{ name, listing, want string }{
		{"new enough", self + "github.com/valyala/fasthttp v1.77.0 1.24 false\n", ""},
		{"newer", self + "github.com/valyala/fasthttp v1.100.0 1.24 false\n", ""},
		{"too old", self + "github.com/valyala/fasthttp v1.76.9 1.24 false\n", "is below v1.77.0"},
		{"a pre-release", self + "github.com/valyala/fasthttp v1.77.1-rc.1 1.24 false\n", "is below"},
		{"another than dictated", self + "modernc.org/libc v1.80.0 1.24 false\n", "not v1.79.0"},
		{"an old toolchain", "example.com/m  1.26.5 true\n", "asks for Go 1.26.5"},
		{"no module", "", "names no main module"},
	} {
		t.Run(tc.name, func(t *testing.T) { one(t, tooOld(tc.listing), tc.want) })
	}
}

func one(t *testing.T, problems []string, want string) {
	t.Helper()
	if want == "" && len(problems) == 0 {
		return
	}
	if want == "" || len(problems) != 1 || !strings.Contains(problems[0], want) {
		t.Errorf("problems %q, want one with %q", problems, want)
	}
}

func TestLoadKnowsThisModule(t *testing.T) {
	if !slices.ContainsFunc(Load(t, "./..."), func(p Package) bool { return p.Path == "pkg/archtest" }) {
		t.Error("Load does not find this package")
	}
}
