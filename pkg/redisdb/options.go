// SPDX-License-Identifier: Apache-2.0

package redisdb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/trip"
)

// Mode says what stands behind the addresses.
type Mode string

// The modes. An empty Mode is Single.
const (
	Single   Mode = "single"
	Sentinel Mode = "sentinel"
	Cluster  Mode = "cluster"
)

// Options are the settings of a connection.
type Options struct {
	// URL is redis:// or rediss://, with user, password and database where they are
	// needed. Several addresses are a comma list, the first with the scheme:
	// redis://user:password@one:6379,two:6379/0.
	URL  secret.Text
	Mode Mode
	// MasterName and SentinelPassword belong to Sentinel.
	MasterName       string
	SentinelPassword secret.Text
	// CAFile adds roots to those of the system, for rediss://.
	CAFile string
	// KeyPrefix begins every key: at most 32 of letters, digits, ":", "_" and "-".
	KeyPrefix string
	// PoolSize is the most connections to one server; 0 means 32.
	PoolSize int
	// Observe is told of each trip; nil is told of none.
	Observe trip.Observer
}

// The settings of Options, as a Problem names them; a service puts its REDIS_ before.
const (
	SettingURL              = "URL"
	SettingMode             = "MODE"
	SettingMasterName       = "MASTER_NAME"
	SettingSentinelPassword = "SENTINEL_PASSWORD"
	SettingCAFile           = "CA_FILE"
	SettingKeyPrefix        = "KEY_PREFIX"
	SettingPoolSize         = "POOL_SIZE"
)

// Problem is one setting that is wrong. Text never holds a value of URL, which may
// carry a password.
type Problem struct{ Setting, Text string }

// Error names the setting and what is wrong.
func (p Problem) Error() string { return "redisdb: " + p.Setting + ": " + p.Text }

var prefixShape = regexp.MustCompile(`^[A-Za-z0-9:_-]{0,32}$`)

// Validate gives everything that is wrong, without asking a server.
func (o Options) Validate() []Problem {
	_, problems := o.resolve()
	return problems
}

// target is what Options come down to.
type target struct {
	addrs              []string
	username, password string
	db                 int
	tls                *tls.Config
	// dial replaces the dialer; tests put a fault between client and server.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o Options) resolve() (target, []Problem) {
	var problems []Problem
	say := func(setting, text string) { problems = append(problems, Problem{setting, text}) }
	mode := o.mode()
	t, encrypted, err := parseURL(o.URL.Reveal(), mode)
	if err != nil {
		say(SettingURL, err.Error())
	}
	switch mode {
	case Single, Sentinel:
	case Cluster:
		if t.db != 0 {
			say(SettingURL, "a cluster has no database but 0")
		}
	default:
		say(SettingMode, "must be single, sentinel or cluster")
	}
	if mode == Single && len(t.addrs) > 1 {
		say(SettingURL, "names several servers; "+SettingMode+" must say sentinel or cluster")
	}
	if mode == Sentinel && o.MasterName == "" {
		say(SettingMasterName, "is required in sentinel mode")
	}
	if mode != Sentinel && o.MasterName != "" {
		say(SettingMasterName, "means nothing outside sentinel mode")
	}
	if mode != Sentinel && !o.SentinelPassword.IsZero() {
		say(SettingSentinelPassword, "means nothing outside sentinel mode")
	}
	if !prefixShape.MatchString(o.KeyPrefix) {
		say(SettingKeyPrefix, `must be at most 32 of letters, digits, ":", "_" and "-"`)
	}
	if o.PoolSize < 0 {
		say(SettingPoolSize, "must not be negative")
	}
	switch {
	case encrypted:
		if t.tls, err = tlsConfig(o.CAFile); err != nil {
			say(SettingCAFile, err.Error())
		}
	case o.CAFile != "" && err == nil:
		say(SettingCAFile, "means nothing without rediss://")
	}
	return t, problems
}

func (o Options) mode() Mode {
	if o.Mode == "" {
		return Single
	}
	return o.Mode
}

// The faults of a URL. None of them quotes it.
var (
	errScheme   = errors.New("must begin with redis:// or rediss://")
	errAddress  = errors.New("holds an address that cannot be read; a password has its special characters percent-encoded, a comma as %2C")
	errAgree    = errors.New("its addresses differ in scheme, user, password or database")
	errDatabase = errors.New("its path must be the number of a database")
	errQuery    = errors.New("takes no query and no fragment")
)

// parseURL reads the comma list. Each address may repeat scheme, user, password and
// database; those that do must agree.
func parseURL(list string, mode Mode) (t target, encrypted bool, err error) {
	port := "6379"
	if mode == Sentinel {
		port = "26379"
	}
	var scheme, path string
	var user *url.Userinfo
	for i, part := range strings.Split(list, ",") {
		part = strings.TrimSpace(part)
		if i > 0 && !strings.Contains(part, "://") {
			part = scheme + "://" + part
		}
		u, err := url.Parse(part)
		if err != nil { // it quotes what it could not read
			return target{}, false, errAddress
		}
		if u.Scheme != "redis" && u.Scheme != "rediss" {
			return target{}, false, errScheme
		}
		if u.Opaque != "" || u.Hostname() == "" {
			return target{}, false, errAddress
		}
		if u.RawQuery != "" || u.Fragment != "" {
			return target{}, false, errQuery
		}
		own := strings.Trim(u.Path, "/")
		if (i > 0 && u.Scheme != scheme) || (own != "" && path != "" && own != path) ||
			(u.User != nil && user != nil && u.User.String() != user.String()) {
			return target{}, false, errAgree
		}
		scheme = u.Scheme
		if own != "" {
			path = own
		}
		if u.User != nil {
			user = u.User
		}
		if p := u.Port(); p != "" {
			t.addrs = append(t.addrs, net.JoinHostPort(u.Hostname(), p))
		} else {
			t.addrs = append(t.addrs, net.JoinHostPort(u.Hostname(), port))
		}
	}
	if path != "" {
		n, err := strconv.ParseUint(path, 10, 16)
		if err != nil {
			return target{}, false, errDatabase
		}
		t.db = int(n)
	}
	if user != nil {
		t.username = user.Username()
		t.password, _ = user.Password()
	}
	return t, scheme == "rediss", nil
}

var errCAFile = errors.New("holds no certificate in PEM")

func tlsConfig(caFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(caFile) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errCAFile
	}
	c.RootCAs = roots
	return c, nil
}
