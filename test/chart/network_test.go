// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// party is one end of a connection: a pod, or an address outside the cluster.
type party struct {
	labels    map[string]string
	namespace string // empty outside
	ip        string
	ports     map[string]int32 // by name, of a pod that is called
}

// network answers who reaches whom, by the rules of networking.k8s.io/v1: a pod that no
// policy of a direction selects is open in it, any other takes what one rule allows.
type network []*networking.NetworkPolicy

func networkOf(t testing.TB, s *runtime.Scheme, r *rendering) (n network) {
	t.Helper()
	for _, o := range r.of("NetworkPolicy") {
		decoded, err := strictly(s, o.text)
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, decoded.(*networking.NetworkPolicy)) //nolint:forcetypeassert // its kind says so
	}
	return n
}

func (n network) reaches(t testing.TB, from, to party, protocol core.Protocol, port int32) bool {
	t.Helper()
	out := n.allows(t, networking.PolicyTypeEgress, from, to, to, protocol, port)
	in := n.allows(t, networking.PolicyTypeIngress, to, from, to, protocol, port)
	return out && in
}

func (n network) allows(t testing.TB, direction networking.PolicyType, subject, other, called party, protocol core.Protocol, port int32) bool {
	t.Helper()
	selected := false
	for _, p := range n {
		if subject.namespace != p.Namespace || !slices.Contains(p.Spec.PolicyTypes, direction) || !matches(t, &p.Spec.PodSelector, subject.labels) {
			continue
		}
		selected = true
		if direction == networking.PolicyTypeEgress {
			for _, rule := range p.Spec.Egress {
				if anyPeer(t, rule.To, p.Namespace, other) && anyPort(rule.Ports, called, protocol, port) {
					return true
				}
			}
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if anyPeer(t, rule.From, p.Namespace, other) && anyPort(rule.Ports, called, protocol, port) {
				return true
			}
		}
	}
	return !selected
}

func matches(t testing.TB, selector *meta.LabelSelector, of map[string]string) bool {
	t.Helper()
	s, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(of))
}

func anyPeer(t testing.TB, peers []networking.NetworkPolicyPeer, here string, other party) bool {
	t.Helper()
	for _, p := range peers {
		switch {
		case p.IPBlock != nil:
			block, err := netip.ParsePrefix(p.IPBlock.CIDR)
			if err != nil {
				t.Fatal(err)
			}
			if address, err := netip.ParseAddr(other.ip); err == nil && block.Contains(address) {
				return true
			}
		case other.namespace == "":
		case p.NamespaceSelector != nil:
			ns := map[string]string{"kubernetes.io/metadata.name": other.namespace}
			if matches(t, p.NamespaceSelector, ns) && (p.PodSelector == nil || matches(t, p.PodSelector, other.labels)) {
				return true
			}
		case p.PodSelector != nil && other.namespace == here && matches(t, p.PodSelector, other.labels):
			return true
		}
	}
	return len(peers) == 0
}

func anyPort(rules []networking.NetworkPolicyPort, called party, protocol core.Protocol, port int32) bool {
	for _, p := range rules {
		if p.Protocol != nil && *p.Protocol != protocol || p.Protocol == nil && protocol != core.ProtocolTCP {
			continue
		}
		number := int32(0)
		if p.Port != nil {
			if number = p.Port.IntVal; p.Port.StrVal != "" {
				number = called.ports[p.Port.StrVal]
			}
		}
		if p.Port == nil || number == port || p.EndPort != nil && port >= number && port <= *p.EndPort {
			return true
		}
	}
	return len(rules) == 0
}

// parties are the pods of a rendering by component, and others that live around them.
func parties(t testing.TB, s *runtime.Scheme, r *rendering) map[string]party {
	t.Helper()
	all := map[string]party{
		"gateway": {labels: map[string]string{"app": "gateway"}, namespace: "gateways"}, "prometheus": {labels: map[string]string{"app": "prometheus"}, namespace: "monitoring"},
		"stranger": {labels: map[string]string{"app": "x"}, namespace: "x"}, "neighbour": {labels: map[string]string{"app": "x"}, namespace: namespace},
		"world": {ip: "198.51.100.7"}, "postgres": {ip: "10.30.0.7"}, "redis": {ip: "10.30.1.7"},
		"dns": {labels: map[string]string{"k8s-app": "kube-dns"}, namespace: "kube-system"},
	}
	for _, p := range podsOf(t, s, r) {
		ports := map[string]int32{}
		for _, c := range p.spec.Containers {
			for _, port := range c.Ports {
				ports[port.Name] = port.ContainerPort
			}
		}
		all[p.component()] = party{labels: maps.Clone(p.meta.Labels), namespace: namespace, ports: ports}
	}
	return all
}

