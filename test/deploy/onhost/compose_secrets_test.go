// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// made is the first step of docs/operating/compose.md for the Enterprise Edition.
var made = regexp.MustCompile("(?s)## The Enterprise Edition.*?```\n(.*?)```")

// The step is run as it stands, in a directory of its own: every file that ee.yaml names comes
// of it, closed to others, and each service reaches its own keys of Redis and no other's.
func TestSecretsOfCompose(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(filepath.Dir(deployed(t)), "docs", "operating", "compose.md"))
	if err != nil {
		t.Fatal(err)
	}
	step := made.FindSubmatch(doc)
	if step == nil {
		t.Fatal("compose.md has no first step")
	}
	dir := t.TempDir()
	at := filepath.Join(dir, "deploy", "compose")
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	path := "PATH=" + filepath.Dir(process.Program(t, "core")) + ":" + os.Getenv("PATH")
	process.Do(t, []string{path}, "cd "+dir+"\n"+string(step[1]), "bash", "-eu")

	for name, s := range loadCompose(t, "ee.yaml", eeAddresses...).Secrets {
		below, err := filepath.Rel(deployed(t, "compose"), s.File)
		if err != nil || strings.HasPrefix(below, "..") {
			t.Fatalf("%s is %s", name, s.File)
		}
		if strings.HasPrefix(below, "tls") {
			continue // the operator's own
		}
		file := filepath.Join(at, below)
		content, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(content), "FILL IN") {
			t.Errorf("%s: %v\n%s", name, err, content)
			continue
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}

	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		testserver.Missing(t, "redis-cli", err)
	}
	conf, err := os.ReadFile(filepath.Join(at, "secrets", "redis.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, line := range strings.Split(string(conf), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "user" && f[1] != "default" {
			args = append(append(args, "--user"), f[1:]...)
		}
	}
	if !strings.Contains(string(conf), "\nuser default off\n") {
		t.Error("whoever has no password is let in")
	}
	server := testserver.StartRedis(t, args...)
	for service, other := range map[string]string{"core": "bridge:x", "sso-bridge": "core:x"} {
		url, err := os.ReadFile(filepath.Join(at, "secrets", service, "redis-url"))
		if err != nil {
			t.Fatal(err)
		}
		address := strings.Replace(strings.TrimSpace(string(url)), "redis:6379", server.Addr, 1)
		own := map[string]string{"core": "core:x", "sso-bridge": "bridge:x"}[service]
		if said := process.Do(t, nil, "", cli, "--no-auth-warning", "-u", address, "set", own, "1"); !strings.HasPrefix(said, "OK") {
			t.Errorf("%s may not write its own key: %s", service, said)
		}
		if said := process.Do(t, nil, "", cli, "--no-auth-warning", "-u", address, "get", other); !strings.Contains(said, "NOPERM") {
			t.Errorf("%s reads %s: %s", service, other, said)
		}
	}
}
