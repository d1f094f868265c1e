// SPDX-License-Identifier: Apache-2.0

package onhost_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadCompose reads a file as docker compose does, strictly: an unknown key is an error.
func loadCompose(t testing.TB, name string, environ ...string) *types.Project {
	t.Helper()
	return loadFiles(t, environ, deployed(t, "compose", name))
}

func loadFiles(t testing.TB, environ []string, files ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files, cli.WithEnv(environ), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

var eeAddresses = []string{"CONSOLE_API_URL=https://console.corp.example", "SSO_BRIDGE_PUBLIC_URL=https://sso.corp.example"}

func TestComposeFilesAreHardened(t *testing.T) {
	for name, environ := range map[string][]string{"ce.yaml": nil, "ee.yaml": eeAddresses} {
		t.Run(name, func(t *testing.T) {
			for _, s := range loadCompose(t, name, environ...).Services {
				if s.Privileged || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || len(s.CapAdd) > 0 {
					t.Errorf("%s gets more than it needs", s.Name)
				}
				user := "65532:65532"
				if s.Name == "postgres" || s.Name == "redis" {
					user = "999:999" // of their images
				}
				if !s.ReadOnly || s.User != user || !slices.Contains(s.CapDrop, "ALL") {
					t.Errorf("%s: read_only %t, user %q, cap_drop %q", s.Name, s.ReadOnly, s.User, s.CapDrop)
				}
				for key, value := range s.Environment {
					if value != nil && (strings.HasSuffix(key, "_KEY") || strings.HasSuffix(key, "_URL") && strings.Contains(*value, "@") || strings.Contains(key, "PASSWORD") && !strings.HasSuffix(key, "_FILE")) {
						t.Errorf("%s has a secret in its environment: %s", s.Name, key)
					}
				}
			}
		})
	}
}

func TestComposeOfTheEnterpriseEdition(t *testing.T) {
	p := loadCompose(t, "ee.yaml", eeAddresses...)
	t.Run("INN-07 nginx alone publishes a port, and the stores are on the inner network alone", func(t *testing.T) {
		for _, s := range p.Services {
			if len(s.Ports) > 0 != (s.Name == "nginx") {
				t.Errorf("%s publishes %v", s.Name, s.Ports)
			}
			if _, outside := s.Networks["outside"]; outside && (s.Name == "postgres" || s.Name == "redis") {
				t.Errorf("%s is on the outer network", s.Name)
			}
		}
		if !p.Networks["inside"].Internal {
			t.Error("the inner network has a way out")
		}
	})
	t.Run("two of each, which wait for their migration and their stores", func(t *testing.T) {
		for _, name := range []string{"core", "sso-bridge"} {
			s := p.Services[name]
			if s.Deploy == nil || s.Deploy.Replicas == nil || *s.Deploy.Replicas != 2 {
				t.Errorf("%s: %+v", name, s.Deploy)
			}
			if got := s.DependsOn[name+"-migrate"].Condition; got != "service_completed_successfully" {
				t.Errorf("%s: its migration is %q", name, got)
			}
			if s.DependsOn["redis"].Condition != "service_healthy" || p.Services[name+"-migrate"].DependsOn["postgres"].Condition != "service_healthy" {
				t.Errorf("%s does not wait for its stores", name)
			}
			if grace := time.Duration(*s.StopGracePeriod); grace <= 31*time.Second {
				t.Errorf("%s: %s is not above the drain", name, grace)
			}
			if !slices.Equal(s.HealthCheck.Test, []string{"CMD", "/" + name, "healthcheck"}) {
				t.Errorf("%s: %q", name, s.HealthCheck.Test)
			}
		}
	})
	t.Run("every secret that a setting names is mounted, and nothing more", func(t *testing.T) {
		for _, s := range p.Services {
			var named, mounted []string
			for key, value := range s.Environment {
				if path, ok := strings.CutPrefix(*value, "/run/secrets/"); ok && strings.HasSuffix(key, "_FILE") {
					named = append(named, path)
				}
			}
			for _, secret := range s.Secrets {
				mounted = append(mounted, secret.Source)
			}
			slices.Sort(named)
			slices.Sort(mounted)
			if strings.HasPrefix(s.Name, "core") || strings.HasPrefix(s.Name, "sso-bridge") {
				if !slices.Equal(named, mounted) || len(named) != 5 {
					t.Errorf("%s names %q and has %q", s.Name, named, mounted)
				}
			}
		}
		own := func(name string) (list []string) {
			for _, s := range p.Services[name].Secrets {
				list = append(list, s.Source)
			}
			return list
		}
		for _, s := range own("core") {
			if s != "keyset" && slices.Contains(own("sso-bridge"), s) {
				t.Errorf("both have %s", s)
			}
		}
	})
	t.Run("files that the repository brings are there", func(t *testing.T) {
		for name, c := range p.Configs {
			if _, err := os.Stat(c.File); err != nil || filepath.Dir(c.File) != deployed(t, "compose") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
