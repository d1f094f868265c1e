// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// kinds are all types that objects of the chart may have.
func kinds(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, gateway.Install, monitoring.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// strictly decodes an object into its Kubernetes type and refuses members that it does not have.
func strictly(s *runtime.Scheme, text []byte) (runtime.Object, error) {
	o, _, err := json.NewSerializerWithOptions(json.DefaultMetaFactory, s, s, json.SerializerOptions{Yaml: true, Strict: true}).Decode(text, nil, nil)
	return o, err
}

func TestEveryObjectFitsItsType(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	for name, r := range variants(t) {
		t.Run(name, func(t *testing.T) {
			if len(r.objects) < 5 {
				t.Errorf("%d objects alone", len(r.objects))
			}
			for _, o := range r.objects {
				if _, err := strictly(s, o.text); err != nil {
					t.Errorf("%s: %v", o, err)
				}
			}
		})
	}
	t.Run("a member that no type has is noticed", func(t *testing.T) {
		if _, err := strictly(s, []byte("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {prots: []}\n")); err == nil {
			t.Error("it was taken")
		}
	})
}

// Two objects of one name would overwrite each other.
func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	for name, r := range variants(t) {
		seen := map[string]bool{}
		for _, o := range r.objects {
			if seen[o.String()] {
				t.Errorf("%s: %s twice", name, o)
			}
			seen[o.String()] = true
			if len(o.name()) > 63 {
				t.Errorf("%s: the name of %s is too long", name, o)
			}
			if ns := at(o.tree, "metadata", "namespace"); ns != namespace && o.name() != "sso-dify-sso-extra" {
				t.Errorf("%s: %s is in namespace %v", name, o, ns)
			}
		}
	}
}
