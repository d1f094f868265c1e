// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The page that people read promises the events that the suites send through core, and no
// other: a name that is dropped there or here fails.
func TestThePageOfTheAPI(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(raw), "| Event | In modes |")
	table, _, end := strings.Cut(table, "\n\n")
	if !ok || !end {
		t.Fatal("api.md has no table of events")
	}
	var promised []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				promised = append(promised, m[1])
			}
		}
	}
	replayed := []string{"error", "human_input_required", "workflow_paused"}
	for _, e := range dcEvents {
		if name := regexp.MustCompile(`"event":"([^"]+)"`).FindStringSubmatch(e)[1]; name != "a_name_of_tomorrow" {
			replayed = append(replayed, name)
		}
	}
	slices.Sort(promised)
	slices.Sort(replayed)
	t.Run("M-27 it promises the events that are replayed", func(t *testing.T) {
		if diff := cmp.Diff(slices.Compact(replayed), promised); diff != "" {
			t.Error(diff)
		}
	})
}

// Every test that the page about difyctl names is there, under that name.
func TestThePageAboutDifyctl(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/reference/difyctl.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{} // of a test function, until the next one
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	begin := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := begin.FindAllSubmatchIndex(source, -1)
		for i, m := range at {
			end := len(source)
			if i+1 < len(at) {
				end = at[i+1][0]
			}
			sources[string(source[m[2]:m[3]])] = string(source[m[0]:end])
		}
	}
	named := regexp.MustCompile("`(Test\\w+)(?:/([^`]+))?`").FindAllStringSubmatch(string(raw), -1)
	if len(named) < 80 {
		t.Errorf("it names %d tests", len(named))
	}
	for _, n := range named {
		if source, ok := sources[n[1]]; !ok || n[2] != "" && !strings.Contains(source, strconv.Quote(n[2])) {
			t.Errorf("nobody has %s/%s", n[1], n[2])
		}
	}
	t.Run("M-26 each test of difyctl stands on the page", func(t *testing.T) {
		for name := range sources {
			if strings.HasPrefix(name, "TestDifyctl") && !strings.Contains(string(raw), "`"+name) {
				t.Errorf("%s is missing", name)
			}
		}
	})
}
