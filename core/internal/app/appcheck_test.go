// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/egress"
)

func TestAFailedCallIsRead(t *testing.T) {
	for phase, want := range map[egress.Phase]string{
		egress.Refused: operator.CallRefused, egress.DNS: operator.CallName, egress.Connect: operator.CallConnect, egress.TLS: operator.CallTLS,
		egress.Timeout: operator.CallTimeout, egress.Redirect: operator.CallRedirect, egress.TooLarge: "too_large",
	} {
		u, ok := unreached(run.ErrUnavailable.Because(&egress.Error{Phase: phase, Host: "h"}))
		if !ok || u.Phase != want || u.Why == "" {
			t.Errorf("%s: %+v, %v", phase, u, ok)
		}
	}
	if u, ok := unreached(run.ErrUnavailable.Because(errors.New("garbage"))); ok {
		t.Errorf("%+v", u)
	}
}
