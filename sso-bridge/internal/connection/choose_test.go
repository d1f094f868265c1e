// SPDX-License-Identifier: Apache-2.0

package connection_test

import (
	"testing"

	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

func TestChoice(t *testing.T) {
	with := func(c connection.Content, change func(c *connection.Content)) connection.Content {
		change(&c)
		return c
	}
	unlisted := func(c *connection.Content) { c.Listed = false }
	byDefault := func(c *connection.Content) { c.Default = true }
	deviceOnly := func(c *connection.Content) { c.Intents = []connection.Intent{connection.DeviceFlow} }

	type ask struct {
		id, email string
		want      string
		refusal   *fault.Error
	}
	for _, tc := range []struct {
		name    string
		enabled []connection.Content
		drafts  []connection.Content
		ended   []string
		intent  connection.Intent
		mode    connection.Mode
		listed  []string
		asks    []ask
	}{
		{
			name: "SSO-44 nothing is enabled: every way is one answer", drafts: []connection.Content{okta("corp", "corp.example")},
			mode: connection.ModeNone,
			asks: []ask{{refusal: connection.ErrNotConfigured}, {id: "corp", refusal: connection.ErrNotConfigured}, {email: "a@corp.example", refusal: connection.ErrNotConfigured}},
		},
		{
			name: "SSO-44 draft, disabled and unknown are one answer", enabled: []connection.Content{okta("one"), okta("ended")}, drafts: []connection.Content{okta("draft")}, ended: []string{"ended"},
			mode: connection.ModeSingle, listed: []string{"one"},
			asks: []ask{{want: "one"}, {id: "one", want: "one"}, {id: "draft", refusal: connection.ErrUnknown}, {id: "ended", refusal: connection.ErrUnknown}, {id: "none", refusal: connection.ErrUnknown}, {id: "../x", refusal: connection.ErrUnknown}},
		},
		{
			name: "SSO-45 several listed ones have to be chosen from", enabled: []connection.Content{okta("two"), with(okta("one"), func(c *connection.Content) { c.Position = 1 })},
			mode: connection.ModeChoose, listed: []string{"one", "two"},
			asks: []ask{{refusal: connection.ErrChoiceRequired}, {id: "two", want: "two"}},
		},
		{
			name: "SSO-45 an unlisted one shows in the mode alone, and by its id or domain is open", enabled: []connection.Content{okta("one"), with(okta("hidden", "corp.example"), unlisted)},
			mode: connection.ModeChooseOrEmail, listed: []string{"one"},
			asks: []ask{{refusal: connection.ErrChoiceRequired}, {id: "hidden", want: "hidden"}, {email: "a@corp.example", want: "hidden"}},
		},
		{
			name: "SSO-45 with unlisted ones alone the address decides", enabled: []connection.Content{with(okta("hidden", "corp.example"), unlisted)},
			mode: connection.ModeEmail,
			asks: []ask{{refusal: connection.ErrChoiceRequired}, {email: "A.Person@CORP.example", want: "hidden"}},
		},
		{
			name: "SSO-46 a domain that nobody owns, or a disabled connection alone, is not routed", enabled: []connection.Content{okta("one", "one.example"), okta("ended", "ended.example")}, ended: []string{"ended"},
			mode: connection.ModeSingle, listed: []string{"one"},
			asks: []ask{
				{email: "a@other.example", refusal: connection.ErrUnroutable}, {email: "a@ended.example", refusal: connection.ErrUnroutable},
				{email: "a@sub.one.example", refusal: connection.ErrUnroutable}, {email: "no address", refusal: connection.ErrUnroutable}, {email: "a@b@one.example", refusal: connection.ErrUnroutable},
				{email: "a@one.example", want: "one"},
			},
		},
		{
			name: "SSO-46 the default takes what nobody owns", enabled: []connection.Content{okta("one", "one.example"), with(okta("any"), byDefault), okta("ended", "ended.example")}, ended: []string{"ended"},
			mode: connection.ModeChoose, listed: []string{"any", "one"},
			asks: []ask{{email: "a@other.example", want: "any"}, {email: "a@ended.example", want: "any"}, {email: "a@one.example", want: "one"}, {refusal: connection.ErrChoiceRequired}},
		},
		{
			name: "SSO-46 a claim of a draft routes nobody", enabled: []connection.Content{okta("one")}, drafts: []connection.Content{okta("draft", "draft.example")},
			mode: connection.ModeSingle, listed: []string{"one"},
			asks: []ask{{email: "a@draft.example", refusal: connection.ErrUnroutable}},
		},
		{
			name: "SSO-44 each intent has its own", enabled: []connection.Content{with(okta("device", "corp.example"), deviceOnly), okta("both")}, intent: connection.AccountLogin,
			mode: connection.ModeSingle, listed: []string{"both"},
			asks: []ask{{want: "both"}, {id: "device", refusal: connection.ErrUnknown}, {email: "a@corp.example", refusal: connection.ErrUnroutable}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := start(t)
			for _, c := range tc.drafts {
				h.create(t, c)
			}
			for _, c := range tc.enabled {
				h.enabled(t, c)
			}
			for _, id := range tc.ended {
				if _, err := h.Disable(t.Context(), id, operator, false); err != nil {
					t.Fatal(err)
				}
			}
			intent := tc.intent
			if intent == "" {
				intent = connection.DeviceFlow
			}
			mode, public, err := h.Listed(t.Context(), intent)
			if err != nil || mode != tc.mode {
				t.Errorf("mode %s, %v", mode, err)
			}
			var ids []string
			for _, p := range public {
				ids = append(ids, p.ID)
			}
			storetest.Same(t, "listed", ids, tc.listed)
			for _, a := range tc.asks {
				s, err := h.Choose(t.Context(), intent, a.id, a.email)
				switch {
				case a.refusal != nil:
					refused(t, err, a.refusal)
				case err != nil || s.ID != a.want || s.Hash != s.Serving || s.Secrets.ClientSecret.Reveal() != "client secret of "+a.want:
					t.Errorf("%+v: %s, %v", a, s.ID, err)
				}
			}
		})
	}

	t.Run("SSO-45 what is public is the name, the button and the protocol", func(t *testing.T) {
		h := start(t)
		c := github("github")
		c.Button = "Sign in with GitHub"
		h.enabled(t, c)
		_, public, err := h.Listed(t.Context(), connection.DeviceFlow)
		if err != nil {
			t.Fatal(err)
		}
		storetest.Same(t, "public", public, []connection.Public{{ID: "github", Name: "GitHub", Button: "Sign in with GitHub", Protocol: connection.OAuth2}})
	})

	t.Run("a second default is refused", func(t *testing.T) {
		h := start(t)
		h.create(t, with(okta("one"), byDefault))
		_, err := h.Create(t.Context(), with(okta("two"), byDefault), operator)
		refused(t, err, connection.ErrInvalid)
		h.create(t, okta("two"))
		h.disableAndDelete(t, "one")
		h.update(t, with(okta("two"), byDefault))
	})

	t.Run("OUT-02 a store that cannot be asked is no verdict", func(t *testing.T) {
		h := start(t)
		h.enabled(t, okta("one", "one.example"))
		if err := h.DB.Close(); err != nil {
			t.Fatal(err)
		}
		_, _, listing := h.Listed(t.Context(), connection.DeviceFlow)
		_, choosing := h.Choose(t.Context(), connection.DeviceFlow, "one", "")
		_, routing := h.Choose(t.Context(), connection.DeviceFlow, "", "a@one.example")
		_, owning := h.Owner(t.Context(), "one.example")
		_, reading := h.At(t.Context(), "one", "")
		_, showing := h.Show(t.Context(), "one")
		_, creating := h.Create(t.Context(), okta("two"), operator)
		_, ending := h.Disable(t.Context(), "one", operator, false)
		_, reconciling := h.Reconcile(t.Context(), nil)
		for name, err := range map[string]error{
			"Listed": listing, "Choose": choosing, "Choose by e-mail": routing, "Owner": owning, "At": reading, "Show": showing, "Create": creating, "Disable": ending, "Reconcile": reconciling,
		} {
			if f := fault.Of(err); f.Kind() != fault.Unavailable || f.Retry() == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
