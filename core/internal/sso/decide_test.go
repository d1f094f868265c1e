// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"errors"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// drawn are device grants of which one has a code.
type drawn struct {
	Devices
	grant devicegrant.Grant
}

func (d drawn) Find(context.Context, string) (devicegrant.Grant, error) { return d.grant, nil }

// Codes are short and drawn again, so an approval grant names its device grant too.
func TestACodeThatAnotherGrantHasDrawn(t *testing.T) {
	mine, other := secret.DigestOf("mine"), secret.DigestOf("another's")
	a := Approval{claims: approvalClaims{UserCode: "BCDF-GHJK", GrantID: gid(mine)}}
	t.Run("SSO-28 DEV-21 a code that another grant has drawn since", func(t *testing.T) {
		s := &Service{Deps: Deps{Devices: drawn{grant: devicegrant.Grant{Ref: other, State: devicegrant.Pending}}}}
		if err := s.Decide(t.Context(), a, Decision{UserCode: "BCDF-GHJK"}); !errors.Is(err, ErrCodeGone) {
			t.Errorf("%v", err)
		}
	})
	t.Run("SSO-28 DEV-21 the grant that was asked about", func(t *testing.T) {
		s := &Service{Deps: Deps{Devices: drawn{grant: devicegrant.Grant{Ref: mine, State: devicegrant.Pending}}}}
		if g, err := s.pending(t.Context(), a); err != nil || g.Ref != mine {
			t.Errorf("%+v, %v", g, err)
		}
	})
}
