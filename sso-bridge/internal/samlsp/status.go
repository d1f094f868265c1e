// SPDX-License-Identifier: Apache-2.0

package samlsp

import (
	"slices"
	"strings"

	"github.com/beevik/etree"

	"github.com/dify-sso/dify-sso/pkg/ssocode"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// statusSpace begins every status of SAML core, section 3.2.2.2.
const statusSpace = "urn:oasis:names:tc:SAML:2.0:status:"

const statusSuccess = "Success"

// statuses are the known ones. Any other is foreign text, which is kept nowhere.
var statuses = []string{
	statusSuccess, "Requester", "Responder", "VersionMismatch",
	"AuthnFailed", "InvalidAttrNameOrValue", "InvalidNameIDPolicy", "NoAuthnContext", "NoAvailableIDP", "NoPassive",
	"NoSupportedIDP", "PartialLogout", "ProxyCountExceeded", "RequestDenied", "RequestUnsupported",
	"RequestVersionDeprecated", "RequestVersionTooHigh", "RequestVersionTooLow", "ResourceNotRecognized",
	"TooManyResponses", "UnknownAttrProfile", "UnknownPrincipal", "UnsupportedBinding",
}

// cancelled are those that mean the person or the provider's rules said no.
var cancelled = []string{"AuthnFailed", "NoPassive", "RequestDenied"}

// status is what a Response says of itself (S9): the ends of known codes, "other" for
// unknown ones, empty for none. Codes nest; the first is of the protocol, the second of
// the provider.
type status struct {
	code, sub string
	odd       bool // not one Status with one StatusCode, or a nesting of another form
}

// success is Success and nothing within.
func (s status) success() bool { return s.code == statusSuccess && s.sub == "" && !s.odd }

// failure is saml_status.
func (s status) failure() error {
	f := failure.New(failure.SAMLStatus).With("status", s.code).With("sub_status", s.sub)
	if slices.Contains(cancelled, s.code) || slices.Contains(cancelled, s.sub) {
		return f.Publicly(ssocode.Cancelled)
	}
	return f
}

// statusOf reads the Status of a Response.
func statusOf(response *etree.Element) status {
	el, ok := onlyOf(response, protocolSpace, "Status")
	if !ok {
		return status{odd: true}
	}
	rule := inventory(el, []part{{protocolSpace, "StatusCode", false}, {protocolSpace, "StatusMessage", false}, {protocolSpace, "StatusDetail", false}})
	code, ok := onlyOf(el, protocolSpace, "StatusCode")
	if !ok || rule != "" {
		return status{odd: true}
	}
	s := status{code: statusName(code)}
	nested := code.ChildElements()
	if len(nested) > 0 {
		s.sub = statusName(nested[0])
	}
	s.odd = inventory(code, []part{{protocolSpace, "StatusCode", false}}) != ""
	return s
}

// onlyOf gives the child of a name, if there is exactly one.
func onlyOf(el *etree.Element, space, local string) (*etree.Element, bool) {
	var found *etree.Element
	for _, c := range el.ChildElements() {
		if is(c, space, local) {
			if found != nil {
				return nil, false
			}
			found = c
		}
	}
	return found, found != nil
}

func statusName(code *etree.Element) string {
	v, _ := attribute(code, "Value")
	name, ok := strings.CutPrefix(v, statusSpace)
	if !ok || !slices.Contains(statuses, name) {
		return "other"
	}
	return name
}