func TestNetworkPoliciesLetThroughWhatTheySay(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	const tcp, udp = core.ProtocolTCP, core.ProtocolUDP
	for _, tc := range []struct {
		values   string
		set      []string
		from, to string
		protocol core.Protocol
		port     int32
		want     bool
	}{
		// The Enterprise Edition, whose gateway is named.
		{"ee", nil, "gateway", "core", tcp, 5001, true},
		{"ee", nil, "gateway", "bridge", tcp, 5003, true},
		{"ee", nil, "stranger", "core", tcp, 5001, false},
		{"ee", nil, "world", "core", tcp, 5001, false},
		{"ee", nil, "probe", "core", tcp, 5001, true},
		{"ee", nil, "gateway", "core", tcp, 5002, false},
		{"ee", nil, "gateway", "bridge", tcp, 5004, false},
		{"ee", nil, "probe", "core", tcp, 5002, false},
		{"ee", nil, "neighbour", "core", tcp, 5002, false},
		{"ee", nil, "neighbour", "bridge", tcp, 5004, false},
		{"ee", nil, "core", "bridge", tcp, 5004, true},
		{"ee", nil, "bridge", "core", tcp, 5002, true},
		{"ee", nil, "core", "bridge", tcp, 5003, false},
		{"ee", nil, "bridge", "core", tcp, 5001, false},
		{"ee", nil, "prometheus", "core", tcp, 5002, true},
		{"ee", nil, "prometheus", "bridge", tcp, 5004, true},
		{"ee", nil, "prometheus", "core", tcp, 5001, false},
		{"ee", nil, "bridge", "world", tcp, 443, true},
		{"ee", nil, "bridge", "world", tcp, 80, false},
		{"ee", nil, "bridge", "world", tcp, 25, false},
		{"ee", nil, "core", "world", tcp, 443, true},
		{"ee", nil, "core", "world", tcp, 22, false},
		{"ee", nil, "core", "dns", udp, 53, true},
		{"ee", nil, "bridge", "dns", udp, 53, true},
		{"ee", nil, "bridge", "postgres", tcp, 5432, true},
		{"ee", nil, "bridge", "redis", tcp, 6379, true},
		{"ee", []string{"core.migrations.mode=job"}, "core-migrate", "postgres", tcp, 5432, true},
		{"ee", []string{"core.migrations.mode=job"}, "core-migrate", "core", tcp, 5002, false},
		{"ee", []string{"core.migrations.mode=job"}, "core-migrate", "bridge", tcp, 5004, false},
		// Stores and proxies that are named.
		{"ha", nil, "core", "postgres", tcp, 5432, true},
		{"ha", nil, "core", "redis", tcp, 6380, true},
		{"ha", nil, "core", "redis", tcp, 5432, false},
		{"ha", nil, "core", "world", tcp, 5432, false},
		{"ha", nil, "core", "world", tcp, 6380, false},
		{"ha", nil, "core", "world", tcp, 443, true},
		{"ha", []string{"json:core.networkPolicy.innerFrom=[{\"namespaceSelector\":{\"matchLabels\":{\"kubernetes.io/metadata.name\":\"x\"}}}]"}, "stranger", "core", tcp, 5002, true},
		{"ha", nil, "stranger", "core", tcp, 5002, false},
		// One pod, whose gateway is not named: everybody reaches the public listener, and it calls no database.
		{"default", nil, "stranger", "core", tcp, 5001, true},
		{"default", nil, "world", "core", tcp, 5001, true},
		{"default", nil, "stranger", "core", tcp, 5002, false},
		{"default", nil, "core", "postgres", tcp, 5432, false},
		{"default", nil, "core", "redis", tcp, 6379, false},
		{"default", nil, "core", "dns", udp, 53, true},
		// None is made.
		{"cluster", nil, "stranger", "core", tcp, 5002, true},
	} {
		r := render(t, tc.values, tc.set...)
		all := parties(t, s, r)
		from, knownFrom := all[tc.from]
		to, knownTo := all[tc.to]
		if !knownFrom || !knownTo {
			t.Errorf("%s: there is no %s or no %s", tc.values, tc.from, tc.to)
			continue
		}
		if got := networkOf(t, s, r).reaches(t, from, to, tc.protocol, tc.port); got != tc.want {
			t.Errorf("%s %v: %s to %s on %d is %v", tc.values, tc.set, tc.from, tc.to, tc.port, got)
		}
	}
}
