// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// modeWords is the table of access modes: what a member, a member who is on the app's list,
// one who manages the workspace, and a person without an account draw.
var modeWords = []struct {
	mode                              apps.Access
	member, listed, manager, external *fault.Error
}{
	{apps.Public, nil, nil, nil, nil},
	{apps.SSOVerified, nil, nil, nil, nil},
	{apps.InternalAll, nil, nil, nil, apps.ErrNotFound},
	{apps.Internal, apps.ErrAccessDenied, nil, nil, apps.ErrNotFound},
	{"", apps.ErrAccessDenied, apps.ErrAccessDenied, apps.ErrAccessDenied, apps.ErrNotFound},
	{"PUBLIC", apps.ErrAccessDenied, apps.ErrAccessDenied, apps.ErrAccessDenied, apps.ErrNotFound},
	{"anybody", apps.ErrAccessDenied, apps.ErrAccessDenied, apps.ErrAccessDenied, apps.ErrNotFound},
}

// situation is one of all the ways in which somebody can ask for an app.
type situation struct {
	external, listed, archived, closed, off bool // closed is the workspace, archived the app, off its API
	role                                    workspace.Role
	mode                                    int // of modeWords
	managers, described                     bool
}

// steps lists what is wrong with it, in the order of the pipeline.
func (s situation) steps() (wrong []*fault.Error) {
	fails := func(when bool, f *fault.Error) {
		if when && f != nil {
			wrong = append(wrong, f)
		}
	}
	w := modeWords[s.mode]
	manager := s.role == workspace.Owner || s.role == workspace.Admin
	fails(!s.external && s.role == "", apps.ErrNotFound)            // 10
	fails(s.closed, apps.ErrNotFound)                               // 11
	fails(s.archived, apps.ErrNotFound)                             // 11
	fails(!s.external && s.managers && !manager, workspace.ErrRole) // 12
	switch {                                                        // 13
	case s.external:
		fails(true, w.external)
	case manager:
		fails(true, w.manager)
	case s.listed:
		fails(true, w.listed)
	default:
		fails(true, w.member)
	}
	if s.external { // 14
		fails(s.off, apps.ErrNotFound)
	} else {
		fails(s.off && !s.described, apps.ErrAPIDisabled)
	}
	return wrong
}

func (s situation) judge() error {
	place := apps.Place{
		App:       apps.App{Status: apps.StatusNormal, APIEnabled: !s.off, Access: modeWords[s.mode].mode},
		Workspace: workspace.Workspace{Status: workspace.StatusNormal}, Role: s.role, Listed: s.listed,
	}
	if s.archived {
		place.App.Status = apps.StatusArchived
	}
	if s.closed {
		place.Workspace.Status = "archive"
	}
	rule, kind := Rule{App: true, Described: s.described}, token.SubjectAccount
	if s.managers {
		rule.Roles = workspace.Managers
	}
	if s.external {
		kind = token.SubjectExternal
	}
	return mayReach(&rule, kind, &place)
}

// situations are all there are.
func situations() (all []situation) {
	no, both := []bool{false}, []bool{false, true}
	for _, external := range both {
		roles := []workspace.Role{"", workspace.Owner, workspace.Admin, workspace.Editor, workspace.Normal}
		listed := both
		if external {
			roles, listed = roles[:1], no // no read finds more of somebody without an account
		}
		for _, role := range roles {
			for _, l := range listed {
				for i := range 16 * len(modeWords) {
					flag := func(bit int) bool { return i>>bit&1 == 1 }
					for _, described := range both {
						all = append(all, situation{
							external: external, role: role, listed: l, closed: flag(0), archived: flag(1), off: flag(2), managers: flag(3), mode: i >> 4, described: described,
						})
					}
				}
			}
		}
	}
	return all
}

func TestWhoMayReachAnApp(t *testing.T) {
	all := situations()
	drawn := map[*fault.Error]int{}
	pairs := map[string]bool{}
	t.Run("PL-1 PL-3 of all that is wrong the first step answers", func(t *testing.T) {
		for _, s := range all {
			wrong := s.steps()
			var want *fault.Error
			if len(wrong) > 0 {
				want = wrong[0]
			}
			for i := 1; i < len(wrong); i++ {
				pairs[wrong[i-1].Code()+" before "+wrong[i].Code()] = true
			}
			drawn[want]++
			if got := s.judge(); want == nil && got != nil || want != nil && !errors.Is(got, want) {
				t.Errorf("%+v of mode %q: %v instead of %v", s, modeWords[s.mode].mode, got, want)
			}
		}
	})
	t.Run("PL-1 every pair of neighbours was wrong together", func(t *testing.T) {
		for _, pair := range []string{
			"app_not_found before app_not_found", "app_not_found before insufficient_workspace_role", "insufficient_workspace_role before app_access_denied",
			"insufficient_workspace_role before service_api_disabled", "app_access_denied before service_api_disabled",
		} {
			if !pairs[pair] {
				t.Errorf("nobody drew %s", pair)
			}
		}
		if len(all) != 11*2*7*16 {
			t.Errorf("%d situations", len(all))
		}
		for _, f := range []*fault.Error{nil, apps.ErrNotFound, workspace.ErrRole, apps.ErrAccessDenied, apps.ErrAPIDisabled} {
			if drawn[f] < 10 {
				t.Errorf("%v was drawn %d times", f, drawn[f])
			}
		}
	})
	t.Run("PL-4 who is no member, and who has no account, draws one answer or none", func(t *testing.T) {
		for _, s := range all {
			if err := s.judge(); (s.external || s.role == "") && err != nil && fmt.Sprint(err) != apps.ErrNotFound.Code() {
				t.Errorf("%+v: %v", s, err)
			}
		}
	})
	t.Run("PL-3 a list lets members in, and nobody else", func(t *testing.T) {
		for _, s := range all {
			if !s.listed || s.external {
				continue
			}
			less := s
			less.listed = false
			with, without := s.judge(), less.judge()
			changed := fmt.Sprint(with) != fmt.Sprint(without)
			let := modeWords[s.mode].mode == apps.Internal && slices.Contains([]workspace.Role{workspace.Editor, workspace.Normal}, s.role) && errors.Is(without, apps.ErrAccessDenied)
			if changed != let {
				t.Errorf("%+v: %v with a place on the list, %v without", s, with, without)
			}
		}
	})
}
