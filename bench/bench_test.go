// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/archtest"
)

// Nothing here judges a time: what is tested is that the figures are what they say.

func TestDependencyFloors(t *testing.T) { archtest.Floors(t) }

// The floors and the runtime are this program once more, and so they are of this test's.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "-floors" {
		fail(serveFloors(context.Background(), os.Args[2]))
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "-runtime" {
		fail(serveRuntime(os.Args[2]))
		return
	}
	if len(os.Args) == 4 && os.Args[1] == "-relay" {
		fail(serveRelay(os.Args[2], os.Args[3]))
		return
	}
	os.Exit(m.Run())
}

func TestCPUTimesAreReadPastOddNames(t *testing.T) {
	got, err := parseStat("42 (a) b (c) S 7 1 1 0 -1 4194560 100 0 0 0 150 50 30 20 20 0 1 0 100 1 1")
	if err != nil || got != (stat{parent: 7, own: 2 * time.Second, waited: 500 * time.Millisecond}) {
		t.Fatal(got, err)
	}
	for _, text := range []string{"", "1 (x", "1 (x) S 1 2 3", "1 (x) S 7 1 1 0 -1 0 0 0 0 0 a b c d 20 0 1"} {
		if got, err := parseStat(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
	if busy, err := parseBusy("cpu  100 1 50 9000 800 2 3 0 0 0\ncpu0 1 1 1"); err != nil || busy != 1560*time.Millisecond {
		t.Fatal(busy, err)
	}
	if _, err := parseBusy("intr 1"); err == nil {
		t.Fatal("something else is read")
	}
}

func TestATreeOfProcessesIsSummed(t *testing.T) {
	parents := map[int]int{1: 0, 10: 1, 11: 10, 12: 11, 20: 1}
	for pid, want := range map[int]bool{10: true, 11: true, 12: true, 20: false, 1: false} {
		if got := below(pid, 10, parents); got != want {
			t.Errorf("%d below 10: %t", pid, got)
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("/proc")
	}
	if _, err := treeCPU(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if _, err := treeCPU(1 << 30); err == nil {
		t.Fatal("a process that is not there used time")
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{{nil, spread{}}, {[]float64{2}, spread{2, 2, 2}}, {[]float64{3, 1, 2}, spread{1, 2, 3}}, {[]float64{4, 1, 2, 3}, spread{1, 2.5, 4}}} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %v", c.values, got)
		}
	}
}

// answering serves until the test ends and gives its address.
func answering(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

func TestALoadCountsWhatWasAnsweredAndRefusesAnythingElse(t *testing.T) {
	var asked atomic.Int64
	base := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 300 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	act := func(c *caller, _ int64) error { return expect(c, "it", http.StatusOK, "", http.MethodGet, base, "") }
	l := newLoad(t.Context(), 1)
	if n, took, err := l.drive(amount{count: 200}, act); n != 200 || took <= 0 || err != nil || asked.Load() != 200 {
		t.Fatal(n, took, err, asked.Load())
	}
	if n, _, err := l.drive(amount{count: 1000}, act); err == nil || n >= 1000 || !strings.Contains(err.Error(), "it answered 503") {
		t.Fatal(n, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := newLoad(ctx, 1).drive(amount{count: 10}, act); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestTokensThatNoCacheKnowsAreNeverMetTwice(t *testing.T) {
	ring := newColdTokens(10, 15)
	for want := 10; want < 15; want++ {
		if got := ring.next(); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	}
}

func TestReport(t *testing.T) {
	second := func(n int64, cpu time.Duration) sample { return sample{n: n, took: time.Second, server: cpu} }
	pairs := []pair{
		{floor: second(1000, 10*time.Millisecond), path: second(700, 14*time.Millisecond)},
		{floor: second(1000, 10*time.Millisecond), path: second(500, 10*time.Millisecond)},
		{floor: second(1000, 10*time.Millisecond), path: second(600, 12*time.Millisecond)},
	}
	noisy := append([]pair(nil), pairs...)
	noisy[1].path.foreign = 0.42
	text := report(about{command: "make bench", when: time.Unix(0, 0), core: "core 1.2.3\n", stores: "Redis 7", rounds: 3}, []section{
		{title: "One", intro: "Intro.", results: []result{
			{path: path{name: "met", floor: "json", goal: goal{ratio: 0.6}}, pairs: pairs},
			{path: path{name: "not met", floor: "json", goal: goal{cpu: 19 * time.Microsecond}}, pairs: pairs},
			{path: path{name: "no goal", floor: "json"}, pairs: pairs},
		}},
		{title: "Two", intro: "Intro.", text: "\n| a table |\n", results: []result{{path: path{name: "noisy", floor: "get"}, pairs: noisy}}, notes: []string{"Left out: x."}},
	})
	for _, want := range []string{
		"| met | fiber, small JSON | 0.60 (0.50–0.70) | 20 | 0 | 10 | ≥ 0.60 ✓ |", "| 10 | ≤ 19 µs in both missed |", "| 10 | – |",
		"core 1.2.3, Go ", "Redis 7", "1970-01-01", "| a table |", "Other work took up to 42 %", "Left out: x.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if strings.Count(text, "Other work") != 1 {
		t.Error("noise is told of where there was none")
	}
}

func TestFiguresOfTheConsumerService(t *testing.T) {
	const head = "goos: linux\npkg: x\ncpu: y\n"
	round := func(ratio, took string) string {
		return head + "BenchmarkConsumerService/embedded-2 \t 50\t 2717 bare-µs/op\t 0.9 cpu-of-bare\t " + ratio + " of-bare\t 9760 ours-µs/op\n" +
			"BenchmarkConsumerService/in_memory \t 50\t 1281 bare-µs/op\t 1.1 cpu-of-bare\t 0.94 of-bare\n" +
			"BenchmarkConsumerService/largest_of_values-2 \t 50\t " + took + " ns/op\t 258764 base64-B\t 25 cpu-ms/op\t 9437184 B/op\t 7 allocs/op\nPASS\n"
	}
	var all []figures
	for _, text := range []string{round("0.40", "30000000"), round("0.60", "40000000"), round("0.55", "70000000")} {
		var err error
		if all, err = parseFigures(all, text); err != nil {
			t.Fatal(err)
		}
	}
	text := consumerTables(all)
	for _, want := range []string{
		"| embedded: SQLite and memory | 0.55 (0.40–0.60) | 0.90 (0.90–0.90) | ≥ 0.50 ✓ |", "| attempts in memory as well | 0.94 (0.94–0.94) | 1.10 (1.10–1.10) | – |",
		"| values | 258764 | 40.0 (30.0–70.0) | 25.0 (25.0–25.0) | 9.0 | < 50 ms, < 20 MiB ✓ |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables lack %q:\n%s", want, text)
		}
	}
	slow, err := parseFigures(nil, round("0.49", "50000000"))
	if err != nil || strings.Count(consumerTables(slow), "missed") != 2 {
		t.Errorf("%s, %v", consumerTables(slow), err)
	}
	for _, text := range []string{"", head + "PASS\n", "BenchmarkConsumerService/embedded-2 50 much of-bare\n"} {
		if got, err := parseFigures(nil, text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
	if quiet, loud := consumerIntro(3, time.Unix(0, 0), 0.01), consumerIntro(3, time.Unix(0, 0), 0.42); strings.Contains(quiet, "Other work") || !strings.Contains(loud, "42 %") {
		t.Errorf("%s\n%s", quiet, loud)
	}
}

// A trial run: every path once, each with a handful of requests. It shows that the
// bench still speaks as core does; its figures mean nothing.
func TestATrialOfEveryPath(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("builds the binary and starts servers; not part of test-fast")
	}
	bin := filepath.Join(t.TempDir(), "core")
	build := exec.Command("go", "build", "-o", bin, "github.com/dify-sso/dify-sso/core/cmd/core")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("core does not build: %v: %s", err, out)
		}
		t.Skipf("core does not build from here, as with GOWORK=off: %v: %s", err, out)
	}
	var progress bytes.Buffer
	text, err := options{core: bin, stores: "embedded,servers,streams", rounds: 1, shrink: 100}.run(t.Context(), &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	for _, name := range []string{"identity by forward-auth, cached", "identity by forward-auth, first use", "`GET /account`, cached", "introspection", "device code", "pending poll", "mint", "whole login", "added per event, 32 streams", "first byte", "bulk", "4, with"} {
		if !strings.Contains(text, "| "+name) {
			t.Errorf("nothing is said of %s:\n%s", name, text)
		}
	}
	if strings.Contains(text, "Left out") {
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Log("a part was left out; make deps adds what is missing")
	}
}
