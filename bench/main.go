// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	core   string
	write  string
	stores string
	rounds int
	shrink int64
	floors string
	// runtime is the address of what streams come from, relay that of a bare proxy before it.
	runtime, relay string
}

func main() {
	var o options
	flag.StringVar(&o.core, "core", "bin/core", "the built core, as make build leaves it")
	flag.StringVar(&o.write, "write", "", "file for the report; empty prints it")
	flag.StringVar(&o.stores, "stores", "embedded,servers,streams,bridge", "what is measured: core on embedded stores, on servers, its streams, sso-bridge's consumer service")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds that count, at least 3")
	flag.Int64Var(&o.shrink, "shrink", 1, "divide every amount by this: a trial of the bench itself, no measurement")
	flag.StringVar(&o.floors, "floors", "", "serve the floors on this address (used by the bench itself)")
	flag.StringVar(&o.runtime, "runtime", "", "serve the runtime of the streams on this address (used by the bench itself)")
	flag.StringVar(&o.relay, "relay", "", "serve a bare proxy on this address, in front of the argument (used by the bench itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if o.floors != "" {
		context.AfterFunc(ctx, func() { os.Exit(0) })
		fail(serveFloors(ctx, o.floors))
		return
	}
	if o.runtime != "" {
		context.AfterFunc(ctx, func() { os.Exit(0) })
		fail(serveRuntime(o.runtime))
		return
	}
	if o.relay != "" {
		context.AfterFunc(ctx, func() { os.Exit(0) })
		fail(serveRelay(o.relay, flag.Arg(0)))
		return
	}
	text, err := o.run(ctx, os.Stderr)
	fail(err)
	if o.write == "" {
		fmt.Print(text)
		return
	}
	fail(os.WriteFile(o.write, []byte(text), 0o644)) //nolint:gosec // a document
	fmt.Fprintln(os.Stderr, "Written:", o.write)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and gives the report.
func (o options) run(ctx context.Context, progress io.Writer) (string, error) {
	if runtime.GOOS != "linux" {
		return "", errors.New("reads CPU times from /proc and needs Linux")
	}
	if o.rounds < 3 && o.shrink == 1 {
		return "", errors.New("-rounds must be at least 3")
	}
	core, err := filepath.Abs(o.core)
	if err == nil && o.stores != onlyBridge {
		_, err = os.Stat(core)
	}
	if err != nil {
		return "", fmt.Errorf("%w: type make build first", err)
	}
	dir, err := os.MkdirTemp("", "dify-sso-bench-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // Postgres runs as another user below it
		return "", err
	}
	b := &bench{rounds: o.rounds, out: progress, load: newLoad(ctx, o.shrink)}
	a := about{command: "make bench", when: time.Now(), rounds: o.rounds}
	var sections []section
	for _, part := range []struct {
		name string
		run  func(context.Context, *bench, string, string, *about) (section, error)
	}{{"embedded", embedded}, {"servers", servers}, {"streams", streams}} {
		if !slices.Contains(strings.Split(o.stores, ","), part.name) {
			continue
		}
		s, err := part.run(ctx, b, core, filepath.Join(dir, part.name), &a)
		if err != nil {
			return "", fmt.Errorf("%s: %w", part.name, err)
		}
		sections = append(sections, s)
	}
	if slices.Contains(strings.Split(o.stores, ","), onlyBridge) {
		s, err := bridge(ctx, o.rounds, o.shrink, dir, progress)
		if err != nil {
			return "", fmt.Errorf("bridge: %w", err)
		}
		sections = append(sections, s)
	}
	if len(sections) == 0 {
		return "", errors.New("-stores names nothing to measure")
	}
	return report(a, sections), nil
}

// tokens is how many a run of cold reads goes through without meeting one twice.
func (b *bench) tokens() int {
	return rotated + int((int64(b.rounds)+3)*2*coldOfOne/b.shrink)
}

// startFloors starts the floors.
func startFloors(env ...string) (*process, string, error) {
	return startSelf("floors", env, "-floors")
}

// startSelf starts this program once more, to serve what the flag says.
func startSelf(name string, env []string, flag string, more ...string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	p, err := launch(name, exec.Command(self, append([]string{flag, address}, more...)...), env...) //nolint:gosec // this program
	if err != nil {
		return nil, "", err
	}
	if err := p.until(func() error { return dial(address) }); err != nil {
		p.end()
		return nil, "", err
	}
	return p, "http://" + address, nil
}

// embedded measures core on SQLite and memory against bare fiber.
func embedded(ctx context.Context, b *bench, bin, dir string, a *about) (section, error) {
	s := section{title: "Embedded: SQLite and memory", intro: "One process, no server beside it. The floor touches no store."}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return s, err
	}
	floors, base, err := startFloors()
	if err != nil {
		return s, err
	}
	defer floors.end()
	p, err := startCore(ctx, bin, dir, b.tokens(), b.load, nil)
	if err != nil {
		return s, err
	}
	defer p.end()
	a.core = p.version
	s.results, err = b.measure(station{server: p.process}, station{server: floors}, p.paths(b.load, b.tokens(), false), floorActs(base, b.tokens()))
	s.note(p)
	return s, err
}

