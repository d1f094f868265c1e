// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/dify-sso/dify-sso/pkg/wire"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/identity"
)

// claims are the members of a JSON object, by their exact names. A null is an absent
// claim (OpenID Connect Core section 5.3.2).
type claims map[string]json.RawMessage

var errNotClaims = errors.New("oidcrp: no strict JSON object")

// parseClaims reads an object in which no member is doubled at any level, and no nesting
// is deeper than that of pkg/wire.
func parseClaims(raw []byte) (claims, error) {
	var c claims
	if wire.JSON(raw, &struct{}{}, wire.Ignore) != nil || json.Unmarshal(raw, &c) != nil {
		return nil, errNotClaims
	}
	return c, nil
}

// has reports a claim with a value.
func (c claims) has(name string) bool { return c.mentions(name) && string(c[name]) != "null" }

// mentions reports a member, be it null.
func (c claims) mentions(name string) bool { _, there := c[name]; return there }

// text gives a string claim; ok is false for an absent one and for another type.
func (c claims) text(name string) (s string, ok bool) { return identity.ReadText(c[name]) }

// whole gives an integer claim: digits alone, for 1e30 and 1.0 are read differently by
// different readers.
func (c claims) whole(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(string(c[name]), 10, 64)
	return n, err == nil
}

// list gives a claim that is a string or an array of strings.
func (c claims) list(name string) (out []string, ok bool) { return identity.ReadTexts(c[name]) }
