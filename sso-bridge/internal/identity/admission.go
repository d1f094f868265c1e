// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// admission asks each rule that the connection has; all of them must agree.
func (w *walk) admission() {
	c, cfg := w.claims, w.cfg
	if len(cfg.Deny.Subjects) > 0 {
		var refusal *failure.Error
		if slices.Contains(cfg.Deny.Subjects, c.Subject) {
			refusal = notAllowed(CheckDenied)
		}
		w.check(CheckDenied, "none of the list", c.Subject, refusal)
	}
	w.listed(CheckSubjects, cfg.Allow.Subjects, c.Subject)
	w.listed(CheckDomains, cfg.Allow.Domains, Domain(w.report.Identity.Email))
	w.groups()
	w.listed(CheckOrganizations, cfg.Allow.Organizations, c.Organizations...)
	w.tenant()
	if c.Guest || cfg.Guests != "" {
		w.guest()
	}
	if cfg.OIDC != nil && cfg.OIDC.Hosted != "" {
		var refusal *failure.Error
		if c.Hosted == "" || !slices.Contains(cfg.Allow.Domains, c.Hosted) {
			refusal = notAllowed(CheckHosted)
		}
		w.check(CheckHosted, cfg.OIDC.Hosted+" in allow.domains: "+shown(cfg.Allow.Domains), c.Hosted, refusal)
	}
}

func notAllowed(rule string) *failure.Error {
	return failure.New(failure.PolicyNotAllowed).With("rule", rule)
}

// listed asks a list that, when present, must have one of the values.
func (w *walk) listed(rule string, list []string, values ...string) {
	if len(list) == 0 {
		return
	}
	var refusal *failure.Error
	if !meet(list, values) {
		refusal = notAllowed(rule)
	}
	w.check(rule, "one of "+shown(list), shown(values), refusal)
}

// groups never reads a link in place of the groups, or none at all, as "no groups":
// neither says who the person is.
func (w *walk) groups() {
	list, c := w.cfg.Allow.Groups, w.claims
	if len(list) == 0 {
		return
	}
	var refusal *failure.Error
	switch {
	case c.Overage, len(c.Groups) > maxGroups:
		refusal = failure.New(failure.GroupsOverage)
	case !c.GroupsPresent:
		refusal = failure.New(failure.GroupsMissing)
	case !meet(list, slices.DeleteFunc(slices.Clone(c.Groups), func(g string) bool { return len(g) > maxGroupSize })):
		refusal = notAllowed(CheckGroups)
	}
	if refusal != nil && refusal.Code != failure.PolicyNotAllowed {
		refusal = refusal.With("count", strconv.Itoa(len(c.Groups))).With("overage", strconv.FormatBool(c.Overage))
	}
	got := shown(c.Groups)
	if c.Overage {
		got = "a link in place of the groups"
	}
	w.check(CheckGroups, "one of "+shown(list), got, refusal)
}

// tenant asks the list of Entra tenants. An issuer that is a template needs one: without
// it every tenant of the world would be let in.
func (w *walk) tenant() {
	list := w.cfg.Allow.Tenants
	template := w.cfg.OIDC != nil && strings.Contains(w.cfg.OIDC.Issuer, connection.TenantPlaceholder)
	if len(list) == 0 && !template {
		return
	}
	var refusal *failure.Error
	if w.claims.Tenant == "" || !slices.Contains(list, w.claims.Tenant) {
		refusal = failure.New(failure.PolicyTenant).With("rule", CheckTenants)
	}
	w.check(CheckTenants, "one of "+shown(list), w.claims.Tenant, refusal)
}

func (w *walk) guest() {
	expected, got := "no guest", "no guest"
	if w.cfg.Guests == connection.GuestsAllow {
		expected = "anybody"
	}
	var refusal *failure.Error
	if w.claims.Guest {
		got = "a guest"
		if w.cfg.Guests != connection.GuestsAllow {
			refusal = failure.New(failure.PolicyGuest).With("rule", CheckGuests)
		}
	}
	w.check(CheckGuests, expected, got, refusal)
}

func meet(list, values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return v != "" && slices.Contains(list, v) })
}

// maxListed keeps a check readable whose list has a thousand members.
const maxListed = 20

func shown(list []string) string {
	if len(list) <= maxListed {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:maxListed], ", ") + " and " + strconv.Itoa(len(list)-maxListed) + " more"
}