// servers measures core on Postgres and Redis, each with its own floor on the same two.
func servers(ctx context.Context, b *bench, bin, dir string, a *about) (section, error) {
	s := section{title: "Postgres and Redis", intro: "Each path beside the bare store trip that it needs, on the same two servers."}
	if err := os.Mkdir(dir, 0o711); err != nil { //nolint:gosec // Postgres runs as another user below it
		return s, err
	}
	sql, err := startPostgres(ctx, dir)
	if errors.Is(err, errNotFound) {
		s.notes = append(s.notes, "Left out: "+err.Error()+".")
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer sql.end()
	store, err := startRedis(ctx, dir)
	if errors.Is(err, errNotFound) {
		s.notes = append(s.notes, "Left out: "+err.Error()+".")
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer store.end()
	a.stores = "Postgres " + sql.version + ", Redis " + store.version
	url, err := sql.database(ctx, "floors")
	if err != nil {
		return s, err
	}
	if err := errors.Join(seedFloors(ctx, url, b.tokens()), seedRedis(ctx, store.addr)); err != nil {
		return s, fmt.Errorf("seed: %w", err)
	}
	floors, base, err := startFloors(floorDatabase+"="+url, floorRedis+"="+store.addr)
	if err != nil {
		return s, err
	}
	defer floors.end()
	p, err := startOnServers(ctx, b, bin, dir, sql, store)
	if errors.Is(err, errTooOld) {
		s.notes = append(s.notes, "Left out: "+err.Error()+".")
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer p.end()
	a.core = p.version
	stores := []*process{sql.process, store.process}
	s.results, err = b.measure(station{p.process, stores}, station{floors, stores}, p.paths(b.load, b.tokens(), true), floorActs(base, b.tokens()))
	s.note(p)
	return s, err
}

func startOnServers(ctx context.Context, b *bench, bin, dir string, sql *postgres, store *redisServer) (*product, error) {
	url, err := sql.database(ctx, "core")
	if err != nil {
		return nil, err
	}
	env, err := newSecrets(dir)
	if err != nil {
		return nil, err
	}
	env["DATABASE_URL"], env["REDIS_URL"] = url, "redis://"+store.addr
	p, err := startCore(ctx, bin, filepath.Join(dir, "core"), b.tokens(), b.load, env)
	if err != nil {
		return nil, err
	}
	p.forget = func() error { return forget(ctx, store.addr, "auth:*") }
	return p, nil
}

func (s *section) note(p *product) {
	if len(p.lacks) > 0 {
		s.notes = append(s.notes, "Left out, because this build does not answer it: "+strings.Join(p.lacks, ", ")+".")
	}
}
