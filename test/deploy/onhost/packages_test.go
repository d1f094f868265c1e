// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// packages is what .goreleaser.yaml says about deb and rpm.
type packages struct {
	Builds []struct{ ID, Binary string }
	Nfpms  []struct {
		ID, Bindir string
		IDs        []string
		Formats    []string
		Contents   []struct {
			Src, Dst, Type string
			Info           struct{ Mode int } `yaml:"file_info"`
		}
		Scripts map[string]string
	}
}

// Where a file of deploy/systemd goes.
func placed(t *testing.T, pack, name string) (dst, kind string, mode int) {
	t.Helper()
	switch {
	case strings.HasSuffix(name, ".service"), strings.HasSuffix(name, ".timer"):
		return "/usr/lib/systemd/system/" + name, "", 0o644
	case strings.HasSuffix(name, "-fleet.conf"): // a drop-in is a choice, so it lies there as an example
		return "/usr/share/doc/" + pack + "/" + name, "", 0o644
	case strings.HasSuffix(name, ".sysusers"):
		return "/usr/lib/sysusers.d/" + pack + ".conf", "", 0o644
	case strings.HasSuffix(name, ".env"): // what an operator has changed stays
		return "/etc/dify-sso/" + name, "config|noreplace", 0o640
	}
	t.Fatalf("nobody says where %s goes", name)
	return "", "", 0
}

func TestPackagesShipWhatTheUnitsName(t *testing.T) {
	root := deployed(t, "..")
	content, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var p packages
	if err := yaml.Unmarshal(content, &p); err != nil {
		t.Fatal(err)
	}
	binaries := map[string]string{}
	for _, b := range p.Builds {
		binaries[b.ID] = b.Binary
	}
	shipped := map[string]bool{}
	for _, n := range p.Nfpms {
		pack := map[string]string{"core": "dify-sso-core", "sso-bridge": "dify-sso-bridge"}[n.ID]
		if !slices.Equal(n.Formats, []string{"deb", "rpm"}) || pack == "" || n.Bindir != "" {
			t.Errorf("%s: %q in %q", n.ID, n.Formats, n.Bindir)
		}
		there := map[string]bool{} // on a machine with the package
		for _, id := range n.IDs {
			there["/usr/bin/"+binaries[id]] = true
		}
		for _, c := range n.Contents {
			there[c.Dst] = true
			if _, err := os.Stat(filepath.Join(root, c.Src)); err != nil {
				t.Error(err)
			}
			dir, name := filepath.Split(c.Src)
			if dir != "deploy/systemd/" {
				continue
			}
			shipped[name] = true
			if dst, kind, mode := placed(t, pack, name); c.Dst != dst || c.Type != kind || c.Info.Mode != mode {
				t.Errorf("%s is %q %q %o, and not %q %q %o", name, c.Dst, c.Type, c.Info.Mode, dst, kind, mode)
			}
		}
		for _, c := range n.Contents {
			name := filepath.Base(c.Src)
			if strings.HasSuffix(name, ".timer") && !there["/usr/lib/systemd/system/"+strings.TrimSuffix(name, ".timer")+".service"] {
				t.Errorf("%s comes without its service", name)
			}
			if !strings.HasSuffix(name, ".service") {
				continue
			}
			u := readUnit(t, name)
			named := slices.Clone(u.all("EnvironmentFile"))
			for _, line := range append(u.all("ExecStart"), u.all("ExecStartPre")...) {
				for _, word := range strings.Fields(line) {
					if strings.HasPrefix(word, "/usr/bin/") {
						named = append(named, word)
					}
				}
			}
			for _, path := range named {
				if !there[path] {
					t.Errorf("%s names %s, which is not in %s", name, path, pack)
				}
			}
			if len(named) < 2 {
				t.Errorf("%s names %q alone", name, named)
			}
		}
		for _, script := range n.Scripts {
			if out, err := exec.Command("sh", "-n", filepath.Join(root, script)).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", script, err, out)
			}
		}
	}
	files, err := os.ReadDir(deployed(t, "systemd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !shipped[f.Name()] {
			t.Errorf("no package has %s", f.Name())
		}
	}
}
