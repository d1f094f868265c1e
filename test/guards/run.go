// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// suite is tests of one package that know of a guard; an empty run means all of them.
type suite struct{ pkg, run string }

// patience is how long one suite may take: a guard against waiting for ever, taken away,
// has to end too.
const patience = 4 * time.Minute

var errBuild = errors.New("does not build without it, so that nothing was shown")

// remove takes a guard away and gives the first test that notices, or nothing.
func (g guard) remove(root string) (noticed string, err error) {
	path := filepath.Join(root, filepath.FromSlash(g.file))
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "guards")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	without := filepath.Join(dir, "without.go")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: without}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	for name, content := range map[string][]byte{without: g.without(source), overlay: list} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return "", err
		}
	}
	for _, s := range g.suites {
		if noticed, err = s.ask(root, overlay); noticed != "" || err != nil {
			return noticed, err
		}
	}
	return "", nil
}

// ask runs a suite until its first failure.
func (s suite) ask(root, overlay string) (failed string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := []string{"test", "-json", "-count=1", "-vet=off", "-failfast", "-timeout=200s", "-overlay", overlay}
	if s.run != "" {
		args = append(args, "-run", s.run)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+s.pkg)...)
	cmd.Dir = root
	out, ended := cmd.Output()
	if ended == nil {
		return "", nil
	}
	failed, built := firstFailure(out)
	if failed == "" || !built {
		tail := out
		if len(tail) > 2000 {
			tail = tail[len(tail)-2000:]
		}
		return "", fmt.Errorf("%s: %w: %w\n%s", s.pkg, errBuild, ended, tail)
	}
	return s.pkg + " " + failed, nil
}

// firstFailure gives the innermost test of the first one that failed, and whether the
// tests were built at all. A panic or the end of the time counts for the test that ran.
func firstFailure(out []byte) (failed string, built bool) {
	built = true
	running := ""
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Test, FailedBuild string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch {
		case e.Action == "build-fail" || e.FailedBuild != "":
			built = false
		case e.Action == "run":
			running = e.Test
		case e.Action == "fail" && e.Test != "":
			if failed == "" || strings.HasPrefix(e.Test, failed+"/") {
				failed = e.Test
			}
		case e.Action == "fail" && failed == "":
			failed = running
		}
	}
	return failed, built
}
