// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// node is kubelet, kube-proxy and name server of one namespace.
type node struct {
	t     testing.TB
	net   *network
	roots []byte // what its images believe, as the bundle of the public authorities

	mu       sync.Mutex
	secrets  map[string]map[string][]byte
	configs  map[string]corev1.ConfigMap
	claims   map[string]string // folders
	services map[string]*service
	outside  map[string]string // addresses of public names
	reached  map[string]bool   // servers of this machine that are reachable on the network
	pods     []*pod
	serial   int
}

// service is a Service with its address; a headless one has none.
type service struct {
	corev1.Service
	address string
}

func newNode(t testing.TB) *node {
	t.Helper()
	process.Program(t, "core") // before any goroutine needs it: a short run ends here
	n := &node{
		t: t, net: newNetwork(t), secrets: map[string]map[string][]byte{}, configs: map[string]corev1.ConfigMap{},
		claims: map[string]string{}, services: map[string]*service{}, outside: map[string]string{}, reached: map[string]bool{},
	}
	serveNames(t, net.JoinHostPort(n.net.at(1), "53"), n.lookup)
	return n
}

// close ends all pods at once, before the test's own cleaning up.
func (n *node) close() {
	n.mu.Lock()
	pods := slices.Clone(n.pods)
	n.mu.Unlock()
	for _, p := range pods {
		p.abandon()
	}
}

// serve makes the Services that are not there yet.
func (n *node) serve(list []corev1.Service) {
	n.t.Helper()
	for _, s := range list {
		n.mu.Lock()
		_, there := n.services[s.Name]
		n.mu.Unlock()
		if there {
			continue
		}
		made := &service{Service: s}
		if s.Spec.ClusterIP != corev1.ClusterIPNone {
			made.address = n.net.clusterIP()
			for _, p := range s.Spec.Ports {
				turn := 0
				var mu sync.Mutex
				forward(n.t, net.JoinHostPort(made.address, strconv.Itoa(int(p.Port))), func() string {
					ends := n.endpoints(&s, p)
					if len(ends) == 0 {
						return ""
					}
					mu.Lock()
					defer mu.Unlock()
					turn++
					return ends[turn%len(ends)]
				})
			}
		}
		n.mu.Lock()
		n.services[s.Name] = made
		n.mu.Unlock()
	}
}

// endpoints are the addresses behind a port of a Service.
func (n *node) endpoints(s *corev1.Service, port corev1.ServicePort) (list []string) {
	for _, p := range n.selected(s) {
		for _, c := range p.spec.Containers {
			for _, cp := range c.Ports {
				if cp.Name == port.TargetPort.String() || strconv.Itoa(int(cp.ContainerPort)) == port.TargetPort.String() {
					list = append(list, net.JoinHostPort(p.box.address, strconv.Itoa(int(cp.ContainerPort))))
				}
			}
		}
	}
	return list
}

// selected are the pods of a Service that count.
func (n *node) selected(s *corev1.Service) (list []*pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.pods {
		if fits(p.labels, s.Spec.Selector) && (p.isReady() || s.Spec.PublishNotReadyAddresses && p.isThere()) {
			list = append(list, p)
		}
	}
	return list
}

func fits(labels, selector map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// lookup is cluster DNS; public names are those of this test alone.
func (n *node) lookup(name string) ([]string, bool) {
	n.mu.Lock()
	public, known := n.outside[name]
	var s *service
	if short, ok := strings.CutSuffix(name, "."+namespace+".svc.cluster.local"); ok {
		s = n.services[short]
	}
	n.mu.Unlock()
	switch {
	case known:
		return []string{public}, true
	case s == nil:
		return nil, false
	case s.address != "":
		return []string{s.address}, true
	}
	var list []string
	for _, p := range n.selected(&s.Service) {
		list = append(list, p.box.address)
	}
	return list, true
}

// name draws the name of a pod.
func (n *node) name(of string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serial++
	return fmt.Sprintf("%s-%05d", of, n.serial)
}
