// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// suite is tests of one package that know of a guard; an empty run means all of them.
type suite struct{ pkg, run string }

// patience is how long one suite may take: a guard against waiting for ever, taken away,
// has to end too.
const patience = 3 * time.Minute

// off is the environment variable that names the guard to take away.
const off = "GUARD_OFF"

// switches is beside the guards of a package, in builds of this command alone.
const switches = `package %s

import (
	"os"
	"strconv"
)

var guardOff, _ = strconv.Atoi(os.Getenv("` + off + `"))
`

// chainSwitches is that of a package with chains of handlers.
const chainSwitches = `
func guardUnless(n int, h func(*fiber.Ctx) error) func(*fiber.Ctx) error {
	if guardOff != n {
		return h
	}
	return func(c *fiber.Ctx) error { return c.Next() }
}

func guardsUnless(n int, list []func(*fiber.Ctx) error) []func(*fiber.Ctx) error {
	if guardOff != n {
		return list
	}
	return nil
}
`

// bench builds and runs tests outside the tree.
type bench struct {
	root, dir string
	built     map[string]string // binaries of tests, by package and overlay
	sound     map[suite]bool    // those that pass as long as no guard is off
}

// newBench writes the overlay under which every guard has a switch.
func newBench(root string, guards []guard) (*bench, error) {
	dir, err := os.MkdirTemp("", "guards")
	if err != nil {
		return nil, err
	}
	b := &bench{root: root, dir: dir, built: map[string]string{}, sound: map[suite]bool{}}
	byFile := map[string][]int{}
	for i, g := range guards {
		if !g.cut() {
			byFile[g.file] = append(byFile[g.file], i)
		}
	}
	replace := map[string]string{}
	for file, list := range byFile {
		source, err := os.ReadFile(b.path(file))
		if err != nil {
			return nil, err
		}
		text, chain := switched(source, guards, list)
		pkg := regexp.MustCompile(`(?m)^package (\w+)`).FindSubmatch(source)[1]
		helper := fmt.Sprintf(switches, pkg)
		if chain {
			helper = strings.Replace(helper, ")\n", "\n\t\"github.com/gofiber/fiber/v2\"\n)\n", 1) + chainSwitches
		}
		beside := path.Join(path.Dir(file), "zz_guard_switches.go")
		if old, ok := replace[b.path(beside)]; !ok || chain {
			if ok {
				_ = os.Remove(old)
			}
			if replace[b.path(beside)], err = b.write(beside, []byte(helper)); err != nil {
				return nil, err
			}
		}
		if replace[b.path(file)], err = b.write(file, text); err != nil {
			return nil, err
		}
	}
	return b, b.overlay("switches", replace)
}

func (b *bench) path(file string) string { return filepath.Join(b.root, filepath.FromSlash(file)) }

func (b *bench) write(file string, content []byte) (string, error) {
	at := filepath.Join(b.dir, strings.ReplaceAll(file, "/", "_"))
	return at, os.WriteFile(at, content, 0o600)
}

func (b *bench) overlay(name string, replace map[string]string) error {
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, name+".json"), list, 0o600)
}

// switched puts a switch around each of some guards of a file; one may stand within
// another.
func switched(source []byte, guards []guard, list []int) (text []byte, chain bool) {
	type edit struct {
		at   int
		text string
		rank int
	}
	var edits []edit
	for _, i := range list {
		g := guards[i]
		chain = chain || strings.HasPrefix(g.lead, "guard")
		edits = append(edits, edit{g.from, fmt.Sprintf(g.lead, i+1), -(g.to - g.from)}, edit{g.to, g.end, g.to - g.from})
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Or(a.at-b.at, a.rank-b.rank) })
	at := 0
	for _, e := range edits {
		text = append(append(text, source[at:e.at]...), e.text...)
		at = e.at
	}
	return append(text, source[at:]...), chain
}

var (
	errBuild   = errors.New("does not build without it, so that nothing was shown")
	errUnsound = errors.New("fails with every guard in its place")
)

// remove takes the guard of a number away and gives the first test that notices, or
// nothing.
func (b *bench) remove(n int, g guard) (noticed string, err error) {
	overlay := "switches"
	if g.cut() {
		overlay = "cut" + strconv.Itoa(n)
		source, err := os.ReadFile(b.path(g.file))
		if err != nil {
			return "", err
		}
		at, err := b.write(overlay+".go", slices.Concat(source[:g.from], []byte(g.instead), source[g.to:]))
		if err != nil {
			return "", err
		}
		if err := b.overlay(overlay, map[string]string{b.path(g.file): at}); err != nil {
			return "", err
		}
	}
	for _, s := range g.suites {
		binary, err := b.build(overlay, s.pkg)
		if err != nil {
			return "", err
		}
		if err := b.passes(s); err != nil {
			return "", err
		}
		if noticed := b.ask(binary, s, n); noticed != "" {
			return s.pkg + " " + noticed, nil
		}
	}
	return "", nil
}

// build gives the tests of a package under an overlay; with the switches they are built
// once, and have to pass as long as no guard is off.
func (b *bench) build(overlay, pkg string) (binary string, err error) {
	key := overlay + "_" + strings.ReplaceAll(pkg, "/", "_")
	if binary, ok := b.built[key]; ok {
		return binary, nil
	}
	binary = filepath.Join(b.dir, key+".test")
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-overlay", filepath.Join(b.dir, overlay+".json"), "-o", binary, "./"+pkg)
	cmd.Dir = b.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %w\n%s", pkg, errBuild, err, out)
	}
	if overlay == "switches" {
		b.built[key] = binary
	}
	return binary, nil
}

// passes asks once of each suite that nothing fails while every guard is in its place.
func (b *bench) passes(s suite) error {
	if b.sound[s] {
		return nil
	}
	binary, err := b.build("switches", s.pkg)
	if err != nil {
		return err
	}
	if failed := b.ask(binary, s, 0); failed != "" {
		return fmt.Errorf("%s %s: %w", s.pkg, failed, errUnsound)
	}
	b.sound[s] = true
	return nil
}

// ask runs a suite with a guard off until its first failure, and gives that.
func (b *bench) ask(binary string, s suite, n int) (failed string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := []string{"-test.v", "-test.failfast", "-test.timeout=150s"}
	if s.run != "" {
		args = append(args, "-test.run", s.run)
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = b.path(s.pkg)
	cmd.Env = append(os.Environ(), off+"="+strconv.Itoa(n))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return cmp.Or(firstFailure(out), "the run itself: "+err.Error())
}

// firstFailure gives the innermost test of the first one that failed. A panic, or the
// end of the time, counts for the test that ran.
func firstFailure(out []byte) (failed string) {
	running := ""
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "=== RUN   "); ok {
			running = name
		}
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " (")
			if failed == "" || strings.HasPrefix(name, failed+"/") {
				failed = name
			}
		}
	}
	return cmp.Or(failed, running)
}
