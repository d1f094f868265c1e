// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dify-sso/dify-sso/pkg/telemetry"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// TestReferenceOfMetrics keeps docs/reference/sso-bridge-metrics.md: make reference.
func TestReferenceOfMetrics(t *testing.T) {
	m := telemetry.NewMetrics(Program, "1")
	f := newFigures(m, &Settings{}, time.Now)
	m.CountLines(slog.New(slog.DiscardHandler))
	m.Keyset(func() string { return "a" })
	m.Ready([]string{"sql"}, func(context.Context) map[string]bool { return nil })
	m.Audit(func() int { return 0 }, func() uint64 { return 0 })
	m.Pools(map[string]func() telemetry.Pool{"sql": func() telemetry.Pool { return telemetry.Pool{"open": 1} }})
	over, stop := context.WithCancel(t.Context())
	stop()
	if err := m.WatchClocks(time.Now, telemetry.Peer{Name: "core", Clock: func(context.Context) (time.Time, error) { return time.Now(), nil }})(over); err != nil {
		t.Fatal(err)
	}
	// One of each, for what nothing has counted is not shown.
	m.Observe("/sso/start/:ticket", 303, time.Second)
	m.Refused("start.addr")
	m.Job("prune.attempts", "done", 1)
	skew := 1.0
	f.ended(login.Attempt{State: login.StateSucceeded, Connection: "acme", Trace: login.Trace{ClockSkew: &skew, Steps: []login.Step{{Name: "claim"}}}})
	if err := f.ends.look(t.Context(), certificates(time.Now(), time.Now())); err != nil {
		t.Fatal(err)
	}
	f.took(connection.Serving{}, "verify", time.Now())

	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Metrics of sso-bridge\n\nGenerated from the code; a test compares the two, and `make reference` writes it anew.\n\n" +
		"`GET /metrics` on the second listener, as Prometheus text. No label holds a person, a token or an address; connections are as many as an administrator\n" +
		"has made. A process counts what it does itself: sum over processes. Beside these there are `go_*` and `process_*`.\n\n" +
		"| Metric | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n")
	shown := map[string]bool{}
	for _, family := range families {
		name := family.GetName()
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		shown[name] = true
		labels := "–"
		var list []string
		for _, l := range family.GetMetric()[0].GetLabel() { // in the order of their names
			list = append(list, "`"+l.GetName()+"`")
		}
		if len(list) > 0 {
			labels = strings.Join(list, ", ")
		}
		if family.GetHelp() == "" {
			t.Errorf("%s says nothing of itself", name)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), labels, family.GetHelp())
	}
	registered := make(chan *prometheus.Desc)
	go func() { m.Registry.Describe(registered); close(registered) }()
	named := regexp.MustCompile(`fqName: "((?:dify_sso|sso|keyset)_[^"]+)"`)
	for desc := range registered {
		if found := named.FindStringSubmatch(desc.String()); found != nil && !shown[found[1]] {
			t.Errorf("%s was not counted, so that the reference lacks it", found[1])
		}
	}

	const path = "../../../docs/reference/sso-bridge-metrics.md"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != b.String() {
		t.Errorf("docs/reference/sso-bridge-metrics.md is out of date; make reference writes it anew (%v)", err)
	}
}
