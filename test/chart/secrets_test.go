// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// environment is what a container starts with, from ConfigMaps of the rendering and its own list.
func environment(t testing.TB, r *rendering, c core.Container) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		if from.SecretRef != nil {
			t.Errorf("%s takes its environment from Secret %s", c.Name, from.SecretRef.Name)
			continue
		}
		data, _ := at(r.one(t, "ConfigMap", from.ConfigMapRef.Name).tree, "data").(map[string]any)
		for name, value := range data {
			env[name], _ = value.(string)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			t.Errorf("%s has %s of a Secret in its environment", c.Name, e.Name)
		}
		env[e.Name] = e.Value
	}
	return env
}

// mounted tells which Secret a file in a container comes from, and whether there is such a file at all.
func mounted(p pod, c core.Container, file string) (secret string, found bool) {
	for _, m := range c.VolumeMounts {
		rest, below := strings.CutPrefix(file, m.MountPath+"/")
		if !below {
			continue
		}
		for _, v := range p.spec.Volumes {
			switch {
			case v.Name != m.Name:
			case v.Secret != nil:
				if len(v.Secret.Items) == 0 {
					return v.Secret.SecretName, true
				}
				for _, item := range v.Secret.Items {
					if item.Path == rest {
						return v.Secret.SecretName, true
					}
				}
			case v.ConfigMap != nil:
				return "", true
			}
		}
	}
	return "", false
}

func TestSecretsAreFilesAlone(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	secrets := secretSettings(t)
	for name, r := range variants(t) {
		t.Run(name, func(t *testing.T) {
			if made := r.of("Secret"); len(made) > 0 {
				t.Errorf("the chart makes %v", made)
			}
			files := 0
			for _, p := range podsOf(t, s, r) {
				for _, c := range p.containers() {
					env := environment(t, r, c)
					for key, value := range env {
						if slices.Contains(secrets, key) {
							t.Errorf("%s %s has the secret %s in its environment", p.of, c.Name, key)
						}
						if !strings.HasSuffix(key, "_FILE") || !path.IsAbs(value) {
							continue
						}
						secret, found := mounted(p, c, value)
						if !found {
							t.Errorf("%s %s reads %s from %s, and nothing is mounted there", p.of, c.Name, key, value)
						}
						if slices.Contains(secrets, strings.TrimSuffix(key, "_FILE")) {
							files++
							if secret == "" {
								t.Errorf("%s %s reads the secret %s from no Secret", p.of, c.Name, key)
							}
						}
					}
					for _, arg := range c.Args {
						if flag, file, ok := strings.Cut(arg, "-file="); ok {
							if _, found := mounted(p, c, file); !found {
								t.Errorf("%s %s: %s-file names %s, and nothing is mounted there", p.of, c.Name, flag, file)
							}
						}
					}
				}
			}
			if files == 0 && name != "default" {
				t.Error("no secret is read from a file, so nothing was looked at")
			}
		})
	}
}

// secretsOf are the Secrets that pods of a component and its migrations mount.
func secretsOf(t testing.TB, r *rendering, component string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, p := range podsOf(t, kinds(t), r) {
		if p.component() == component || p.component() == component+"-migrate" {
			for _, v := range p.spec.Volumes {
				if v.Secret != nil {
					names[v.Secret.SecretName] = true
				}
			}
		}
	}
	return names
}

func TestServicesShareTheKeySetAlone(t *testing.T) {
	t.Parallel()
	t.Run("JWS-04 core and sso-bridge mount one Secret both, that of the key set", func(t *testing.T) {
		for _, name := range []string{"ee", "gateway", "ee with Jobs", "sentinel with a bridge"} {
			r := variants(t)[name]
			both := secretsOf(t, r, "core")
			maps.DeleteFunc(both, func(secret string, _ bool) bool { return !secretsOf(t, r, "bridge")[secret] })
			if len(both) != 1 || !strings.Contains(r.text, `secretName: "`+slices.Collect(maps.Keys(both))[0]+`"`) {
				t.Errorf("%s: both mount %v", name, slices.Collect(maps.Keys(both)))
			}
			for secret := range both {
				if secret == "sso-core" || secret == "sso-bridge" || secret == "b" {
					t.Errorf("%s: both mount %s", name, secret)
				}
			}
		}
	})
	t.Run("JWS-04 one Secret for both is refused", func(t *testing.T) {
		if _, err := try(t, "ee", "bridge.secrets.existingSecret=sso-core"); err == nil {
			t.Error("it was taken")
		}
	})
	t.Run("each has a service account and a policy of its own", func(t *testing.T) {
		r := render(t, "ee")
		for _, kind := range []string{"ServiceAccount", "NetworkPolicy", "ConfigMap", "Deployment"} {
			if a, b := r.one(t, kind, "-core"), r.one(t, kind, "-bridge"); a.name() == b.name() {
				t.Errorf("one %s", kind)
			}
		}
		for _, p := range podsOf(t, kinds(t), r) {
			if p.component() == "bridge" && p.spec.ServiceAccountName != "sso-dify-sso-bridge" {
				t.Errorf("the bridge runs as %s", p.spec.ServiceAccountName)
			}
		}
	})
}
