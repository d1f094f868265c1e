// SPDX-License-Identifier: Apache-2.0

// Package supply_test looks at what the product is built from and given away with: modules,
// packages of npm, licences, and the configuration of a release.
package supply_test

import (
	"encoding/json"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// files gives what git would commit, below the root.
func files(t *testing.T) (root string, list []string) {
	t.Helper()
	root, err := process.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("which files are of the repository: %v", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(out), "\x00"), "\x00") {
		if info, err := os.Lstat(filepath.Join(root, name)); err == nil && info.Mode().IsRegular() {
			list = append(list, name)
		}
	}
	if len(list) < 500 {
		t.Fatalf("%d files: is that the repository?", len(list))
	}
	return root, list
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// run runs a program in the root.
func run(t *testing.T, root, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said)
	}
	return string(said)
}

func TestModulesAreThoseThatWereMeant(t *testing.T) {
	root, list := files(t)
	t.Run("SUP-02 each module that needs others has their digests, and stands in for none but by a folder of ours", func(t *testing.T) {
		modules := 0
		for _, name := range list {
			if filepath.Base(name) != "go.mod" {
				continue
			}
			modules++
			var m struct {
				Require []struct{ Path, Version string }
				Replace []struct {
					Old, New struct{ Path, Version string }
				}
			}
			if err := json.Unmarshal([]byte(run(t, filepath.Join(root, filepath.Dir(name)), "go", "mod", "edit", "-json")), &m); err != nil {
				t.Fatal(err)
			}
			for _, r := range m.Replace {
				if r.New.Version != "" || !strings.HasPrefix(r.New.Path, "../") {
					t.Errorf("%s replaces a module by %s %s", name, r.New.Path, r.New.Version)
				}
			}
			ours := map[string]bool{}
			for _, r := range m.Replace {
				ours[r.Old.Path] = true
			}
			sums := filepath.Join(filepath.Dir(name), "go.sum")
			for _, r := range m.Require {
				if ours[r.Path] {
					continue
				}
				if !slices.Contains(list, sums) || !strings.Contains(read(t, root, sums), r.Path+" "+r.Version+"/go.mod h1:") {
					t.Errorf("%s has no digest of %s %s", sums, r.Path, r.Version)
				}
			}
		}
		if modules < 10 {
			t.Errorf("%d modules", modules)
		}
	})
	t.Run("SUP-02 what was fetched is what was fetched first", func(t *testing.T) {
		if said := run(t, root, "go", "mod", "verify"); !strings.Contains(said, "all modules verified") {
			t.Error(said)
		}
	})
	t.Run("SUP-02 nothing turns a check off or takes whatever is newest", func(t *testing.T) {
		never := regexp.MustCompile(`-mod=mod|GONOSUMDB|GONOSUMCHECK|GOINSECURE|GOSUMDB=off|GOFLAGS=-insecure|@latest|npm (install|i|update)\b|curl [^|]*\| *(ba)?sh`)
		looked := 0
		for _, name := range list {
			if ext := filepath.Ext(name); name != "Makefile" && ext != ".mk" && ext != ".sh" && ext != ".yaml" && ext != ".yml" && !strings.HasPrefix(name, ".ci/") && !strings.Contains(name, "Dockerfile") {
				continue
			}
			looked++
			for line := range strings.Lines(read(t, root, name)) {
				if found := never.FindString(line); found != "" && !strings.HasPrefix(strings.TrimSpace(line), "#") {
					t.Errorf("%s says %q", name, found)
				}
			}
		}
		if looked < 10 || !never.MatchString("go run example.com/x@latest") {
			t.Errorf("looked at %d files", looked)
		}
		if got := strings.TrimSpace(run(t, root, "go", "env", "GOSUMDB")); got == "off" {
			t.Error("GOSUMDB is off on this machine")
		}
	})
}

func TestPackagesOfNPMAreLocked(t *testing.T) {
	root, list := files(t)
	t.Run("SUP-02 packages of npm come by a lock file with digests and run no script", func(t *testing.T) {
		found := 0
		for _, name := range list {
			if filepath.Base(name) != "package.json" {
				continue
			}
			found++
			lock := filepath.Join(filepath.Dir(name), "package-lock.json")
			if !slices.Contains(list, lock) {
				t.Errorf("%s has no lock file", name)
				continue
			}
			var l struct {
				LockfileVersion int
				Packages        map[string]struct {
					Version, Integrity string
					Link               bool
				}
			}
			if err := json.Unmarshal([]byte(read(t, root, lock)), &l); err != nil {
				t.Fatal(err)
			}
			if l.LockfileVersion < 3 || len(l.Packages) < 2 {
				t.Errorf("%s is of version %d with %d packages", lock, l.LockfileVersion, len(l.Packages))
			}
			for path, p := range l.Packages {
				if path != "" && !strings.HasPrefix(p.Integrity, "sha512-") {
					t.Errorf("%s: %s has no digest", lock, path)
				}
			}
		}
		if found == 0 {
			t.Error("no package.json: is npm still used?")
		}
		calls := regexp.MustCompile(`npm (ci|install|exec|run)[^\n]*`).FindAllString(read(t, root, "scripts", "deps.sh"), -1)
		if len(calls) == 0 {
			t.Error("deps.sh fetches nothing")
		}
		for _, call := range calls {
			if !strings.HasPrefix(call, "npm ci ") || !strings.Contains(call, "--ignore-scripts") {
				t.Errorf("deps.sh calls %q", call)
			}
		}
	})
}

// headless are files that cannot say it or that are data: their folder's licence is LICENSE.
var headless = regexp.MustCompile(`\.(md|json|png|svg|sum|mod|work|html|css|sql|txt|golden|pem|tpl|der|tape|gitkeep)$|(^|/)(LICENSE|NOTICE|testdata/.*|\.helmignore)$`)

