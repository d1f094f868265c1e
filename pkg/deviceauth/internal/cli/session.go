// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/keyring"
)

// clientID is the name by which servers know this program.
const clientID = "difyauth"

// vault is where the credentials are.
func (c *command) vault() (credentials.Vault, error) {
	v := credentials.Vault{Ring: c.Keyring, Mode: c.keep}
	if v.Ring == nil {
		v.Ring = keyring.None{}
	}
	if v.Mode == "" {
		v.Mode = c.env("DIFYAUTH_STORE")
	}
	switch v.Mode {
	case "":
		v.Mode = credentials.Auto
	case credentials.Auto, credentials.InKeyring, credentials.InFile:
	default:
		return v, usagef("--store and DIFYAUTH_STORE take keyring, file or auto")
	}
	if v.Dir = c.env("DIFYAUTH_CONFIG_DIR"); v.Dir != "" {
		return v, nil
	}
	dir := c.env("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return v, told{code: "no_config_dir", text: "no folder for the credentials is known: set DIFYAUTH_CONFIG_DIR to one"}
		}
	}
	v.Dir = filepath.Join(dir, "difyauth")
	return v, nil
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
	if c.Transport == nil {
		c.Transport = network()
	}
	return &deviceauth.Client{
		Host: host, ClientID: clientID, AllowHTTP: allowHTTP, HTTPClient: &http.Client{Transport: c.Transport},
		UserAgent: fmt.Sprintf("difyauth/%s (%s; %s)", c.Version, runtime.GOOS, runtime.GOARCH),
	}
}

// network carries requests as the environment's proxies want it, and tells a proxy that
// refuses from a server that does.
func network() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
		if res.StatusCode != http.StatusOK {
			return proxyRefused{res.StatusCode}
		}
		return nil
	}
	return t
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
	v, err := c.vault()
	if err != nil {
		return credentials.Entry{}, err
	}
	file, err := v.Load()
	if err != nil {
		return credentials.Entry{}, err
	}
	entry, err := c.pick(file)
	if err != nil {
		return entry, err
	}
	return c.unlock(v, entry)
}

// unlock fetches the token of an entry from where it is kept.
func (c *command) unlock(v credentials.Vault, entry credentials.Entry) (credentials.Entry, error) {
	entry, moved, err := v.Open(entry)
	if moved {
		c.complain("notice", failure{Code: "moved_to_keyring", Message: fmt.Sprintf("the token of %s has moved from %s to the keyring of this machine", entry.Host, v.Path())})
	}
	return entry, err
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

var errTokenAlone = usagef("DIFYAUTH_TOKEN does not say its server: name it with --host or DIFYAUTH_HOST")

// open gives the API of a sign-in.
func (c *command) open() (*api.API, credentials.Entry, error) {
	entry, err := c.session()
	if err != nil {
		return nil, entry, err
	}
	if entry.Host == "" { // a token must not be tried on whatever server was used last
		return nil, entry, errTokenAlone
	}
	a, err := c.api(entry)
	return a, entry, err
}

// api speaks to the server of an entry. http was allowed when the entry was stored.
func (c *command) api(e credentials.Entry) (*api.API, error) {
	a, err := api.New(c.client(e.Host, c.insecure || !e.SignedInAt.IsZero()), e.Token)
	if err == nil {
		a.Waiting = func(d time.Duration) {
			c.complain("notice", failure{Code: "waiting", Message: fmt.Sprintf("%s has had too many requests and is asked again in %s", c.at, spell(d))})
		}
	}
	return a, err
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
