// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/onhost/box"
	"github.com/dify-sso/dify-sso/test/deploy/process"
)

func TestMain(m *testing.M) {
	box.Enter()
	process.Main(m)
}

// deployed gives a path below deploy/.
func deployed(t testing.TB, name ...string) string {
	t.Helper()
	root, err := process.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{root, "deploy"}, name...)...)
}

// unitFile is a unit with its drop-ins; a list has one entry for each line.
type unitFile struct {
	t    testing.TB
	name string
	of   map[string][]string // by Section.Name
}

func readUnit(t testing.TB, name string, dropIns ...string) unitFile {
	t.Helper()
	u := unitFile{t: t, name: name, of: map[string][]string{}}
	for _, file := range append([]string{name}, dropIns...) {
		f, err := os.Open(deployed(t, "systemd", file))
		if err != nil {
			t.Fatal(err)
		}
		options, err := unit.DeserializeOptions(f)
		_ = f.Close()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, o := range options {
			u.of[o.Section+"."+o.Name] = append(u.of[o.Section+"."+o.Name], o.Value)
		}
	}
	return u
}

func (u unitFile) all(key string) []string { return u.of["Service."+key] }

func (u unitFile) one(key string) string {
	u.t.Helper()
	values := u.all(key)
	if len(values) != 1 {
		u.t.Fatalf("%s: %s is %q, not one", u.name, key, values)
	}
	return values[0]
}

// expand replaces the specifiers of systemd.unit(5) that the units use.
func (u unitFile) expand(s string) string {
	return strings.NewReplacer("%S", "/var/lib", "%t", "/run", "%d", "/run/credentials/"+u.name, "%%", "%").Replace(s)
}

// environment is Environment= and then the files of EnvironmentFile=, which win.
func (u unitFile) environment(files map[string]string) (list []string) {
	for _, line := range u.all("Environment") {
		list = append(list, strings.Fields(u.expand(line))...)
	}
	for _, file := range u.all("EnvironmentFile") {
		content, ok := files[file]
		if !ok {
			u.t.Fatalf("%s: nobody has written %s", u.name, file)
		}
		for line := range strings.Lines(content) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				list = append(list, line)
			}
		}
	}
	return list
}

var services = []string{"core.service", "sso-bridge.service", "core-backup.service", "core-audit-prune.service", "sso-bridge-backup.service", "sso-bridge-audit-prune.service"}

// exposure is the figure that systemd-analyze may give a unit: what is left is the network,
// which a server needs.
const exposure = 1.5

func TestUnitsAreHardened(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		testserver.Missing(t, "systemd-analyze", err)
	}
	overall := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)
	for _, name := range services {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(analyze, "security", "--offline=true", "--threshold="+strconv.Itoa(exposure*10), deployed(t, "systemd", name)).CombinedOutput()
			found := overall.FindSubmatch(out)
			if err != nil || found == nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("exposure %s", found[1])
			if figure, err := strconv.ParseFloat(string(found[1]), 64); err != nil || figure > exposure {
				t.Errorf("exposure %s is above %g", found[1], exposure)
			}
		})
	}
}

// systemd-analyze wants the programs to be there: in a directory of the test they are
// links to /bin/true.
func TestUnitsAreUnderstood(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		testserver.Missing(t, "systemd-analyze", err)
	}
	files, err := filepath.Glob(deployed(t, "systemd", "*.*"))
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	dir, verify := t.TempDir(), []string{"verify", "--man=no"}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if base, is := strings.CutSuffix(name, "-fleet.conf"); is {
			name = filepath.Join(base+".service.d", "fleet.conf")
		} else if ext := filepath.Ext(name); ext != ".service" && ext != ".timer" {
			continue
		} else {
			verify = append(verify, filepath.Join(dir, name))
		}
		text := regexp.MustCompile(`(?m)^(ExecStart\w*=)/usr/bin/[a-z-]+`).ReplaceAllString(string(content), "${1}/bin/true")
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(analyze, verify...).CombinedOutput()
	// What other units of this machine say is theirs.
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) || strings.HasPrefix(line, "core") || strings.HasPrefix(line, "sso-bridge") {
			t.Error(line)
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Numbers of a unit that must fit those of the service.
func TestUnitsFitTheDefaults(t *testing.T) {
	for _, name := range services[:2] {
		u := readUnit(t, name)
		stop, err := strconv.Atoi(u.one("TimeoutStopSec"))
		if drain := 20*time.Second + 6*time.Second; err != nil || time.Duration(stop)*time.Second <= drain {
			t.Errorf("%s: TimeoutStopSec=%d is not above the drain (%s) %v", name, stop, drain, err)
		}
		if files, err := strconv.Atoi(u.one("LimitNOFILE")); err != nil || files < 2*10000 {
			t.Errorf("%s: LimitNOFILE=%d %v", name, files, err)
		}
		if u.one("LimitCORE") != "0" || u.one("Type") != "notify" || !slices.Contains(u.all("ExecReload"), "/bin/kill -HUP $MAINPID") {
			t.Errorf("%s: %q", name, u.of)
		}
	}
}

// allowed are the system calls that SystemCallFilter leaves.
func (u unitFile) allowed() []string {
	u.t.Helper()
	set := map[string]bool{}
	for _, line := range u.all("SystemCallFilter") {
		line, take := strings.CutPrefix(line, "~")
		for _, group := range strings.Fields(line) {
			for _, call := range calls(u.t, group) {
				set[call] = !take
			}
		}
	}
	var list []string
	for call, in := range set {
		if in {
			list = append(list, call)
		}
	}
	return list
}

func calls(t testing.TB, group string) (list []string) {
	t.Helper()
	if !strings.HasPrefix(group, "@") {
		return []string{group}
	}
	out, err := exec.Command("systemd-analyze", "syscall-filter", group).Output()
	if err != nil {
		testserver.Missing(t, "systemd-analyze", err)
	}
	for i, line := range strings.Split(string(out), "\n") {
		line = strings.TrimSpace(line)
		if i == 0 || line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		list = append(list, calls(t, line)...)
	}
	return list
}
