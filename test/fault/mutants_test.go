// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mutant is a bug that somebody could well write, and who must notice it.
type mutant struct {
	name     string
	file     string // from the root of the repository
	from, to string // from stands in the file once
	suite    string // package of the tests
	run      string // the tests, which pass without the bug
	finds    string // begins the name of the one that must not
}

// Each of them is caught by a suite that knows nothing of it. Should the code move on,
// the text to replace is not found, and this list has to move on as well.
var mutants = []mutant{
	{
		name:  "a revoke in Redis that deletes what is cached and leaves no tombstone",
		file:  "core/internal/redisstore/bearers.go",
		from:  `Args: []any{"set", s.key(d), tombstone, "px", token.BuriedFor.Milliseconds()}`,
		to:    `Args: []any{"del", s.key(d)}`,
		suite: "./core/internal/redisstore", run: "^TestBearers$/^with_a_prefix$/^what_outweighs_what$",
		finds: "TestBearers/with_a_prefix/what_outweighs_what/TK-9_TOK-04",
	},
	{
		name:  "a revoke in process that deletes what is cached and leaves no tombstone",
		file:  "core/internal/memstore/bearers.go",
		from:  "\t\ts.buried[d] = until\n",
		to:    "",
		suite: "./core/internal/memstore", run: "^TestBearers$",
		finds: "TestBearers/what_outweighs_what/TK-9_TOK-04",
	},
	{
		name:  "an approval in Redis that does not ask whether the grant is pending",
		file:  "core/internal/redisstore/grants_script.go",
		from:  "if g.status ~= 'pending' then\n\treturn {g.transition == transition and 1 or 2}\nend\n",
		to:    "",
		suite: "./core/internal/redisstore", run: "^TestGrants$/^with_a_prefix$",
		finds: "TestGrants/with_a_prefix/DF-39_decisions/INV-1",
	},
	{
		name:  "an approval in process that does not ask whether the grant is pending",
		file:  "core/internal/memstore/grants.go",
		from:  "\tif g.State != devicegrant.Pending {\n\t\tif g.Transition == d.Transition {\n\t\t\treturn nil\n\t\t}\n\t\treturn devicegrant.ErrAlreadyResolved\n\t}\n",
		to:    "",
		suite: "./core/internal/memstore", run: "^TestGrants$",
		finds: "TestGrants/DF-39_decisions/INV-1",
	},
	{
		name: "a limit in Redis that is asked in one trip and counted in the next",
		file: "pkg/ratelimit/redislimit/store.go",
		from: "\treturn s.run(ctx, takeScript, p, scope, Args(p, s.clock(now)))\n",
		to: `	ask := redisdb.NewScript(load + result + "return {" + Reply + "}")
	r, err := s.run(ctx, ask, p, scope, Args(p, s.clock(now)))
	if err != nil || !r.Allowed {
		return r, err
	}
	time.Sleep(5 * time.Millisecond)
	add := redisdb.NewScript(load + "tat = (tat > at and tat or at) + emission " + store + result + "allowed = 1 return {" + Reply + "}")
	return s.run(ctx, add, p, scope, Args(p, s.clock(now)))
`,
		suite: "./pkg/ratelimit/redislimit", run: "^TestConformance$/^with_a_prefix$",
		finds: "TestConformance/with_a_prefix/LIM-2_RL-03",
	},
	{
		name: "a limit in process that is asked under one lock and counted under the next",
		file: "pkg/ratelimit/memory.go",
		from: "c.locked <= at && next-at <= span {\n\t\tc.tat = next\n",
		to: `c.locked <= at && next-at <= span {
		m.mu.Unlock()
		time.Sleep(time.Millisecond)
		m.mu.Lock()
		if again := m.find(p, scope, at); again != nil {
			c = again
		}
		c.tat = max(c.tat, at) + emission
`,
		suite: "./pkg/ratelimit", run: "^TestMemory$",
		finds: "TestMemory/LIM-2_RL-03",
	},
}

func TestSuitesFindWhatIsPutIn(t *testing.T) {
	if testing.Short() {
		t.Skip("builds test binaries")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for _, with := range []struct{ what, overlay, result string }{
				{"without the bug", "", "pass"}, {"with the bug", m.overlay(t, root), "fail"},
			} {
				results, said := m.test(t, root, with.overlay)
				found := slices.ContainsFunc(results, func(r result) bool { return r.Action == with.result && strings.HasPrefix(r.Test, m.finds) })
				broken := slices.ContainsFunc(results, func(r result) bool { return r.Action == "fail" && r.Test != "" })
				if !found || broken != (with.result == "fail") {
					t.Fatalf("%s: no %s of %s\n%s", with.what, with.result, m.finds, said)
				}
			}
		})
	}
}

// overlay writes the file with the bug beside a list that puts it in the place of the
// right one, for one build alone.
func (m mutant) overlay(t *testing.T, root string) (list string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(m.file))
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.from); n != 1 {
		t.Fatalf("%s holds the text to replace %d times: the code has moved on, and this bug with it", m.file, n)
	}
	dir := t.TempDir()
	wrong := filepath.Join(dir, "wrong.go")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: wrong}})
	if err != nil {
		t.Fatal(err)
	}
	list = filepath.Join(dir, "overlay.json")
	for name, content := range map[string][]byte{wrong: []byte(strings.Replace(string(source), m.from, m.to, 1)), list: text} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// result is a line of "go test -json"; one without a test is about the build or the
// package.
type result struct{ Action, Test, Output string }

func (m mutant) test(t *testing.T, root, overlay string) (results []result, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	args := []string{"test", "-json", "-count=1", "-vet=off", "-run", m.run}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, m.suite)...)
	cmd.Dir = root
	out, _ := cmd.CombinedOutput() // how it ended is in what it says
	for line := range strings.Lines(string(out)) {
		var r result
		if json.Unmarshal([]byte(line), &r) == nil {
			results = append(results, r)
			said += r.Output
		} else {
			said += line
		}
	}
	return results, said
}