func TestEveryFileSaysItsLicence(t *testing.T) {
	root, list := files(t)
	looked := 0
	for _, name := range list {
		if headless.MatchString(name) {
			continue
		}
		looked++
		head := read(t, root, name)
		if lines := strings.SplitN(head, "\n", 4); !strings.Contains(strings.Join(lines[:min(3, len(lines))], "\n"), "SPDX-License-Identifier: Apache-2.0") {
			t.Errorf("%s does not say its licence in its first lines", name)
		}
	}
	if looked < 300 {
		t.Errorf("looked at %d files", looked)
	}
}

func TestNoticeIsTheModules(t *testing.T) {
	root, _ := files(t)
	cmd := exec.Command("go", "run", "./deploy/image", "notice")
	cmd.Dir = root
	want, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != read(t, root, "NOTICE") {
		t.Error(`NOTICE is not what the modules say: run "make notice"`)
	}
}

// The release's configuration is checked by goreleaser itself in "make release-snapshot",
// which takes minutes. Here: that it builds each program with the flags of "make build",
// and that each file that it names is there.
func TestTheReleaseBuildsWhatMakeBuilds(t *testing.T) {
	root, _ := files(t)
	config := read(t, root, ".goreleaser.yaml")
	for _, program := range []string{"./core/cmd/core", "./sso-bridge/cmd/sso-bridge", "./pkg/deviceauth/cmd/difyauth"} {
		if !strings.Contains(config, "main: "+program+"\n") || !strings.Contains(read(t, root, "Makefile"), "build.sh "+program+" ") {
			t.Errorf("%s is not built on both ways", program)
		}
	}
	for _, line := range []string{"version: 2", "GOFLAGS={{ .Env.BUILD_FLAGS }}", "{{ .Env.LINK_FLAGS }} -X main.version={{ .Env.VERSION }}", "goamd64: [v1]", "goarm64: [v8.0]", "algorithm: sha256"} {
		if !strings.Contains(config, line) {
			t.Errorf(".goreleaser.yaml has no %q", line)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)(?:src|postinstall|postremove): (\S+)$`).FindAllStringSubmatch(config, -1) {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf(".goreleaser.yaml takes %s, which is not there", m[1])
		}
	}
	flags := run(t, root, "sh", "scripts/flags.sh")
	for _, flag := range []string{"-trimpath", "-buildvcs=false", "-tags=nethttpomithttp2"} {
		if !slices.Contains(strings.Fields(flags), flag) {
			t.Errorf("scripts/flags.sh has no %s", flag)
		}
	}
	if build := read(t, root, "scripts/build.sh"); strings.Count(build, "flags.sh") != 2 {
		t.Error("scripts/build.sh does not take its flags from scripts/flags.sh")
	}
}

// leastReleased is the oldest Go whose library has no known vulnerability that the programs
// call: GO-2026-6809.
const leastReleased = "go1.26.10"

func TestReleasesAreOfAGoWithoutKnownVulnerabilities(t *testing.T) {
	t.Run("SUP-01 go.work names it, and what is given away is built with it on every machine", func(t *testing.T) {
		root, _ := files(t)
		named := regexp.MustCompile(`(?m)^toolchain (go\S+)$`).FindStringSubmatch(read(t, root, "go.work"))
		if named == nil || version.Compare(named[1], leastReleased) < 0 {
			t.Errorf("go.work names %v, want at least %s", named, leastReleased)
		}
		makefile := read(t, root, "Makefile")
		for _, target := range []string{"images", "release-snapshot", "vulncheck"} {
			recipe, _, _ := strings.Cut(makefile[strings.Index(makefile, "\n"+target+":")+1:], "\n\n")
			if !strings.Contains(recipe, "@GOTOOLCHAIN=$(RELEASE_GO) ") {
				t.Errorf("make %s takes whatever Go is there", target)
			}
		}
	})
}

// A Dockerfile and the command make the same image: the same files, user and command.
func TestTheDockerfileIsTheImage(t *testing.T) {
	root, _ := files(t)
	file := read(t, root, "deploy/image/Dockerfile")
	for _, part := range []string{"FROM scratch AS base\n", "\nUSER 65532:65532\nWORKDIR /\n", "\nENTRYPOINT [\"/core\"]\nCMD [\"serve\"]\n", "\nENTRYPOINT [\"/sso-bridge\"]\nCMD [\"serve\"]\n",
		"\nCOPY dist/rootfs/root/ /\n", "\nCOPY --chown=65532:65532 dist/rootfs/user/ /\n"} {
		if !strings.Contains(file, part) {
			t.Errorf("the Dockerfile has no %q", part)
		}
	}
	if n := strings.Count(file, "\nCOPY "); n != 4 {
		t.Errorf("it copies %d things, and not the files of root, those of the user, and two programs", n)
	}
	out := t.TempDir()
	run(t, root, "go", "run", "./deploy/image", "rootfs", "--out", out)
	for path, mode := range map[string]os.FileMode{"root/tmp": 0o777 | os.ModeSticky, "root/etc/passwd": 0o644, "root/etc/ssl/certs/ca-certificates.crt": 0o644, "user/data": 0o700} {
		info, err := os.Stat(filepath.Join(out, path))
		if err != nil || info.Mode()&^os.ModeDir != mode {
			t.Errorf("%s: %v, %v, want %s", path, info, err, mode)
		}
	}
	for _, never := range []string{"RUN", "ADD", "ENV", "curl", "apt"} {
		if regexp.MustCompile(`(?m)^` + never + `\b`).MatchString(file) {
			t.Errorf("the Dockerfile has a %s", never)
		}
	}
}
