// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	cmdline "github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

func (c *command) secrets() *cobra.Command {
	return cmdline.Group(&cobra.Command{Use: "secrets", Short: "Make the secrets of a new installation"}, c.secretsInit())
}

// secretsWanted is what secrets init was called with.
type secretsWanted struct {
	kubernetes, namespace, directory string
	enterprise, group                bool
	urls                             [4]string // files: database and Redis of core, then of the bridge
}

func (c *command) secretsInit() *cobra.Command {
	var w secretsWanted
	cmd := &cobra.Command{
		Use: "init (--kubernetes NAME | --directory DIR)", Short: "Draw the secrets of both services, once, for Kubernetes or as files", Args: cmdline.NoArgs,
		Long: `Draw the secrets of a new installation that runs on Postgres and Redis. Nothing is kept:
what is printed or written is all there is of them, so keep a copy as you keep keys.

  core secrets init --kubernetes sso --enterprise > secrets.yaml
  core secrets init --kubernetes sso --namespace auth --database-url-file db --redis-url-file redis | kubectl apply -f -
  core secrets init --directory /etc/dify-sso/secrets --enterprise

For Kubernetes these are the Secrets NAME-core and, with --enterprise, NAME-bridge and
NAME-keyset, as the chart mounts them. As files they are DIR/core/secret-key, sealing-key,
database-url and redis-url, with --enterprise the same four in DIR/sso-bridge, and
DIR/keyset.json: the names that the units and the files of compose have. Their mode is
0600, or 0640 with --group. A file that exists is never written.

An address that no flag gives is a placeholder that begins with FILL IN, and no service
starts with it. The bridge needs an SQL role and a Redis user of its own.

Exit codes: 0 made, 1 a file is there or cannot be written, 2 a wrong call.`,
		RunE: func(*cobra.Command, []string) error {
			if err := w.check(); err != nil {
				return cmdline.Usage(err)
			}
			made, err := c.draw(w)
			if err != nil {
				return err
			}
			if w.directory != "" {
				return c.writeSecrets(w, made)
			}
			if c.Terminal {
				fmt.Fprintln(c.Stderr, "These are secrets in clear. Send them to a file of mode 0600 or to kubectl apply -f -, and clear this terminal.")
			}
			return printSecrets(c.Stdout, w, made)
		},
	}
	f := cmd.Flags()
	f.StringVar(&w.kubernetes, "kubernetes", "", "print Kubernetes Secrets whose names begin with this")
	f.StringVar(&w.namespace, "namespace", "", "namespace of the Secrets; without it that of kubectl")
	f.StringVar(&w.directory, "directory", "", "write files below this directory")
	f.BoolVar(&w.enterprise, "enterprise", false, "of sso-bridge too, and the key set that both share")
	f.BoolVar(&w.group, "group", false, "with --directory: let the group read, mode 0640")
	for i, name := range []string{"database-url-file", "redis-url-file", "bridge-database-url-file", "bridge-redis-url-file"} {
		f.StringVar(&w.urls[i], name, "", "file whose first line is that address, or - for standard input")
	}
	return cmd
}

