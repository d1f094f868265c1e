// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/pkg/telemetry"
)

// mtMetric is one metric as /metrics shows it.
type mtMetric struct {
	help, kind string
	labels     map[string]map[string]bool // the values that were seen
}

var (
	mtSample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	mtLabel  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// mtRead takes the text of /metrics apart.
func mtRead(t testing.TB, text string) map[string]*mtMetric {
	t.Helper()
	metrics := map[string]*mtMetric{}
	of := func(name string) *mtMetric {
		if metrics[name] == nil {
			metrics[name] = &mtMetric{labels: map[string]map[string]bool{}}
		}
		return metrics[name]
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			of(name).help = help
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			of(name).kind = kind
			continue
		}
		m := mtSample.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("what is this line? %q", line)
		}
		name := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && metrics[base] != nil {
				name = base
			}
		}
		for _, l := range mtLabel.FindAllStringSubmatch(m[2], -1) {
			if l[1] == "le" || l[1] == "quantile" {
				continue // of the format, not ours
			}
			if of(name).labels[l[1]] == nil {
				of(name).labels[l[1]] = map[string]bool{}
			}
			of(name).labels[l[1]][l[2]] = true
		}
	}
	return metrics
}

// mtBounds says what the values of a label are. There is no label for anything that is
// about a person, a token or a code.
func mtBounds() map[string]func(value string) bool {
	routes := map[string]bool{"unmatched": true, "/healthz": true, "/readyz": true, "/metrics": true}
	for _, r := range httpapi.Routes() {
		routes[r.Path] = true
	}
	matches := func(pattern string) func(string) bool { return regexp.MustCompile(pattern).MatchString }
	return map[string]func(string) bool{
		"service": func(v string) bool { return v == "core" },
		"version": func(v string) bool { return v == apitest.Version },
		"route":   func(v string) bool { return routes[v] },
		"class":   matches(`^[1-5]xx$`),
		"policy":  func(v string) bool { return slices.Contains(limits.Names(), v) },
		"task":    matches(`^[a-z]+(?:[._-][a-z]+)*$`),
		"outcome": matches(`^[a-z]+(?:[ _-][a-z]+)*$`),

		"fingerprint": matches(`^[A-Za-z0-9_:-]{8,80}$`),
		"step":        matches(`^(code|decision|token|console|sso_start|sso_return|remembered|database|unknown|unavailable)$`),
		"state":       matches(`^(pending|approved|denied|redeemed|refused|expired|open|in_use|idle|max)$`),
		"kind":        matches(`^dfo[ae]$`),
		"reason":      matches(`^(logout|user|admin|expired|subject_changed|subject_revoked|account_inactive|email_became_account|rfc7009|other)$`),
		"mode":        matches(`^(chat|agent-chat|advanced-chat|completion|workflow)$`),
		"operation":   matches(`^[a-z]+$`),
		"store":       matches(`^(sql|redis)$`),
		"check":       matches(`^(sql|store|schema|keyset)$`),
		"peer":        matches(`^(postgres|redis|bridge)$`),
		"level":       matches(`^(debug|info|warn|error)$`),
	}
}

// mtUnseen shows what a server counts only after its first minute.
func mtUnseen(t testing.TB) string {
	t.Helper()
	m := telemetry.NewMetrics("core", apitest.Version)
	m.Job("prune.tokens", "done", 1)
	// Two servers with no other beside them have no clock to compare with.
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := m.WatchClocks(time.Now, telemetry.Peer{Name: "bridge", Clock: func(context.Context) (time.Time, error) { return time.Now(), nil }})(ctx); err != nil {
		t.Fatal(err)
	}
	shown := httptest.NewRecorder()
	promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}).ServeHTTP(shown, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return shown.Body.String()
}

// TestReferenceOfMetrics also keeps docs/reference/metrics.md: make reference.
func TestReferenceOfMetrics(t *testing.T) {
	aboutEmbedded(t) // what other processes share has no metric
	s := apitest.Start(t, apitest.Set("RATE_LIMITS", "device.lookup.addr=1/1h"))
	token, _ := s.SignInDevice(t, s.SignedIn(t), "box")
	s.Bearer(t, token, http.MethodGet, htSessions)
	for range 2 {
		s.Call(t, http.MethodGet, lookPath+"?user_code=BCDF-GHJK", "")
	}
	s.Call(t, http.MethodGet, "/nothing/"+token, "")
	app := s.NewApp(t, apps.App{WorkspaceID: sqlText(t, s, `SELECT id FROM workspaces`), APIEnabled: true})
	s.Call(t, http.MethodPost, "/openapi/v1/apps/"+app.ID+"/run", `{"inputs":{},"query":"hello"}`, "Authorization", "Bearer "+token, "Content-Type", "application/json", "Accept", "text/event-stream")
	for _, job := range s.App.Jobs() {
		if job.Name == "count.tokens" {
			if _, err := job.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	metrics := mtRead(t, htInner(t, s, "/metrics").Body)
	// What one configuration alone has.
	other := apitest.Start(t, apitest.Enterprise(t), apitest.OverTLS(apitest.NewCertificate(t, 1, time.Hour)))
	res, err := tlClient(t).Get(other.Inner + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := io.ReadAll(res.Body)
	if _ = res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{mtUnseen(t), string(shown)} {
		for name, m := range mtRead(t, more) {
			if metrics[name] == nil {
				metrics[name] = m
			}
		}
	}
	var own []string
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		switch {
		case strings.HasPrefix(name, "dify_sso_"), strings.HasPrefix(name, "keyset_"):
			own = append(own, name)
		case strings.HasPrefix(name, "go_"), strings.HasPrefix(name, "process_"):
		default:
			t.Errorf("%s has no prefix that the reference knows", name)
		}
	}
	t.Run("M-15 no label holds what there is no end of", func(t *testing.T) {
		bounds := mtBounds()
		for _, name := range own {
			for label, values := range metrics[name].labels {
				within := bounds[label]
				if within == nil {
					t.Errorf("%s has a label %s, and nobody says what it may hold", name, label)
					continue
				}
				for v := range values {
					if !within(v) {
						t.Errorf("%s: %s=%q", name, label, v)
					}
				}
			}
		}
	})
	t.Run("M-15 the reference lists every metric", func(t *testing.T) {
		var b strings.Builder
		b.WriteString(`# Metrics of core

Generated from the code; a test compares the two, and ` + "`make reference`" + ` writes it anew.

` + "`GET /metrics`" + ` on the second listener, as Prometheus text. No label holds a subject, a token, a code or an address. A process counts what it does itself: sum over
processes. Beside these there are ` + "`go_*` and `process_*`" + `, the Go runtime's and the operating system's. ` + "`keyset_*`" + ` is there with ` + "`ENTERPRISE_ENABLED`" + `,
` + "`dify_sso_tls_*`" + ` where core itself speaks TLS. Those of sso-bridge: [sso-bridge-metrics.md](sso-bridge-metrics.md).

| Metric | Type | Labels | Meaning |
| --- | --- | --- | --- |
`)
		for _, name := range own {
			m := metrics[name]
			var labels []string
			for _, l := range slices.Sorted(maps.Keys(m.labels)) {
				labels = append(labels, "`"+l+"`")
			}
			if len(labels) == 0 {
				labels = []string{"–"}
			}
			if m.help == "" {
				t.Errorf("%s says nothing of itself", name)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.kind, strings.Join(labels, ", "), m.help)
		}
		const path = "../../../docs/reference/metrics.md"
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != b.String() {
			t.Errorf("docs/reference/metrics.md is out of date; make reference writes it anew:\n%s", b.String())
		}
	})
}
