// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// product is a running core with many people who are signed in.
type product struct {
	*process
	public, inner string
	version       string
	env           []string // of this installation's commands
	// lacks says what this build cannot be measured at yet.
	lacks []string

	// forget empties the bearer cache, where it is outside of the process.
	forget func() error

	introspector string         // its Authorization
	csrf         [people]string // of each person's browser
}

const (
	forwardKey    = "bench-forward-auth-key-0123456789abcdef"
	introspectID  = "bench"
	introspectKey = "bench-introspection-secret-0123456789abcdef"
)

// errTooOld says that this build of core does not have a setting.
var errTooOld = errors.New("this build of core does not know the setting")

// startCore makes an installation on the stores that env names, with so many tokens,
// and serves it. Every rate limit is off: they are judged by other tests.
func startCore(ctx context.Context, bin, dir string, tokens int, l *load, env map[string]string) (*product, error) {
	p := &product{}
	settings, err := knownSettings(bin)
	if err != nil {
		return nil, err
	}
	for key := range env {
		if _, ok := settings[key]; !ok {
			return nil, fmt.Errorf("%w: %s", errTooOld, key)
		}
	}
	limits, err := limitNames(bin)
	if err != nil {
		return nil, err
	}
	public, err := freeAddress()
	if err != nil {
		return nil, err
	}
	inner, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p.public, p.inner = "http://"+public, "http://"+inner
	all := []string{
		"DATA_DIR=" + dir, "LISTEN=" + public, "INNER_LISTEN=" + inner, "CONSOLE_API_URL=" + p.public,
		"RATE_LIMITS=" + strings.Join(limits, "=0,") + "=0", "OPENAPI_RATE_LIMIT_PER_TOKEN=0", "DEVICE_MAX_GRANTS=10000000",
	}
	for key, value := range env {
		all = append(all, key+"="+value)
	}
	secretSum := sha256.Sum256([]byte(introspectKey))
	for key, value := range map[string]string{"FORWARD_AUTH_KEY": forwardKey, "INTROSPECTION_CLIENTS": introspectID + ":" + hex.EncodeToString(secretSum[:])} {
		if _, ok := settings[key]; ok {
			all = append(all, key+"="+value)
		}
	}
	p.introspector = "Basic " + base64.StdEncoding.EncodeToString([]byte(introspectID+":"+introspectKey))
	p.env = all
	if err := install(bin, all); err != nil {
		return nil, err
	}
	if p.version, err = run(exec.Command(bin, "version"), ""); err != nil {
		return nil, err
	}
	if err := seedCore(ctx, env["DATABASE_URL"], dir, tokens); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	return p, p.serve(bin, all, l)
}

// install makes the schema and the owner.
func install(bin string, env []string) error {
	if _, err := run(exec.Command(bin, "migrate", "up"), "", env...); err != nil {
		return err
	}
	_, err := run(exec.Command(bin, "admin", "create-owner", "--email", "ada@example.com", "--name", "Ada", "--workspace", "Engines", "--password-file", "-"), "correct horse battery\n", env...)
	return err
}

func seedCore(ctx context.Context, url, dir string, tokens int) error {
	var db sqldb.DB
	var err error
	if url != "" {
		db, err = sqldb.OpenPostgres(ctx, url, sqldb.PostgresOptions{})
	} else {
		db, err = sqldb.OpenSQLite(ctx, filepath.Join(dir, "core.db"))
	}
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := seedPeople(ctx, db, tokens); err != nil {
		return err
	}
	if url != "" {
		_, err = db.Exec(ctx, "VACUUM ANALYZE")
	}
	return err
}

// serve starts core. Its log is written and thrown away.
func (p *product) serve(bin string, env []string, l *load) error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	cmd := exec.Command(bin, "serve")
	cmd.Stderr = null
	if p.process, err = launch("core", cmd, env...); err != nil {
		return err
	}
	c := newCaller()
	err = p.until(func() error {
		status, body, err := c.send(http.MethodGet, p.inner+"/readyz", "")
		if err == nil && status != http.StatusOK {
			err = unexpected("readyz", status, body)
		}
		return err
	})
	if err == nil {
		err = p.readCSRF(l)
	}
	if err != nil {
		p.end()
	}
	return err
}

// cookie is what a person's browser sends.
func (p *product) cookie(i int) string { return "console_session=" + cookieOf(i) }

// readCSRF fetches the token of everybody's browser session.
func (p *product) readCSRF(l *load) error {
	_, _, err := l.drive(l.some(people), func(c *caller, i int64) error {
		var got struct {
			Token string `json:"csrf_token"`
		}
		err := expect(c, "csrf-token", http.StatusOK, "csrf_token", http.MethodGet, p.public+"/console/api/csrf-token", "", "Cookie", p.cookie(int(i)))
		if err == nil {
			err = json.Unmarshal(c.res.Body(), &got)
		}
		p.csrf[i] = got.Token
		return err
	})
	return err
}

// knownSettings gives the settings that this build has.
func knownSettings(bin string) (map[string]string, error) {
	out, err := run(exec.Command(bin, "config", "print", "-o", "json"), "")
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	return settings, json.Unmarshal([]byte(out), &settings)
}

var limitList = regexp.MustCompile(`the limits are ([a-z., -]+)`)

// limitNames asks this build for the names of its limits: it lists them to whoever
// names one that does not exist.
func limitNames(bin string) ([]string, error) {
	_, err := run(exec.Command(bin, "config", "check"), "", "RATE_LIMITS=none.such=0")
	if err == nil {
		return nil, errors.New("core takes a limit that does not exist")
	}
	m := limitList.FindStringSubmatch(err.Error())
	if m == nil {
		return nil, fmt.Errorf("core does not list its limits: %w", err)
	}
	return strings.Split(m[1], ", "), nil
}

// newSecrets gives the settings that a core without a data directory of its own needs.
func newSecrets(dir string) (map[string]string, error) {
	file := filepath.Join(dir, "sealing.key")
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	err := os.WriteFile(file, []byte("k1:"+base64.StdEncoding.EncodeToString(key)+"\n"), 0o600)
	return map[string]string{"SECRET_KEY": rand.Text() + rand.Text(), "SEALING_KEY_FILE": file}, err
}
