// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The benchmark of sso-bridge's consumer service stands beside the service, whose packages
// are its own: this program builds it, runs it and reads what it prints.
const (
	consumerPackage = "github.com/dify-sso/dify-sso/sso-bridge/internal/app"
	consumerBench   = "BenchmarkConsumerService"
	// onlyBridge is the flag -stores that measures nothing else, and needs no core.
	onlyBridge = "bridge"
)

// The goals of the consumer service.
const (
	bareRatio   = 0.50
	largestTime = 50 * time.Millisecond
	largestHeap = 20 << 20 // bytes
)

// The units of its figures; the first two are those of a response that a provider usually
// sends, the others those of the largest ones.
const (
	unitRatio = "of-bare"
	unitCPU   = "cpu-of-bare"
	unitTime  = "ns/op"
	unitUsed  = "cpu-ms/op"
	unitHeap  = "B/op"
	unitBytes = "base64-B"
)

// figures are what one benchmark gave, by unit, a value of each round.
type figures struct {
	name  string
	units map[string][]float64
}

// parseFigures adds what "go test -bench" has printed; benchmarks keep their order.
func parseFigures(all []figures, text string) ([]figures, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		name, ok := strings.CutPrefix(line, consumerBench+"/")
		if !ok || len(fields) < 4 {
			continue // what the tool says of itself
		}
		name, _, _ = strings.Cut(name, " ")
		name = strings.TrimSpace(name)
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i] // the number of processors
		}
		name = strings.ReplaceAll(name, "_", " ")
		var f *figures
		for i := range all {
			if all[i].name == name {
				f = &all[i]
			}
		}
		if f == nil {
			all = append(all, figures{name, map[string][]float64{}})
			f = &all[len(all)-1]
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
			}
			f.units[fields[i+1]] = append(f.units[fields[i+1]], v)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no figure of %s in %q", consumerBench, text)
	}
	return all, nil
}

// bridge measures the consumer service of sso-bridge.
func bridge(ctx context.Context, rounds int, shrink int64, dir string, out io.Writer) (section, error) {
	s := section{title: "The assertion consumer service of sso-bridge"}
	bin := filepath.Join(dir, "consumer.test")
	if text, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", bin, consumerPackage).CombinedOutput(); err != nil { //nolint:gosec // constants and our own directory
		return s, fmt.Errorf("build: %w: %s", err, text)
	}
	each := time.Second / time.Duration(shrink)
	var all []figures
	worst := 0.0
	for round := range rounds + 1 {
		var text []byte
		var foreign float64
		for range tries {
			begun, err := ownAndBusy()
			if err != nil {
				return s, err
			}
			start := time.Now()
			cmd := exec.CommandContext(ctx, bin, "-test.run", "^$", "-test.bench", "^"+consumerBench+"$", "-test.benchtime", each.String()) //nolint:gosec // what was just built
			cmd.Dir = dir
			if text, err = cmd.CombinedOutput(); err != nil {
				return s, fmt.Errorf("%s: %w: %s", consumerBench, err, text)
			}
			ended, err := ownAndBusy()
			if err != nil {
				return s, err
			}
			foreign = share(ended[1]-begun[1]-(ended[0]-begun[0]), time.Since(start))
			if foreign < tooMuch || shrink > 1 {
				break
			}
		}
		fmt.Fprintf(out, "round %d of %d: %s, %.0f %% of the machine for others\n%s", round, rounds, consumerBench, foreign*100, text)
		if round == 0 {
			continue // everything is cold in it
		}
		worst = max(worst, foreign)
		var err error
		if all, err = parseFigures(all, string(text)); err != nil {
			return s, err
		}
	}
	s.intro = consumerIntro(rounds, time.Now(), worst)
	s.text = consumerTables(all)
	return s, nil
}

// ownAndBusy gives the CPU time of this program with all that it has started, and of the
// whole machine.
func ownAndBusy() (both [2]time.Duration, err error) {
	if both[0], err = treeCPU(os.Getpid()); err == nil {
		both[1], err = busyCPU()
	}
	return both, err
}

func consumerIntro(rounds int, when time.Time, foreign float64) string {
	text := fmt.Sprintf(`The whole service in one process, from the handler of `+"`POST /sso/saml/acs/{connection}`"+` through the claim of the attempt, the strict reader, the mark against replay,
the mapping of claims and the signature of the assertion for core, beside crewjam/saml's bare `+"`ParseXMLResponse`"+` of the same message, in turn and in the same run.
The message has one signature, RSA-SHA256 with 2048 bits. The bridge writes the attempt twice, durably: before it looks at the message, and with the success. The
second row keeps attempts in memory and so shows what is computed. `+"`%s`"+`, on %s by %d runs: medians, the least and the greatest in parentheses.`,
		"go run ./bench -stores "+onlyBridge, when.UTC().Format("2006-01-02"), rounds)
	if foreign >= tooMuch {
		text += fmt.Sprintf("\nOther work took up to %.0f %% of the machine meanwhile: trust the CPU times rather than rates and durations.", foreign*100)
	}
	return text
}

func consumerTables(all []figures) string {
	var usual, large strings.Builder
	for _, f := range all {
		if len(f.units[unitRatio]) > 0 {
			ratio, cpu := spreadOf(f.units[unitRatio]), spreadOf(f.units[unitCPU])
			name, goal := "embedded: SQLite and memory", said(fmt.Sprintf("≥ %.2f", bareRatio), ratio.median >= bareRatio)
			if f.name != "embedded" {
				name, goal = "attempts in memory as well", "–"
			}
			fmt.Fprintf(&usual, "| %s | %.2f (%.2f–%.2f) | %.2f (%.2f–%.2f) | %s |\n", name, ratio.median, ratio.least, ratio.most, cpu.median, cpu.least, cpu.most, goal)
			continue
		}
		took, used, heap := spreadOf(f.units[unitTime]), spreadOf(f.units[unitUsed]), spreadOf(f.units[unitHeap])
		met := took.median < float64(largestTime) && heap.most < largestHeap
		fmt.Fprintf(&large, "| %s | %.0f | %.1f (%.1f–%.1f) | %.1f (%.1f–%.1f) | %.1f | %s |\n", strings.TrimPrefix(f.name, "largest of "), spreadOf(f.units[unitBytes]).median,
			took.median/1e6, took.least/1e6, took.most/1e6, used.median, used.least, used.most, heap.most/(1<<20), said(fmt.Sprintf("< %d ms, < %d MiB", largestTime.Milliseconds(), largestHeap>>20), met))
	}
	return `
| Stores | Rate ÷ bare library | CPU of the library ÷ CPU of the service | Goal |
| --- | --- | --- | --- |
` + usual.String() + `
The largest messages that are accepted: 256 KiB of base64, signed twice, and at a second limit of the reader.

| Most of | base64, bytes | Duration, ms | CPU, ms | Allocated, MiB | Goal |
| --- | --- | --- | --- | --- | --- |
` + large.String()
}
