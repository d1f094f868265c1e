// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/core/internal/doctor"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	shared "github.com/dify-sso/dify-sso/pkg/doctor"
)

// registry answers in place of core's operations.
type registry struct {
	page  operator.AppPage
	err   error
	check func(ctx context.Context, id string) (operator.AppChecked, error)
}

func (r registry) ListApps(context.Context, operator.AppQuery) (operator.AppPage, error) {
	return r.page, r.err
}

func (r registry) CheckApp(ctx context.Context, ref operator.AppRef) (operator.AppChecked, error) {
	return r.check(ctx, ref.App)
}

func page(total int, ids ...string) operator.AppPage {
	p := operator.AppPage{Page: 1, Total: total, HasMore: total > len(ids)}
	for _, id := range ids {
		p.Data = append(p.Data, operator.AppEntry{ID: id, Name: "name of " + id})
	}
	return p
}

func TestRuntimes(t *testing.T) {
	answer := func(_ context.Context, id string) (operator.AppChecked, error) {
		switch id {
		case "good":
			return operator.AppChecked{OK: true, Text: "The runtime answers."}, nil
		case "bad":
			return operator.AppChecked{Problem: "key_refused", Text: "The runtime refuses the key.", Hint: "Make a new one."}, nil
		}
		return operator.AppChecked{}, errors.New("kanarie: the database is gone")
	}
	for _, tc := range []struct {
		name string
		of   registry
		want []shared.Status
		says string
	}{
		{"nobody can list them", registry{err: errors.New("kanarie")}, []shared.Status{shared.Fail}, "could not be listed"},
		{"there are none", registry{page: page(0)}, []shared.Status{shared.Skipped}, "no apps yet"},
		{"each has its own finding", registry{page: page(3, "good", "bad", "gone"), check: answer}, []shared.Status{shared.OK, shared.Fail, shared.Fail}, "Make a new one."},
		{"more than are called", registry{page: page(52, "good"), check: answer}, []shared.Status{shared.OK, shared.Skipped}, "51 more apps were not called"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found := doctor.Runtimes(t.Context(), tc.of)
			var got []shared.Status
			for _, f := range found {
				got = append(got, f.Status)
				if f.Check != doctor.Runtime {
					t.Errorf("a finding of %q", f.Check)
				}
			}
			text := fmt.Sprintf("%+v", found)
			if !slices.Equal(got, tc.want) || !strings.Contains(text, tc.says) || strings.Contains(text, "kanarie") {
				t.Errorf("%s", text)
			}
			if len(tc.of.page.Data) > 0 && found[0].Subject != "name of good" {
				t.Errorf("the first is of %q", found[0].Subject)
			}
		})
	}
	t.Run("no time is left", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		found := doctor.Runtimes(ctx, registry{page: page(1, "slow"), check: func(context.Context, string) (operator.AppChecked, error) {
			cancel()
			return operator.AppChecked{}, ctx.Err()
		}})
		if len(found) != 1 || found[0].Status != shared.Fail || !strings.Contains(found[0].Text, "as soon as doctor waits") {
			t.Errorf("%+v", found)
		}
	})
}

// Every check has an id of its own and says what it is of.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range doctor.Catalogue() {
		if e.ID == "" || e.What == "" || seen[e.ID] {
			t.Errorf("%+v", e)
		}
		seen[e.ID] = true
	}
	if !seen[doctor.Runtime] {
		t.Error("runtimes are missing")
	}
}
