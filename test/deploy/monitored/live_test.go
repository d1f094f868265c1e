// SPDX-License-Identifier: Apache-2.0

package monitored

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// Jobs have their first turns a minute or two after a start, so that this takes as long; it waits most of it.
func TestARealPrometheus(t *testing.T) {
	t.Parallel()
	program(t, "prometheus")
	in := install(t)
	s := in.prometheus(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := in.live(ctx, t)
	defer func() { stop(); <-ended }()

	variables := strings.NewReplacer("$namespace", ".*", "$job", "dify-sso.*", "$service", ".*", "$__rate_interval", "20s")
	open := map[string]string{}
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			open[q.Expr] = p.Title
		}
	}
	t.Run("each panel's query is answered with data", func(t *testing.T) {
		if len(open) < 50 {
			t.Fatalf("%d queries: the dashboard was not understood", len(open))
		}
		defer func() {
			for query, title := range open {
				t.Errorf("%s: no data for %s", title, variables.Replace(query))
			}
		}()
		until(t, "every panel shows something", func() bool {
			for query := range open {
				if s.answers(variables.Replace(query)) > 0 {
					delete(open, query)
				}
			}
			return len(open) == 0
		})
	})
	t.Run("alerts and panels ask for metrics that there are", func(t *testing.T) {
		var there []string
		s.get("/api/v1/label/__name__/values", nil, &there)
		for _, r := range rules(t) {
			there = append(there, r.Record)
		}
		ask := func(what, expr string) {
			found := names(expr)
			if len(found) == 0 {
				t.Errorf("%s asks for nothing of ours: %s", what, expr)
			}
			for _, name := range found {
				if !slices.Contains(there, strings.TrimSuffix(name, "{")) {
					t.Errorf("%s asks for %s, which is not there", what, name)
				}
			}
		}
		for _, r := range rules(t) {
			ask(r.Alert+r.Record, r.Expr)
		}
		for _, p := range readDashboard(t).Panels {
			for _, q := range p.Targets {
				ask(p.Title, q.Expr)
			}
		}
		if names(`sum(nonsense) + dify_sso_nothing_at_all`)[0] != "dify_sso_nothing_at_all" {
			t.Error("a name is not seen")
		}
	})
	t.Run("nothing critical fires in health", func(t *testing.T) {
		until(t, "no critical alert", func() bool {
			critical := slices.DeleteFunc(s.firing(), func(a alert) bool { return a.Labels["severity"] != "critical" })
			return len(critical) == 0
		})
	})
	fires := func(t *testing.T, name string, labels ...string) {
		t.Helper()
		var got alert
		until(t, name+" fires", func() bool {
			for _, a := range s.firing() {
				well := a.Labels["alertname"] == name
				for i := 0; i < len(labels); i += 2 {
					well = well && a.Labels[labels[i]] == labels[i+1]
				}
				if well {
					got = a
				}
			}
			return got.State != ""
		})
		for key, text := range got.Annotations {
			if text == "" || strings.Contains(text, "no value") || strings.Contains(text, "<error") || strings.Contains(text, "  ") {
				t.Errorf("%s: %s reads %q", name, key, text)
			}
		}
	}
	t.Run("a key-set file that is none is refused, and told", func(t *testing.T) {
		if err := in.spoilKeyset(t); err != nil {
			t.Fatal(err)
		}
		fires(t, "DifySSOKeysetRefused", "service", "sso-bridge")
	})
	t.Run("Redis stops", func(t *testing.T) {
		in.redis.Kill()
		fires(t, "DifySSOStoreFailing", "store", "redis", "service", "core")
		fires(t, "DifySSONotReady", "check", "store", "service", "core")
		fires(t, "DifySSONobodyReady", "service", "core")
		fires(t, "DifySSOLoginsFailing", "step", "code")
		fires(t, "DifySSOErrorBudgetFast", "service", "core")
	})
	t.Run("the bridge dies", func(t *testing.T) {
		in.bridge.Kill()
		fires(t, "DifySSOTargetDown", "service", "sso-bridge")
		fires(t, "DifySSONobodyThere", "service", "sso-bridge")
	})
}
