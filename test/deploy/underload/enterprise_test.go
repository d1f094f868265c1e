// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"context"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/testserver"
	"github.com/dify-sso/dify-sso/test/deploy/browser"
	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// Limits of single sign-on, as limits.
const (
	coreSSOLimits = ",sso.initiate.addr=1000000/1h,sso.initiate.browser=1000000/1h,sso.complete.addr=1000000/1h,sso.context.addr=1000000/1h,sso.decide.subject=1000000/1h"
	bridgeLimits  = "RATE_LIMITS=bridge.start.addr=1000000/1h,bridge.callback.addr=1000000/1h,bridge.error.addr=1000000/1h"
)

// enterprise starts two replicas of each service, with apps, a provider and the load.
func (o *outcome) enterprise(t *testing.T) (core, bridge string, f *fleet) {
	t.Helper()
	core, bridge = process.Program(t, "core"), process.Program(t, "sso-bridge")
	f = newFleet(t, core, stores{}, often)
	f.importApps(core)
	f.inner = newFront(t, "127.0.0.1", often)
	f.bridges = &fleet{t: t, front: newFront(t, "localhost", often), inner: newFront(t, "127.0.0.1", often)} // another site than core's
	keys := filepath.Join(t.TempDir(), "keyset.json")
	process.Do(t, nil, "", core, "keyset", "new", "--keyset-file", keys)
	shared := []string{"KEYSET_FILE=" + keys, "CONSOLE_API_URL=" + f.front.address, "SSO_BRIDGE_PUBLIC_URL=" + f.bridges.front.address}
	f.environ = append(append(f.environ, "ENTERPRISE_ENABLED=true", "SSO_BRIDGE_URL="+f.bridges.inner.address, limits+coreSSOLimits), shared...)
	f.bridges.prepare(t, bridge, append(slices.Clone(shared), "CORE_INNER_URL="+f.inner.address))
	for range 2 {
		f.bridges.serve(bridge)
		f.serve(core)
	}
	o.load = begin(t, f)
	return core, bridge, f
}

// prepare gives bridges their stores and a connection to a provider.
func (f *fleet) prepare(t *testing.T, bridge string, settings []string) {
	t.Helper()
	redis, prefix := testserver.Redis(t)
	database := testserver.Postgres(t)
	f.environ = append(slices.Clone(settings),
		"DATABASE_URL="+database, "DATABASE_MAX_CONNS=8", "REDIS_URL="+redis, "REDIS_KEY_PREFIX="+prefix,
		"SECRET_KEY="+strings.Repeat("a secret key of a bridge ", 2), "SEALING_KEY_FILE="+sealingKey(t),
		"TRUSTED_PROXIES=127.0.0.1/32", "SHUTDOWN_DELAY="+chartDelay.String(), "LOG_LEVEL=warn", "EGRESS_ALLOW=127.0.0.1", bridgeLimits)
	process.Do(t, f.environ, "", bridge, "migrate", "up")
	f.sql = pool(t, database)
	const secret = "the secret of a client at a provider, 0123456789"
	provider := process.Free(t, "127.0.0.1")
	process.Start(t, []string{"DEVIDP_CLIENT_SECRET=" + secret}, process.Program(t, "devidp"), "--listen", provider, "--redirect-uri", f.front.address+"/sso/oidc/callback/corp").
		Until("http://" + provider + "/.well-known/openid-configuration")
	process.Do(t, f.environ, secret+"\n", bridge, "connection", "create", "--preset", "generic-oidc", "--id", "corp", "--name", "Corp", "--issuer", "http://"+provider,
		"--client-id", "dify-sso", "--client-secret-file", "/dev/stdin", "--intents", "device_flow")
	process.Do(t, f.environ, "", bridge, "connection", "enable", "corp", "--force", "--reason", "a provider for development")
}

// company is one login of somebody without an account: the same for the device, and a browser
// that goes by the provider.
func (l *load) company(a *attempts, v *visitor.Visitor, label string) (token string, ok bool) {
	return l.granted(a, v, label, func(userCode string) bool {
		b := browser.New(transport())
		click := func(op string, do func(ctx context.Context) error) bool {
			return a.do(op, nil, func(ctx context.Context) error {
				if b.Lost() { // a person reloads what did not come
					return b.Reload(ctx)
				}
				return do(ctx)
			})
		}
		return click("leave", func(ctx context.Context) error { return b.Open(ctx, l.f.front.address+"/device") }) &&
			click("leave", func(ctx context.Context) error {
				return b.Submit(ctx, "/device", url.Values{"user_code": {userCode}})
			}) &&
			click("leave", func(ctx context.Context) error { return b.Click(ctx, "sso-initiate") }) &&
			click("return", func(ctx context.Context) error { return b.Submit(ctx, "", url.Values{"person": {"alice"}}) }) &&
			click("allow", func(ctx context.Context) error { return b.Submit(ctx, "approve-external", nil) })
	})
}