// resourceName is what a Secret's name may begin with (RFC 1123), with room for what follows.
var resourceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$`)

func (w secretsWanted) check() error {
	switch {
	case (w.kubernetes == "") == (w.directory == ""):
		return errors.New("one of --kubernetes and --directory is required")
	case w.kubernetes != "" && !resourceName.MatchString(w.kubernetes):
		return errors.New("--kubernetes must be lower-case letters, digits and -, at most 50")
	case w.namespace != "" && (w.kubernetes == "" || !resourceName.MatchString(w.namespace)):
		return errors.New("--namespace must be lower-case letters, digits and -, and goes with --kubernetes")
	case w.group && w.directory == "":
		return errors.New("--group goes with --directory")
	case !w.enterprise && (w.urls[2] != "" || w.urls[3] != ""):
		return errors.New("--bridge-database-url-file and --bridge-redis-url-file go with --enterprise")
	}
	return nil
}

// oneSecret is what one service, or both, get.
type oneSecret struct {
	name   string // of the Secret, after the prefix: core, bridge or keyset
	folder string // of the files: each service's own, or the directory itself for what both share
	values []secretValue
}

type secretValue struct{ key, value string }

const (
	toFill         = "FILL IN"
	postgresToFill = toFill + " postgres://user:password@host:5432/database?sslmode=verify-full"
	redisToFill    = toFill + " rediss://user:password@host:6379"
)

// draw draws everything anew.
func (c *command) draw(w secretsWanted) ([]oneSecret, error) {
	urls := [4]string{postgresToFill, redisToFill, postgresToFill, redisToFill}
	for i, path := range w.urls {
		if path == "" {
			continue
		}
		given, err := c.reveal(path)
		if err != nil {
			return nil, fmt.Errorf("an address cannot be read: %w", err)
		}
		urls[i] = given.Reveal()
	}
	service := func(name, folder string, urls []string) oneSecret {
		return oneSecret{name, folder, []secretValue{
			{"secret-key", secret.Random()}, {"sealing-key", string(seal.NewKeyFile("k1"))}, {"database-url", urls[0]}, {"redis-url", urls[1]},
		}}
	}
	made := []oneSecret{service("core", "core", urls[:2])}
	if !w.enterprise {
		return made, nil
	}
	now := time.Now()
	file, err := keyset.NewFile(keyset.File{}.NextKID(now), now)
	if err != nil {
		return nil, err
	}
	content, err := file.Encode()
	if err != nil {
		return nil, err
	}
	return append(made, service("bridge", "sso-bridge", urls[2:]), oneSecret{"keyset", ".", []secretValue{{"keyset.json", string(content)}}}), nil
}

// printSecrets writes manifests. A JSON string is a YAML scalar.
func printSecrets(to io.Writer, w secretsWanted, made []oneSecret) error {
	quoted := func(s string) string {
		text, _ := json.Marshal(s) // a string always can be
		return string(text)
	}
	var b strings.Builder
	b.WriteString("# Secrets in clear, made by core secrets init. Keep this file as you keep keys.\n")
	for i, s := range made {
		if i > 0 {
			b.WriteString("---\n")
		}
		fmt.Fprintf(&b, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n", quoted(w.kubernetes+"-"+s.name))
		if w.namespace != "" {
			fmt.Fprintf(&b, "  namespace: %s\n", quoted(w.namespace))
		}
		b.WriteString("  labels:\n    app.kubernetes.io/part-of: dify-sso\ntype: Opaque\nstringData:\n")
		for _, v := range s.values {
			fmt.Fprintf(&b, "  %s: %s\n", v.key, quoted(v.value))
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// writeSecrets writes files, all of them or, where one is there, none.
func (c *command) writeSecrets(w secretsWanted, made []oneSecret) error {
	mode, folder := os.FileMode(0o600), os.FileMode(0o700)
	if w.group {
		mode, folder = 0o640, 0o750
	}
	if err := os.MkdirAll(w.directory, folder); err != nil {
		return fmt.Errorf("--directory: %w", err)
	}
	within, err := os.OpenRoot(w.directory) // no link leads out of it
	if err != nil {
		return fmt.Errorf("--directory: %w", err)
	}
	defer func() { _ = within.Close() }()
	var files []string
	for _, s := range made {
		if err := shut(within, s.folder); err != nil {
			return fmt.Errorf("--directory: %s %w, so nothing was written", filepath.Join(w.directory, s.folder), err)
		}
		for _, v := range s.values {
			path := filepath.Join(w.directory, s.folder, v.key)
			if _, err := within.Lstat(filepath.Join(s.folder, v.key)); !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%s is there, so nothing was written: name another directory, or move it away", path)
			}
			files = append(files, path)
		}
	}
	for _, s := range made {
		if err := within.Mkdir(s.folder, folder); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("--directory: %w", err)
		}
		for _, v := range s.values {
			if err := create(within, filepath.Join(s.folder, v.key), v.value, mode); err != nil {
				return fmt.Errorf("--directory: %w", err)
			}
		}
	}
	left := ""
	for _, s := range made {
		for _, v := range s.values {
			if strings.HasPrefix(v.value, toFill) {
				left = ", and fill in what begins with " + toFill
			}
		}
	}
	_, err = fmt.Fprintf(c.Stdout, "%s\nGive them to the users of the services (chown)%s.\n", strings.Join(files, "\n"), left)
	return err
}

// shut refuses a directory that is there and whose files others could put their own in place
// of: a link, or one that they may write to.
func shut(within *os.Root, name string) error {
	info, err := within.Lstat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("is no directory")
	case info.Mode().Perm()&0o022 != 0:
		return errors.New("may be written to by others (chmod go-w)")
	}
	return nil
}

// create makes a file that is not there, with its mode whatever the umask is.
func create(within *os.Root, path, content string, mode os.FileMode) (err error) {
	f, err := within.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	_, err = io.WriteString(f, strings.TrimSuffix(content, "\n")+"\n")
	return err
}
