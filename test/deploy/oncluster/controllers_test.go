// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// rollout is how long a Deployment may take on a busy machine.
const rollout = 3 * time.Minute

// deployment is one with its pods.
type deployment struct {
	n    *node
	spec appsv1.Deployment
	pods []*pod
}

func (d *deployment) replicas() int {
	if r := d.spec.Spec.Replicas; r != nil {
		return int(*r)
	}
	return 1
}

func (d *deployment) one() *pod {
	p := d.n.start(d.n.name(d.spec.Name), d.spec.Spec.Template.Labels, d.spec.Spec.Template.Spec)
	p.live()
	return p
}

// begin starts all pods at once, as a new ReplicaSet does.
func (n *node) begin(spec appsv1.Deployment) *deployment {
	n.t.Helper()
	d := &deployment{n: n, spec: spec}
	for range d.replicas() {
		d.pods = append(d.pods, d.one())
	}
	return d
}

// wait is "kubectl rollout status".
func (d *deployment) wait(t testing.TB) {
	t.Helper()
	for _, p := range d.pods {
		for deadline := time.Now().Add(rollout); !p.available(d.spec.Spec.MinReadySeconds); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) || p.looping() {
				t.Fatalf("pod %s does not get ready: %v\n%s", p.name, p.failure, p.logs())
			}
		}
	}
}

// apply takes another content: nothing happens where the template is the same; else the
// pods are replaced by the declared strategy. least is the smallest number of ready pods
// that was seen.
func (d *deployment) apply(t testing.TB, spec appsv1.Deployment) (replaced, least int) {
	t.Helper()
	same := reflect.DeepEqual(d.spec.Spec.Template, spec.Spec.Template)
	if d.spec = spec; same {
		return 0, len(d.pods)
	}
	old, fresh := d.pods, []*pod(nil)
	if d.spec.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		for _, p := range old {
			if err := p.stop(); err != nil {
				t.Error(err)
			}
		}
		fresh := d.n.begin(spec)
		d.pods = fresh.pods
		d.wait(t)
		return len(old), 0
	}
	surge, missing := d.spec.Spec.Strategy.RollingUpdate.MaxSurge.IntValue(), d.spec.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue()
	var going sync.WaitGroup
	least = d.replicas()
	for deadline := time.Now().Add(rollout); ; time.Sleep(20 * time.Millisecond) {
		ready, available := 0, 0
		for _, p := range append(append([]*pod{}, old...), fresh...) {
			if p.isReady() {
				ready++
			}
			if p.available(d.spec.Spec.MinReadySeconds) {
				available++
			}
		}
		least = min(least, ready)
		switch {
		case len(old) == 0 && len(fresh) == d.replicas() && available == d.replicas():
			going.Wait()
			d.pods = fresh
			return replaced, least
		case len(fresh) < d.replicas() && len(old)+len(fresh) < d.replicas()+surge:
			fresh = append(fresh, d.one())
		case len(old) > 0 && available > d.replicas()-missing:
			leaving := old[0]
			old = old[1:]
			replaced++
			going.Go(func() {
				if err := leaving.stop(); err != nil {
					t.Error(err)
				}
			})
		case time.Now().After(deadline):
			t.Fatalf("the rollout of %s does not end: %d old, %d new, %d available\n%s", d.spec.Name, len(old), len(fresh), available, fresh[len(fresh)-1].logs())
		}
	}
}

// job runs a Job to its end.
func (n *node) job(t testing.TB, j batchv1.Job) {
	t.Helper()
	var last *pod
	for range *j.Spec.BackoffLimit + 1 {
		last = n.start(n.name(j.Name), j.Spec.Template.Labels, j.Spec.Template.Spec)
		if n.finish(last) {
			return
		}
	}
	t.Fatalf("job %s fails: %v\n%s", j.Name, last.failure, last.logs())
}

// finish runs the containers of a pod that ends by itself.
func (n *node) finish(p *pod) bool {
	defer p.end()
	for _, c := range p.spec.Containers {
		if !p.toEnd(c) {
			return false
		}
	}
	return true
}

// helmTest is "helm test".
func (n *node) helmTest(t testing.TB, pods []corev1.Pod) (logs string) {
	t.Helper()
	if len(pods) == 0 {
		t.Fatal("the release has no test")
	}
	for _, spec := range pods {
		p := n.start(n.name(spec.Name), spec.Labels, spec.Spec)
		if !n.finish(p) {
			t.Errorf("helm test: %s: %v\n%s", spec.Name, p.failure, p.logs())
		}
		logs += fmt.Sprintf("%s:\n%s", spec.Name, p.logs())
	}
	return logs
}
