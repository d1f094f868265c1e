// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// previous builds core as it was before the newest migration: the version before, whose
// program serves while the next one has already changed the schema. It is kept in
// .cache/previous by its commit.
func previous(t testing.TB) (core, commit string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the services")
	}
	root, err := process.Root()
	if err != nil {
		t.Fatal(err)
	}
	migrations, err := filepath.Glob(filepath.Join(root, "migrations", "core", "postgres", "*.sql"))
	if err != nil || len(migrations) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	newest, err := filepath.Rel(root, migrations[len(migrations)-1])
	if err != nil {
		t.Fatal(err)
	}
	added, err := git(root, "log", "--diff-filter=A", "--format=%H", "-1", "--", newest)
	if err == nil && added == "" {
		err = errors.New("no commit adds " + newest)
	}
	if err == nil {
		commit, err = git(root, "rev-parse", added+"^")
	}
	if err != nil {
		// In CI too: a checkout may have no more history than its own commit.
		t.Skipf("the history of this checkout does not reach the version before: %v", err)
	}
	dir := filepath.Join(root, ".cache", "previous", commit)
	core = filepath.Join(dir, "core")
	if _, err := os.Stat(core); err == nil {
		return core, commit
	}
	source := t.TempDir()
	archive := exec.Command("git", "archive", commit)
	archive.Dir = root
	content, err := archive.Output()
	if err != nil {
		t.Fatalf("git archive: %v", err)
	}
	unpack := exec.Command("tar", "-x", "-C", source)
	unpack.Stdin = bytes.NewReader(content)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", core+".new", "./core/cmd/core")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the version before: %v\n%s", err, out)
	}
	if err := os.Rename(core+".new", core); err != nil {
		t.Fatal(err)
	}
	return core, commit
}

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
