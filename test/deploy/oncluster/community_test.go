// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// The chart as it is without values: one pod, one volume, reached by port-forward.
func TestTheDefaultRelease(t *testing.T) {
	t.Parallel()
	local := process.Free(t, "127.0.0.1")
	address := "http://" + local
	m := render(t, "", fmt.Sprintf("core: {config: {CONSOLE_API_URL: %q}}\nprobeClient: {existingSecret: sso-probe}\n", address))
	n := newNode(t)
	defer n.close()
	n.secrets["sso-probe"] = account()
	in := n.install(t, m, address)
	// kubectl port-forward service/sso-dify-sso-core PORT:80
	forward(t, local, func() string {
		n.mu.Lock()
		defer n.mu.Unlock()
		return net.JoinHostPort(n.services["sso-dify-sso-core"].address, "80")
	})
	in.setUp(t)

	t.Run("a client signs in and out", func(t *testing.T) { in.signsIn(t) })
	t.Run("the processes have the user, the rights and the file system of the manifests", func(t *testing.T) { in.asDeclared(t) })
	t.Run("INN-07 nothing of the second listener is public", func(t *testing.T) { in.closed(t, address) })
	t.Run("helm test", func(t *testing.T) {
		if said := in.helmTest(t, m.tests); !strings.Contains(said, "Signed in and out") {
			t.Errorf("it does not sign in:\n%s", said)
		}
	})
	t.Run("core doctor", func(t *testing.T) {
		// The public address is the port-forward's, on the operator's machine: no pod reaches it.
		in.examined(t, in.core().pods[0], "/core", "core", "http", "5002", "address.ours")
	})
	t.Run("no secret but in mounted files", func(t *testing.T) { in.secretless(t) })
	t.Run("another value replaces the pod on its volume", func(t *testing.T) {
		next := render(t, "", fmt.Sprintf("core: {config: {CONSOLE_API_URL: %q, LOG_LEVEL: debug}}\nprobeClient: {existingSecret: sso-probe}\n", address))
		if got := in.upgrade(t, next)["sso-dify-sso-core"]; got[0] != 1 {
			t.Errorf("%d pods replaced", got[0])
		}
		in.signsIn(t)
		in.asDeclared(t)
	})
}
