// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times under /proc; Linux shows 100 a second everywhere.
const tick = 10 * time.Millisecond

// treeCPU gives the CPU time, user and system, of a process and all below it, those
// included that have ended and were waited for.
func treeCPU(root int) (time.Duration, error) {
	parents, used := map[int]int{}, map[int]stat{}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // a path of /proc
		if err != nil {
			continue // it has just ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		s, err := parseStat(string(text))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		parents[pid], used[pid] = s.parent, s
	}
	if _, ok := used[root]; !ok {
		return 0, fmt.Errorf("process %d is gone", root)
	}
	total := time.Duration(0)
	for pid, s := range used {
		if below(pid, root, parents) {
			total += s.own + s.waited
		}
	}
	return total, nil
}

func below(pid, root int, parents map[int]int) bool {
	for depth := 0; pid > 1 && depth < 64; depth++ {
		if pid == root {
			return true
		}
		pid = parents[pid]
	}
	return false
}

// stat is what /proc/PID/stat says of a process.
type stat struct {
	parent      int
	own, waited time.Duration // waited is that of children that have ended
}

// parseStat reads past the name, which may hold blanks and parentheses (proc(5)).
func parseStat(text string) (stat, error) {
	i := strings.LastIndexByte(text, ')')
	if i < 0 {
		return stat{}, fmt.Errorf("no name in %q", text)
	}
	fields := strings.Fields(text[i+1:])
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("%d fields after the name", len(fields))
	}
	var n [4]int64
	for j := range n {
		var err error
		if n[j], err = strconv.ParseInt(fields[11+j], 10, 64); err != nil {
			return stat{}, err
		}
	}
	parent, err := strconv.Atoi(fields[1])
	return stat{parent: parent, own: time.Duration(n[0]+n[1]) * tick, waited: time.Duration(n[2]+n[3]) * tick}, err
}

// busyCPU gives the CPU time that the whole machine has spent on anything.
func busyCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseBusy(string(text))
}

func parseBusy(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	total := int64(0)
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq; neither idle nor waiting
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return time.Duration(total) * tick, nil
}
