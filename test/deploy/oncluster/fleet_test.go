// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// fleetValues are those of core on Postgres and Redis. Its limits are those of a load
// that comes from one address.
func fleetValues(prefix, more string) string {
	return fmt.Sprintf(`
core:
  replicas: 2
  config:
    CONSOLE_API_URL: https://sso.example.com
    TRUSTED_PROXIES: [10.213.0.0/16]
    DATABASE_MAX_CONNS: 8
    REDIS_KEY_PREFIX: %q
    DEVICE_FLOW_APPROVE_RATE_LIMIT_PER_HOUR: 1000
    RATE_LIMITS: "device.code.addr=0,bearer.token=0,account.read=0"
    LOG_LEVEL: info
%s
  storage: {type: postgres}
  secrets: {existingSecret: sso-core}
probeClient: {existingSecret: sso-probe, through: public}
`, prefix, more)
}

const fleetAddress = "https://sso.example.com"

// fleet installs core on stores of its own, by an Ingress or an HTTPRoute.
func fleet(t *testing.T, gateway, more string) (in *installation, values func(string) string) {
	t.Helper()
	n := newNode(t)
	t.Cleanup(n.close)
	public := newAuthority(t)
	n.roots = public.pem
	n.secrets["sso-probe"] = account()
	postgres, redis, prefix := n.stores()
	n.draw(t, map[string]string{"sso-core/database-url": postgres, "sso-core/redis-url": redis})
	values = func(other string) string { return fleetValues(prefix, more) + gateway + other }
	m := render(t, "", values(""))
	n.serve(m.services)
	n.front(t, m, public.sign(t, "sso.example.com"), nil)
	return n.install(t, m, fleetAddress), values
}

// Two pods that migrate by their init containers, both at once, behind an Ingress.
func TestAFleetIsUpgraded(t *testing.T) {
	t.Parallel()
	in, values := fleet(t, "ingress: {enabled: true, className: nginx, core: {tlsSecretName: sso-tls}}\n", "")
	defer in.close()
	in.setUp(t)
	t.Run("a client signs in and out", func(t *testing.T) { in.signsIn(t) })
	t.Run("the processes have the user, the rights and the file system of the manifests", func(t *testing.T) { in.asDeclared(t) })
	t.Run("INN-07 nothing of the second listener is public", func(t *testing.T) {
		in.closed(t, in.address, "http://"+in.services["sso-dify-sso-core"].address)
	})
	t.Run("helm test", func(t *testing.T) {
		if said := in.helmTest(t, in.m.tests); !strings.Contains(said, "Signed in and out") {
			t.Errorf("it does not sign in:\n%s", said)
		}
	})
	t.Run("core doctor", func(t *testing.T) { in.examined(t, in.core().pods[1], "/core", "core", "http", "5002") })
	t.Run("no secret but in mounted files", func(t *testing.T) { in.secretless(t) })

	t.Run("helm upgrade under logins and polls loses none", func(t *testing.T) {
		stop := in.load(t)
		got := in.upgrade(t, render(t, "", strings.Replace(values(""), "LOG_LEVEL: info", "LOG_LEVEL: debug", 1)))["sso-dify-sso-core"]
		logins, polls := stop()
		if got[0] != 2 || got[1] < 2 {
			t.Errorf("%d pods replaced, at least %d ready", got[0], got[1])
		}
		if logins < 10 || polls < 2 {
			t.Errorf("%d logins and %d polls say little", logins, polls)
		}
		t.Logf("%d logins and %d pending polls while 2 pods were replaced", logins, polls)
		in.asDeclared(t)
		in.secretless(t)
	})
	t.Run("an upgrade that changes no setting replaces no pod", func(t *testing.T) {
		same := render(t, "", strings.Replace(values("commonLabels: {}\n"), "LOG_LEVEL: info", "LOG_LEVEL: debug", 1))
		if got := in.upgrade(t, same)["sso-dify-sso-core"]; got[0] != 0 {
			t.Errorf("%d pods replaced", got[0])
		}
	})
}

// The schema by a Job beside pods that wait for it, behind an HTTPRoute.
func TestAFleetMigratesByAJob(t *testing.T) {
	t.Parallel()
	in, _ := fleet(t, "httpRoute: {enabled: true, parentRefs: [{name: public, namespace: gateways}]}\n", "  migrations: {mode: job}\n")
	defer in.close()
	if len(in.m.jobs) != 1 || len(in.m.deployments[0].Spec.Template.Spec.InitContainers) != 0 {
		t.Fatalf("%d jobs, init containers: %v", len(in.m.jobs), in.m.deployments[0].Spec.Template.Spec.InitContainers)
	}
	in.setUp(t)
	t.Run("a client signs in and out", func(t *testing.T) { in.signsIn(t) })
	t.Run("INN-07 nothing of the second listener is public", func(t *testing.T) { in.closed(t, in.address) })
	t.Run("helm test", func(t *testing.T) {
		if said := in.helmTest(t, in.m.tests); !strings.Contains(said, "Signed in and out") {
			t.Errorf("it does not sign in:\n%s", said)
		}
	})
	t.Run("no secret but in mounted files", func(t *testing.T) { in.secretless(t) })
}

// load is three clients that log in again and again, and one that polls at the pace it
// was told. What fails is the test's failure; the end gives how much went well.
func (in *installation) load(t *testing.T) (stop func() (logins, polls int64)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	var logins, polls atomic.Int64
	client := func(act func(v *visitor.Visitor) error) {
		transport := in.transport(in.roots)
		v := visitor.New(in.address, transport)
		if err := v.SignIn(ctx, ownerEmail, ownerPassword); err != nil {
			t.Fatal(err)
		}
		done.Go(func() {
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil {
				if err := act(v); err != nil && ctx.Err() == nil {
					t.Errorf("under the upgrade: %v", err)
				}
				select { // a person's pace
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	for i := range 3 {
		client(func(v *visitor.Visitor) error {
			token, err := v.Login(ctx, fmt.Sprintf("client %d", i)) // a label is of one session of a person
			if err != nil {
				return err
			}
			if err := v.Get(ctx, token, "/openapi/v1/account", nil); err != nil {
				return err
			}
			if err := v.Logout(ctx, token); err != nil {
				return err
			}
			logins.Add(1)
			return nil
		})
	}
	client(func(v *visitor.Visitor) error {
		code, err := v.Begin(ctx, "polls")
		if err != nil {
			return err
		}
		var refused *visitor.Refusal
		if _, err := v.Poll(ctx, code); !errors.As(err, &refused) || !strings.Contains(refused.Body, "authorization_pending") {
			return fmt.Errorf("a poll before the decision: %w", err)
		}
		polls.Add(1)
		if err := v.Allow(ctx, code.UserCode); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(code.Interval) * time.Second):
		}
		token, err := v.Poll(ctx, code)
		if err != nil {
			return err
		}
		return v.Logout(ctx, token)
	})
	return func() (int64, int64) {
		cancel()
		done.Wait()
		return logins.Load(), polls.Load()
	}
}
