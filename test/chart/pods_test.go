// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// pod is one that an object of the chart makes.
type pod struct {
	of   string
	meta meta.ObjectMeta
	spec core.PodSpec
}

func (p pod) component() string { return p.meta.Labels["app.kubernetes.io/component"] }

// containers are all of a pod, those that run first included.
func (p pod) containers() []core.Container {
	return append(append([]core.Container{}, p.spec.InitContainers...), p.spec.Containers...)
}

func podsOf(t testing.TB, s *runtime.Scheme, r *rendering) (list []pod) {
	t.Helper()
	for _, o := range r.objects {
		decoded, err := strictly(s, o.text)
		if err != nil {
			t.Fatalf("%s: %v", o, err)
		}
		switch v := decoded.(type) {
		case *core.Pod:
			list = append(list, pod{o.String(), v.ObjectMeta, v.Spec})
		case *apps.Deployment:
			list = append(list, pod{o.String(), v.Spec.Template.ObjectMeta, v.Spec.Template.Spec})
		case *batch.Job:
			list = append(list, pod{o.String(), v.Spec.Template.ObjectMeta, v.Spec.Template.Spec})
		case *apps.StatefulSet, *apps.DaemonSet, *batch.CronJob:
			t.Fatalf("%s: pods of this kind are not looked at yet", o)
		}
	}
	return list
}

// restricted judges a pod as the admission of Kubernetes does under the label
// pod-security.kubernetes.io/enforce: restricted.
func restricted(t testing.TB, p pod) (violations []string) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &p.meta, &p.spec) {
		if !result.Allowed {
			violations = append(violations, result.ForbiddenReason+": "+result.ForbiddenDetail)
		}
	}
	return violations
}

// beyond is what the chart promises and the standard does not ask for.
func beyond(p pod) (violations []string) {
	say := func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) }
	if p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken {
		say("a service account's token is mounted")
	}
	if p.spec.EnableServiceLinks == nil || *p.spec.EnableServiceLinks {
		say("addresses of Services are in the environment")
	}
	for _, c := range p.containers() {
		security := c.SecurityContext
		if security == nil || security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
			say("%s can write its root file system", c.Name)
		}
		if security == nil || security.RunAsUser == nil || *security.RunAsUser != 65532 {
			say("%s does not run as 65532", c.Name)
		}
		if len(c.Command) > 0 {
			say("%s has a command, and the image's own is the program", c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() {
			say("%s names no memory limit, or requests nothing", c.Name)
		}
	}
	for _, v := range p.spec.Volumes {
		if v.Secret != nil && (v.Secret.DefaultMode == nil || *v.Secret.DefaultMode != 0o440) {
			say("volume %s is readable to more than the group", v.Name)
		}
	}
	return violations
}

func TestPodsPassTheRestrictedStandard(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	for name, r := range variants(t) {
		t.Run(name, func(t *testing.T) {
			pods := podsOf(t, s, r)
			if len(pods) < 2 {
				t.Errorf("%d pods alone", len(pods))
			}
			for _, p := range pods {
				for _, v := range append(restricted(t, p), beyond(p)...) {
					t.Errorf("%s: %s", p.of, v)
				}
			}
		})
	}
}

// Each value that loosens a pod goes past what the chart sees to, and must be noticed here:
// this is what makes the test above one that can fail.
func TestViolationsAreSeen(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	for _, tc := range []struct{ says, set string }{
		{"runAsNonRoot", "json:core.securityContext={\"allowPrivilegeEscalation\":false,\"capabilities\":{\"drop\":[\"ALL\"]},\"runAsNonRoot\":false}"},
		{"seccompProfile", "json:core.podSecurityContext={\"seccompProfile\":{\"type\":\"Unconfined\"}}"},
		{"allowPrivilegeEscalation", "core.securityContext.allowPrivilegeEscalation=true"},
		{"unrestricted capabilities", "core.securityContext.capabilities=null"},
		{"unrestricted capabilities", "json:core.securityContext.capabilities={\"drop\":[\"ALL\"],\"add\":[\"NET_ADMIN\"]}"},
		{"privileged", "core.securityContext.privileged=true"},
		{"runAsUser=0", "core.securityContext.runAsUser=0"},
		{"procMount", "core.securityContext.procMount=Unmasked"},
		{"hostPath", "json:core.extraVolumes=[{\"name\":\"h\",\"hostPath\":{\"path\":\"/\"}}]"},
		{"restricted volume types", "json:core.extraVolumes=[{\"name\":\"h\",\"hostPath\":{\"path\":\"/\"}}]"},
		{"forbidden sysctls", "json:core.podSecurityContext.sysctls=[{\"name\":\"kernel.msgmax\",\"value\":\"1\"}]"},
		{"hostPort", "json:core.extraContainers=[{\"name\":\"x\",\"image\":\"x\",\"ports\":[{\"containerPort\":1,\"hostPort\":1}]}]"},
		{"x can write", "json:core.extraContainers=[{\"name\":\"x\",\"image\":\"x\"}]"},
		{"can write its root", "core.securityContext.readOnlyRootFilesystem=false"},
		{"does not run as 65532", "core.securityContext.runAsUser=1000"},
		{"no memory limit", "json:core.resources={\"limits\":null}"},
	} {
		t.Run(tc.says+" "+tc.set[:20], func(t *testing.T) {
			var all []string
			for _, p := range podsOf(t, s, render(t, "default", tc.set)) {
				all = append(all, append(restricted(t, p), beyond(p)...)...)
			}
			if !strings.Contains(strings.Join(all, "\n"), tc.says) {
				t.Errorf("not seen; what was seen: %q", all)
			}
		})
	}
}
