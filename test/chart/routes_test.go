// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// public is a rule by which a gateway hands a path on.
type public struct {
	of      string
	host    string
	exact   bool
	path    string
	service string
	port    string // name or number
}

func (p public) takes(path string) bool {
	if p.exact {
		return path == p.path
	}
	return path == p.path || strings.HasPrefix(path, strings.TrimSuffix(p.path, "/")+"/")
}

func publicRules(t testing.TB, s *runtime.Scheme, r *rendering) (rules []public) {
	t.Helper()
	for _, o := range r.objects {
		decoded, err := strictly(s, o.text)
		if err != nil {
			t.Fatal(err)
		}
		switch v := decoded.(type) {
		case *networking.Ingress:
			if v.Spec.DefaultBackend != nil {
				t.Errorf("%s hands on what no path names", o)
			}
			for _, rule := range v.Spec.Rules {
				for _, p := range rule.HTTP.Paths {
					if *p.PathType == networking.PathTypeImplementationSpecific {
						t.Errorf("%s: what %s takes is up to the gateway", o, p.Path)
					}
					port := p.Backend.Service.Port.Name
					if port == "" {
						port = fmt.Sprint(p.Backend.Service.Port.Number)
					}
					rules = append(rules, public{o.String(), rule.Host, *p.PathType == networking.PathTypeExact, p.Path, p.Backend.Service.Name, port})
				}
			}
		case *gateway.HTTPRoute:
			for _, rule := range v.Spec.Rules {
				if len(rule.Matches) == 0 || len(rule.Matches) > 8 {
					t.Errorf("%s: a rule has %d matches", o, len(rule.Matches))
				}
				for _, m := range rule.Matches {
					for _, b := range rule.BackendRefs {
						rules = append(rules, public{o.String(), string(v.Spec.Hostnames[0]), *m.Path.Type == gateway.PathMatchExact, *m.Path.Value, string(b.Name), fmt.Sprint(*b.Port)})
					}
				}
			}
		}
	}
	return rules
}

// inside are paths that no gateway may hand on.
var inside = []string{
	"/inner", "/inner/", "/inner/api/subjects/revoke", "/inner/api/auth/verify", "/inner/api/auth/ext-authz/x", "/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/pprof/heap",
}

var routeRow = regexp.MustCompile("(?m)^\\| [A-Z]+ \\| `([^`]+)` \\|")

// served are the paths of core's public listener.
func served(t testing.TB) (paths []string) {
	t.Helper()
	document := read(t, filepath.Join(root(), "docs/reference/routes.md"))
	_, table, _ := strings.Cut(document, "## Public listener")
	table, _, _ = strings.Cut(table, "## Second listener")
	for _, row := range routeRow.FindAllStringSubmatch(table, -1) {
		paths = append(paths, regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllString(row[1], "x"))
	}
	if len(paths) < 80 {
		t.Fatalf("%d public paths", len(paths))
	}
	return paths
}

func TestGatewaysHandOnPublicPathsAlone(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	with := 0
	for name, r := range variants(t) {
		rules := publicRules(t, s, r)
		if len(rules) == 0 {
			continue
		}
		with++
		t.Run("INN-07 neither /inner nor metrics nor probes are handed on: "+name, func(t *testing.T) {
			for _, rule := range rules {
				for _, path := range inside {
					if rule.takes(path) {
						t.Errorf("%s hands %s on by %s", rule.of, path, rule.path)
					}
				}
				service, port := target(t, s, r, rule.service, rule.port)
				if port != "http" {
					t.Errorf("%s: %s leads to port %s of %s", rule.of, rule.path, port, service)
				}
			}
		})
		t.Run("every public path of core is handed on to core: "+name, func(t *testing.T) {
			for _, path := range served(t) {
				found := false
				for _, rule := range rules {
					found = found || rule.takes(path) && strings.HasSuffix(rule.service, "-core")
				}
				if !found {
					t.Errorf("%s is not", path)
				}
			}
		})
		if strings.Contains(name, "ee") || name == "gateway" {
			t.Run("company sign-in is handed on to the bridge: "+name, func(t *testing.T) {
				for _, path := range []string{"/sso/saml/x/acs", "/sso/oidc/x/callback"} {
					found := false
					for _, rule := range rules {
						found = found || rule.takes(path) && strings.HasSuffix(rule.service, "-bridge")
						if rule.takes(path) && strings.HasSuffix(rule.service, "-core") {
							t.Errorf("%s is handed on to core too", path)
						}
					}
					if !found {
						t.Errorf("%s is not", path)
					}
				}
			})
		}
	}
	if with < 4 {
		t.Errorf("%d renderings with a gateway", with)
	}
}

// target follows a Service's port, by name or number, to that of the container.
func target(t testing.TB, s *runtime.Scheme, r *rendering, name, port string) (service, container string) {
	t.Helper()
	for _, o := range r.of("Service") {
		if o.name() != name {
			continue
		}
		decoded, err := strictly(s, o.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range decoded.(*core.Service).Spec.Ports { //nolint:forcetypeassert // its kind says so
			if p.Name == port || fmt.Sprint(p.Port) == port {
				return name, p.TargetPort.String()
			}
		}
	}
	t.Fatalf("no Service %s with port %s", name, port)
	return "", ""
}

func TestServices(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	for name, r := range variants(t) {
		pods := podsOf(t, s, r)
		for _, o := range r.of("Service") {
			decoded, err := strictly(s, o.text)
			if err != nil {
				t.Fatal(err)
			}
			v := decoded.(*core.Service) //nolint:forcetypeassert // its kind says so
			for _, p := range v.Spec.Ports {
				inner := p.TargetPort.String() == "inner"
				if inner && v.Spec.Type != core.ServiceTypeClusterIP && v.Spec.Type != "" {
					t.Errorf("INN-07 %s: %s carries the second listener and is a %s", name, o, v.Spec.Type)
				}
				if inner != strings.HasSuffix(v.Name, "-inner") {
					t.Errorf("INN-07 %s: %s has port %s", name, o, p.TargetPort.String())
				}
			}
			var selected []string
			for _, p := range pods {
				chosen := len(v.Spec.Selector) > 0
				for key, value := range v.Spec.Selector {
					chosen = chosen && p.meta.Labels[key] == value
				}
				if chosen {
					selected = append(selected, p.of)
				}
			}
			if len(selected) != 1 || !strings.HasPrefix(selected[0], "Deployment ") {
				t.Errorf("%s: %s selects %v", name, o, selected)
			}
		}
	}
}

// A client of a stream waits minutes for its end, and events may not wait in a buffer.
func TestStreamsAreNeitherBufferedNorCut(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	for _, o := range render(t, "gateway").of("HTTPRoute") {
		decoded, err := strictly(s, o.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range decoded.(*gateway.HTTPRoute).Spec.Rules { //nolint:forcetypeassert // its kind says so
			if strings.HasSuffix(o.name(), "-core") && (rule.Timeouts == nil || rule.Timeouts.Request == nil || *rule.Timeouts.Request != "0s") {
				t.Errorf("%s: a rule has a time-out", o)
			}
		}
	}
	annotations, _ := at(render(t, "ha").one(t, "Ingress", "-core").tree, "metadata", "annotations").(map[string]any)
	if annotations["nginx.ingress.kubernetes.io/proxy-buffering"] != "off" {
		t.Errorf("the Ingress says %v", annotations)
	}
}
