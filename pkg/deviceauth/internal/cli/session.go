// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

// clientID is the name by which servers know this program.
const clientID = "difyauth"

// store is where the credentials are.
func (c *command) store() (credentials.Store, error) {
	if dir := c.env("DIFYAUTH_CONFIG_DIR"); dir != "" {
		return credentials.Store{Dir: dir}, nil
	}
	if dir := c.env("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return credentials.Store{Dir: filepath.Join(dir, "difyauth")}, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return credentials.Store{}, told{"no_config_dir", "no folder for the credentials is known: set DIFYAUTH_CONFIG_DIR to one"}
	}
	return credentials.Store{Dir: filepath.Join(dir, "difyauth")}, nil
}

// named gives the server that the caller names, in its canonical form; empty when none is
// named.
func (c *command) named(allowHTTP bool) (string, error) {
	host := c.host
	if host == "" {
		host = c.env("DIFYAUTH_HOST")
	}
	if host == "" {
		return "", nil
	}
	return c.client(host, allowHTTP).Origin()
}

func (c *command) client(host string, allowHTTP bool) *deviceauth.Client {
	return &deviceauth.Client{
		Host: host, ClientID: clientID, AllowHTTP: allowHTTP, HTTPClient: &http.Client{Transport: c.Transport},
		UserAgent: fmt.Sprintf("difyauth/%s (%s; %s)", c.Version, runtime.GOOS, runtime.GOARCH),
	}
}

// session is the sign-in to use: that of DIFYAUTH_TOKEN, else the stored one of the named
// server, else the last one.
func (c *command) session() (credentials.Entry, error) {
	if token := strings.TrimSpace(c.env("DIFYAUTH_TOKEN")); token != "" {
		host, err := c.named(c.insecure)
		if err != nil {
			return credentials.Entry{}, err
		}
		c.at = host
		return credentials.Entry{Host: host, Token: deviceauth.NewSecret(token)}, nil
	}
	store, err := c.store()
	if err != nil {
		return credentials.Entry{}, err
	}
	file, err := store.Load()
	if err != nil {
		return credentials.Entry{}, err
	}
	return c.pick(file)
}

// pick finds the entry of the named server, else the last one. A server that is stored
// was allowed at its login, so http needs no second permission.
func (c *command) pick(file credentials.File) (credentials.Entry, error) {
	host, err := c.named(true)
	if err != nil {
		return credentials.Entry{}, err
	}
	entry, ok := file.Latest()
	if host != "" {
		entry, ok = file.Of(host)
	}
	if !ok {
		return entry, notSignedIn{host: host}
	}
	if c.at = entry.Host; !entry.ExpiresAt.IsZero() && !time.Now().Before(entry.ExpiresAt) {
		return entry, notSignedIn{host: entry.Host, ended: true}
	}
	return entry, nil
}

// open gives the API of a sign-in.
func (c *command) open() (*api.API, credentials.Entry, error) {
	entry, err := c.session()
	if err != nil {
		return nil, entry, err
	}
	if entry.Host == "" { // a token must not be tried on whatever server was used last
		return nil, entry, usagef("DIFYAUTH_TOKEN does not say its server: name it with --host or DIFYAUTH_HOST")
	}
	a, err := c.api(entry)
	return a, entry, err
}

// api speaks to the server of an entry. http was allowed when the entry was stored.
func (c *command) api(e credentials.Entry) (*api.API, error) {
	return api.New(c.client(e.Host, c.insecure || !e.SignedInAt.IsZero()), e.Token)
}

// plain makes a text from elsewhere harmless in a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
