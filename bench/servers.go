// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// postgres is a server of this run alone, so that its CPU time is ours alone. It is as
// durable as one in production: what a commit costs is measured.
type postgres struct {
	*process
	url     string // of its own database
	version string
}

func startPostgres(ctx context.Context, dir string) (*postgres, error) {
	bin, err := postgresBinaries()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "postgres")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	if as != nil {
		if err := os.Chown(data, int(as.Uid), int(as.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", data) //nolint:gosec // it was found where Postgres is installed
	initdb.Dir, initdb.SysProcAttr = data, &syscall.SysProcAttr{Credential: as}
	if _, err := run(initdb, ""); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(address, ":")
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", //nolint:gosec // as above
		"-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB")
	cmd.Dir, cmd.SysProcAttr = data, &syscall.SysProcAttr{Credential: as}
	p, err := launch("postgres", cmd)
	if err != nil {
		return nil, err
	}
	p.stop = syscall.SIGINT // SIGTERM waits for clients
	s := &postgres{process: p, url: "postgres://postgres@" + address + "/postgres?sslmode=disable"}
	err = p.until(func() error { return s.ask(ctx, "SHOW server_version", &s.version) })
	if err != nil {
		p.end()
		return nil, err
	}
	return s, nil
}

// ask runs a statement that gives one text.
func (s *postgres) ask(ctx context.Context, query string, to *string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.QueryRow(ctx, query).Scan(to)
}

// database makes a database and gives its address.
func (s *postgres) database(ctx context.Context, name string) (string, error) {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return strings.Replace(s.url, "/postgres?", "/"+name+"?", 1), nil
}

// postgresBinaries finds the folder that has them, the newest version first.
func postgresBinaries() (string, error) {
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	version := func(dir string) int { n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))); return n }
	slices.SortFunc(debian, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range slices.Concat([]string{os.Getenv("PG_BIN")}, debian, filepath.SplitList(os.Getenv("PATH"))) {
		if dir == "" {
			continue
		}
		_, server := os.Stat(filepath.Join(dir, "postgres")) //nolint:gosec // the operator names the folder
		_, initdb := os.Stat(filepath.Join(dir, "initdb"))   //nolint:gosec // as above
		if server == nil && initdb == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("postgres and initdb: %w", errNotFound)
}

// unprivileged is whom Postgres runs as: it refuses root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // as this process
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("a user for Postgres, which refuses root: %w", errNotFound)
}

// redisServer is a Redis of this run alone, without persistence.
type redisServer struct {
	*process
	addr    string
	version string
}

func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redis-server: %w", errNotFound)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(address, ":")
	p, err := launch("redis", exec.Command(bin, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir)) //nolint:gosec // found on the path
	if err != nil {
		return nil, err
	}
	s := &redisServer{process: p, addr: address}
	client := redis.NewClient(redisOptions(address))
	defer func() { _ = client.Close() }()
	err = p.until(func() error {
		info, err := client.Info(ctx, "server").Result()
		_, s.version, _ = strings.Cut(info, "redis_version:")
		s.version, _, _ = strings.Cut(s.version, "\r")
		return err
	})
	if err != nil {
		p.end()
		return nil, err
	}
	return s, nil
}
