// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

// contenders of a race, half of them on another replica.
const contenders = 12

func TestRaces(t *testing.T) {
	// one gives the number of winners; each loser has lost by one of the refusals.
	one := func(t *testing.T, h *harness, do func(s *connection.Service, i int) error, losing ...*fault.Error) {
		t.Helper()
		won := 0
		for _, err := range storetest.AtOnce(contenders, func(i int) error {
			if i%2 == 1 {
				return do(h.other, i)
			}
			return do(h.Service, i)
		}) {
			if err == nil {
				won++
				continue
			}
			lost := false
			for _, l := range losing {
				lost = lost || errors.Is(err, l)
			}
			if !lost {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d have won", won)
		}
	}
	ctx := context.Background()

	for _, tc := range []struct {
		name string
		run  func(t *testing.T, h *harness)
	}{
		{"SSO-77 one id is made once", func(t *testing.T, h *harness) {
			one(t, h, func(s *connection.Service, _ int) error { _, err := s.Create(ctx, okta("corp"), operator); return err }, connection.ErrExists)
		}},
		{"SSO-77 one issuer has one owner", func(t *testing.T, h *harness) {
			one(t, h, func(s *connection.Service, i int) error {
				_, err := s.Create(ctx, like(fmt.Sprint("corp-", i), "corp"), operator)
				return err
			}, connection.ErrIssuerTaken)
		}},
		{"PPL-14 one domain has one owner", func(t *testing.T, h *harness) {
			one(t, h, func(s *connection.Service, i int) error {
				_, err := s.Create(ctx, okta(fmt.Sprint("corp-", i), "corp.example"), operator)
				return err
			}, connection.ErrDomainTaken)
		}},
		{"SSO-108 an issuer is taken over once", func(t *testing.T, h *harness) {
			h.enabled(t, okta("corp"))
			h.disableAndDelete(t, "corp")
			one(t, h, func(s *connection.Service, i int) error {
				_, err := s.Create(ctx, like(fmt.Sprint("corp-", i), "corp"), forced("anew"))
				return err
			}, connection.ErrIssuerTaken)
		}},
		{"SSO-84 of edits of one revision one is made", func(t *testing.T, h *harness) {
			head := h.create(t, okta("corp")).Head
			one(t, h, func(s *connection.Service, i int) error {
				edit := okta("corp")
				edit.Config.OIDC.ClientID = fmt.Sprint("client-", i)
				_, err := s.Update(ctx, edit, head, operator)
				return err
			}, connection.ErrConflict)
			if all, err := h.Revisions(t.Context(), "corp"); err != nil || len(all) != 2 {
				t.Error(len(all), err)
			}
		}},
		{"SSO-79 enabling at once is enabling once", func(t *testing.T, h *harness) {
			head := h.create(t, okta("corp", "corp.example")).Head
			h.passed(t, "corp", head)
			for _, err := range storetest.AtOnce(contenders, func(i int) error {
				s := h.Service
				if i%2 == 1 {
					s = h.other
				}
				_, err := s.Enable(ctx, "corp", head, operator)
				return err
			}) {
				if err != nil {
					t.Error(err)
				}
			}
			storetest.Same(t, "events", h.names(t), []string{"sso.connection_created", "sso.connection_tested", "sso.connection_enabled"})
		}},
		{"SSO-79 an edit against the enabling of what it replaces: what serves was tested", func(t *testing.T, h *harness) {
			head := h.create(t, okta("corp")).Head
			h.passed(t, "corp", head)
			edit := okta("corp")
			edit.Config.ForceAuthn = true
			answers := storetest.AtOnce(2, func(i int) error {
				if i == 0 {
					_, err := h.Enable(ctx, "corp", head, operator)
					return err
				}
				_, err := h.other.Update(ctx, edit, head, operator)
				return err
			})
			v := h.show(t, "corp")
			if answers[1] != nil || v.Head == head || answers[0] == nil && v.Serving != head || answers[0] != nil && (v.Serving != "" || !errors.Is(answers[0], connection.ErrConflict)) {
				t.Errorf("%v %+v", answers, v)
			}
		}},
		{"SSO-81 replicas that start at once reconcile once", func(t *testing.T, h *harness) {
			file := []connection.Declaration{declared(okta("corp", "corp.example")), declared(github("github"))}
			for _, err := range storetest.AtOnce(contenders, func(i int) error {
				s := h.Service
				if i%2 == 1 {
					s = h.other
				}
				_, err := s.Reconcile(ctx, file)
				return err
			}) {
				if err != nil {
					t.Error(err)
				}
			}
			storetest.Same(t, "events", h.names(t), []string{"sso.connection_created", "sso.connection_created"})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) { engines(t, tc.run) })
	}
}
