// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"slices"
	"testing"
)

// finding is one of a doctor's report.
type finding struct {
	Check, Subject, Status, Text, Next string
}

// examined runs a doctor in a pod, with the headless Service as the replicas, and
// expects failures of the explained checks alone, and those.
func (in *installation) examined(t testing.TB, p *pod, program, component, scheme, port string, explained ...string) {
	t.Helper()
	replicas := scheme + "://" + release + "-dify-sso-" + component + "-replicas-inner." + namespace + ".svc:" + port
	out, err := p.exec("", program, "doctor", "-o", "json", "--replica", replicas)
	report := decode[struct{ Findings []finding }](t, out)
	if (err != nil) != (len(explained) > 0) {
		t.Errorf("doctor: %v", err)
	}
	asked := 0
	for _, f := range report.Findings {
		expected := slices.Contains(explained, f.Check)
		if (f.Status == "fail") != expected {
			t.Errorf("%s %s: %s: %s %s", f.Check, f.Subject, f.Status, f.Text, f.Next)
		} else if f.Status == "warn" {
			t.Logf("%s %s warns: %s", f.Check, f.Subject, f.Text)
		}
		if f.Check == "replica.ready" && f.Status == "ok" {
			asked++
		}
	}
	if want := len(in.by[release+"-dify-sso-"+component].pods); asked != want {
		t.Errorf("the doctor sees %d ready replicas of %d", asked, want)
	}
}
