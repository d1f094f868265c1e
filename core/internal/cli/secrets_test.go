// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/cli"
	"github.com/dify-sso/dify-sso/pkg/config"
)

// k8sSecret is the part of a Secret that is written (core/v1), and nothing else is.
type k8sSecret struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name      string            `yaml:"name"`
		Namespace string            `yaml:"namespace"`
		Labels    map[string]string `yaml:"labels"`
	} `yaml:"metadata"`
	Type string            `yaml:"type"`
	Data map[string]string `yaml:"stringData"`
}

// secretsOf decodes strictly what was printed.
func secretsOf(t *testing.T, printed string) map[string]k8sSecret {
	t.Helper()
	all := map[string]k8sSecret{}
	for _, document := range strings.Split(printed, "---\n") {
		var s k8sSecret
		if err := yaml.NewDecoder(strings.NewReader(document), yaml.Strict()).Decode(&s); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if s.APIVersion != "v1" || s.Kind != "Secret" || s.Type != "Opaque" {
			t.Errorf("%+v", s)
		}
		all[s.Metadata.Name] = s
	}
	return all
}

func TestSecretsInit(t *testing.T) {
	dir := t.TempDir()
	database, redis := filepath.Join(dir, "db"), filepath.Join(dir, "redis")
	for path, content := range map[string]string{database: "postgres://u:a%26b\"<@h:5432/d?sslmode=require\n", redis: "redis://:p@r:6379\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("for Kubernetes: strict manifests, nothing repeated, nothing logged", func(t *testing.T) {
		got := run(t, dir, "", "secrets", "init", "--kubernetes", "x", "--namespace", "auth", "--enterprise", "--database-url-file", database, "--redis-url-file", redis)
		if got.code != 0 || got.err != "" {
			t.Fatalf("%+v", got)
		}
		all := secretsOf(t, got.out)
		core, bridge, shared := all["x-core"], all["x-bridge"], all["x-keyset"]
		if len(all) != 3 || core.Metadata.Namespace != "auth" || len(core.Data) != 4 || len(bridge.Data) != 4 || len(shared.Data) != 1 {
			t.Fatalf("%+v", all)
		}
		if core.Data["database-url"] != "postgres://u:a%26b\"<@h:5432/d?sslmode=require" || core.Data["redis-url"] != "redis://:p@r:6379" || !strings.HasPrefix(bridge.Data["database-url"], "FILL IN ") {
			t.Errorf("%+v", all)
		}
		if core.Data["secret-key"] == bridge.Data["secret-key"] || core.Data["sealing-key"] == bridge.Data["sealing-key"] {
			t.Error("both services have the same keys")
		}
		again := secretsOf(t, run(t, dir, "", "secrets", "init", "--kubernetes", "x").out)
		if len(again) != 1 || again["x-core"].Data["secret-key"] == core.Data["secret-key"] {
			t.Errorf("%+v", again)
		}
	})
	t.Run("as files: settings take them, placeholders are refused, nothing is overwritten", func(t *testing.T) {
		to := filepath.Join(dir, "made")
		got := run(t, dir, "", "secrets", "init", "--directory", to, "--enterprise", "--redis-url-file", redis)
		if got.code != 0 {
			t.Fatalf("%+v", got)
		}
		in := func(of, name string) string { return filepath.Join(to, of, name) }
		for _, of := range []string{"core", "sso-bridge"} {
			settings := []string{
				"SECRET_KEY_FILE=" + in(of, "secret-key"), "SEALING_KEY_FILE=" + in(of, "sealing-key"), "KEYSET_FILE=" + in("", "keyset.json"), "REDIS_URL_FILE=" + redis,
				"ENTERPRISE_ENABLED=true", "SSO_BRIDGE_URL=https://bridge.internal:5004", "SSO_BRIDGE_PUBLIC_URL=https://bridge.example.com",
			}
			if _, err := app.Load(app.Sources{Environ: append(settings, "DATABASE_URL=postgres://u@h/d")}); err != nil {
				t.Errorf("%s: %v", of, err)
			}
			_, err := app.Load(app.Sources{Environ: append(settings, "DATABASE_URL_FILE="+in(of, "database-url"))})
			if problems, ok := err.(config.Problems); !ok || len(problems) != 1 || problems[0].Key != "DATABASE_URL" { //nolint:errorlint // Load returns it as it is
				t.Errorf("a placeholder is taken: %v", err)
			}
			for _, name := range []string{"secret-key", "sealing-key", "database-url", "redis-url"} {
				info, err := os.Stat(in(of, name))
				if err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", name, info, err)
				}
				if content, _ := os.ReadFile(in(of, name)); strings.Contains(got.out+got.err, strings.TrimSpace(string(content))) {
					t.Errorf("%s is printed", name)
				}
			}
		}
		before, _ := os.ReadFile(in("core", "secret-key"))
		if err := os.Remove(in("sso-bridge", "secret-key")); err != nil {
			t.Fatal(err)
		}
		if got := run(t, dir, "", "secrets", "init", "--directory", to, "--enterprise"); got.code != 1 || !strings.Contains(got.err, "nothing was written") {
			t.Errorf("%+v", got)
		}
		if after, _ := os.ReadFile(in("core", "secret-key")); !bytes.Equal(before, after) {
			t.Error("a key was overwritten")
		}
		if _, err := os.Stat(in("sso-bridge", "secret-key")); err == nil {
			t.Error("half of it was written")
		}
		group := filepath.Join(dir, "group")
		if got := run(t, dir, "", "secrets", "init", "--directory", group, "--group"); got.code != 0 || !strings.Contains(got.out, "fill in what begins with") {
			t.Errorf("%+v", got)
		}
		if got := run(t, dir, "", "secrets", "init", "--directory", filepath.Join(dir, "given"), "--database-url-file", redis, "--redis-url-file", redis); got.code != 0 || strings.Contains(got.out, "fill in") {
			t.Errorf("every address was given: %+v", got)
		}
		if info, err := os.Stat(filepath.Join(group, "core", "secret-key")); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%v, %v", info, err)
		}
	})
	t.Run("a directory that somebody else can lead elsewhere gets nothing", func(t *testing.T) {
		for name, lay := range map[string]func(at string) error{
			"a link":                       func(at string) error { return os.Symlink(t.TempDir(), at) },
			"a link to nowhere":            func(at string) error { return os.Symlink("/nonexistent", at) },
			"a file":                       func(at string) error { return os.WriteFile(at, nil, 0o600) },
			"writable for the whole world": func(at string) error { return errors.Join(os.Mkdir(at, 0o700), os.Chmod(at, 0o777)) },
		} {
			to := t.TempDir()
			if err := lay(filepath.Join(to, "sso-bridge")); err != nil {
				t.Fatal(err)
			}
			if got := run(t, dir, "", "secrets", "init", "--directory", to, "--enterprise"); got.code != 1 || !strings.Contains(got.err, "nothing was written") {
				t.Errorf("%s: %+v", name, got)
			}
			if _, err := os.Stat(filepath.Join(to, "core", "secret-key")); err == nil {
				t.Errorf("%s: half of it was written", name)
			}
		}
	})
	t.Run("a person is told what they see", func(t *testing.T) {
		var out, errs bytes.Buffer
		if code := cli.Run([]string{"secrets", "init", "--kubernetes", "x"}, cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Terminal: true}); code != 0 || !strings.Contains(errs.String(), "secrets in clear") {
			t.Errorf("%d, %s", code, errs.String())
		}
	})
	for args, words := range map[string]string{
		"": "one of --kubernetes and --directory", "--kubernetes x --directory y": "one of", "--kubernetes X_": "--kubernetes must", "--directory d --namespace n": "--namespace must",
		"--kubernetes x --group": "--group goes", "--kubernetes x --bridge-redis-url-file f": "go with --enterprise",
	} {
		if got := run(t, dir, "", append([]string{"secrets", "init"}, strings.Fields(args)...)...); got.code != 2 || !strings.Contains(got.err, words) {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
