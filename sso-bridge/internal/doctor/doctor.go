// SPDX-License-Identifier: Apache-2.0

// Package doctor has what the bridge alone looks at when it examines an installation:
// identity providers, and whether its stores are apart from core's. What it shares with
// core is in pkg/doctor.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/dify-sso/dify-sso/pkg/doctor"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/operator"
)

// The ids of the bridge's own checks.
const (
	StoresApart         = "stores.apart"
	ProviderReachable   = "provider.reachable"
	ProviderKeys        = "provider.keys"
	ProviderCertificate = "provider.certificate"
	ProviderSetUp       = "provider.set_up"
)

// Catalogue are all checks of the bridge.
func Catalogue() []doctor.Entry {
	return append(doctor.Shared(), []doctor.Entry{
		{ID: StoresApart, What: "the bridge's SQL role and Redis user have no rights on what is core's"},
		{ID: ProviderReachable, What: "the discovery document, metadata or token endpoint of each connection answers, through the egress guard"},
		{ID: ProviderKeys, What: "the keys of an OpenID provider (JWKS) are there"},
		{ID: ProviderCertificate, What: "the certificates of SAML, the provider's and our own, are good, and for how long"},
		{ID: ProviderSetUp, What: "what connection show warns of"},
	}...)
}

// Getter reads an address within the rules of the egress guard; *egress.Client does.
type Getter interface {
	Get(ctx context.Context, address string, header http.Header) (egress.Response, error)
}

const (
	// maxConnections bounds how many providers are called.
	maxConnections = 50
	// atOnce bounds how many are called at the same time.
	atOnce = 8
	day    = 24 * time.Hour
)

// Providers looks at every connection that may be used.
func Providers(ctx context.Context, list operator.Connections, get Getter, now time.Time) (found []doctor.Finding) {
	if len(list.Data) == 0 {
		return []doctor.Finding{{Check: ProviderReachable, Status: doctor.Skipped, Text: "There are no connections yet."}}
	}
	all, places := make([][]doctor.Finding, min(len(list.Data), maxConnections)), make(chan struct{}, atOnce)
	var wait sync.WaitGroup
	for i, c := range list.Data[:len(all)] {
		wait.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			all[i] = doctor.About(c.Name, look{Connection: c, get: get, now: now}.at(ctx))
		})
	}
	wait.Wait()
	for _, one := range all {
		found = append(found, one...)
	}
	if more := len(list.Data) - len(all); more > 0 {
		found = append(found, doctor.Finding{Check: ProviderReachable, Status: doctor.Skipped, Text: "There are more connections, which were not called: sso-bridge connection test does one."})
	}
	return found
}

// look is the look at one connection.
type look struct {
	operator.Connection
	get   Getter
	now   time.Time
	found []doctor.Finding
}

func (l look) at(ctx context.Context) []doctor.Finding {
	if l.State == connection.Disabled {
		l.say(ProviderReachable, doctor.Skipped, "The connection is disabled.", "")
		return l.found
	}
	config := l.Head.Config
	if l.Serving != nil {
		config = l.Serving.Config
	}
	switch {
	case config.OIDC != nil:
		l.oidc(ctx, *config.OIDC)
	case config.OAuth2 != nil:
		l.answers(ctx, config.OAuth2.TokenURL, "token endpoint")
	case config.SAML != nil && config.SAML.MetadataURL != "":
		l.answers(ctx, config.SAML.MetadataURL, "metadata")
	case config.SAML != nil:
		l.say(ProviderReachable, doctor.Skipped, "What is known of the provider was given by hand: browsers alone reach it.", "")
	}
	l.certificates()
	for _, w := range l.Warnings {
		if !strings.Contains(w, "certificate") { // those have a check of their own
			l.say(ProviderSetUp, doctor.Warn, w, "See sso-bridge connection show "+l.ID+".")
		}
	}
	return l.found
}

func (l *look) say(id string, s doctor.Status, text, next string) {
	l.found = append(l.found, doctor.Finding{Check: id, Status: s, Text: text, Next: next})
}

// bad is how a provider that cannot be used counts: nobody signs in by one that is not
// enabled.
func (l *look) bad() doctor.Status {
	if l.State == connection.Enabled {
		return doctor.Fail
	}
	return doctor.Warn
}

// oidc reads the discovery document and the keys that it names.
func (l *look) oidc(ctx context.Context, c connection.OIDCConfig) {
	keys := ""
	if c.Endpoints != nil {
		keys = c.Endpoints.JWKS
		l.answers(ctx, c.Endpoints.Token, "token endpoint")
	} else {
		body, ok := l.read(ctx, c.DiscoveryAddress(), "discovery document")
		if !ok {
			return
		}
		var document struct {
			JWKS string `json:"jwks_uri"`
		}
		if json.Unmarshal(body, &document) != nil || document.JWKS == "" {
			l.say(ProviderReachable, l.bad(), "What answers at the issuer's well-known address is no discovery document.", "See the issuer of the connection.")
			return
		}
		keys = document.JWKS
		l.say(ProviderReachable, doctor.OK, "The discovery document can be read.", "")
	}
	body, ok := l.fetched(ctx, ProviderKeys, keys, "key set (JWKS)")
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch {
	case !ok:
	case json.Unmarshal(body, &set) != nil || len(set.Keys) == 0:
		l.say(ProviderKeys, l.bad(), "What answers at jwks_uri holds no keys.", "Ask whoever runs the provider.")
	default:
		l.say(ProviderKeys, doctor.OK, "The provider's keys can be read.", "")
	}
}

func (l *look) read(ctx context.Context, address, what string) ([]byte, bool) {
	return l.fetched(ctx, ProviderReachable, address, what)
}

// fetched reads what has to be 200.
func (l *look) fetched(ctx context.Context, id, address, what string) ([]byte, bool) {
	r, ok := l.call(ctx, id, address, what)
	if ok && r.Status != http.StatusOK {
		l.say(id, l.bad(), "The provider answers with an error where its "+what+" should be.", "See the connection's addresses, and ask whoever runs the provider.")
		return nil, false
	}
	return r.Body, ok
}

// answers sees that somebody is there; an endpoint that takes other requests refuses ours.
func (l *look) answers(ctx context.Context, address, what string) {
	if address == "" {
		l.say(ProviderReachable, doctor.Skipped, "The connection has no address of a "+what+" yet.", "")
		return
	}
	r, ok := l.call(ctx, ProviderReachable, address, what)
	switch {
	case !ok:
	case what == "metadata" && r.Status != http.StatusOK, r.Status >= http.StatusInternalServerError:
		l.say(ProviderReachable, l.bad(), "The provider answers with an error where its "+what+" should be.", "See the connection's addresses, and ask whoever runs the provider.")
	default:
		l.say(ProviderReachable, doctor.OK, "The provider's "+what+" answers.", "")
	}
}

// call asks, and compares the clock of whoever answers.
func (l *look) call(ctx context.Context, id, address, what string) (egress.Response, bool) {
	before := time.Now()
	r, err := l.get.Get(ctx, address, nil)
	if e, ok := errors.AsType[*egress.Error](err); ok && e.Phase == egress.Redirect && what == "token endpoint" {
		return egress.Response{Status: http.StatusOK}, true // it is there, and wants a form
	}
	if err != nil {
		text, next := unreached(err)
		l.say(id, l.bad(), "The provider's "+what+" cannot be read: "+text, next)
		return r, false
	}
	if !r.Date.IsZero() {
		l.found = append(l.found, doctor.JudgeClock("the provider", r.Date, before, time.Now(), time.Second)...)
	}
	return r, true
}

// unreached words a call that the guard or the network has ended. It repeats no address.
func unreached(err error) (text, next string) {
	e, ok := errors.AsType[*egress.Error](err)
	if !ok {
		return "the call has failed.", "Try it by itself: sso-bridge connection test."
	}
	switch e.Phase {
	case egress.DNS:
		return "the name of its host does not resolve from here.", "See the spelling, and the name servers of this machine."
	case egress.Refused:
		return "the egress guard does not call this address.", "Where it is meant to be private, name host or network in EGRESS_ALLOW."
	case egress.Connect:
		return "nothing takes the connection, or it broke.", "See the firewall, EGRESS_PROXY_URL, and that the provider runs."
	case egress.TLS:
		return "TLS with it fails.", "See that its certificate names the host, has not ended, and that EGRESS_CA_FILE has its authority."
	case egress.Timeout:
		return "it does not answer in time.", "See the firewall and EGRESS_PROXY_URL."
	case egress.Redirect:
		return "it sends the call elsewhere, where it is not followed.", "Set the address that it redirects to."
	}
	return "what answers is not acceptable (" + string(e.Phase) + ").", "Try it by itself: sso-bridge connection test."
}

// certificates judges those of SAML: the provider's, and the key that signs for us.
func (l *look) certificates() {
	if l.SAML == nil {
		return
	}
	if current := l.SAML.Provider.Current; current != nil {
		last := time.Time{}
		for _, c := range current.Certificates {
			if c.NotAfter != nil && c.NotAfter.After(last) {
				last = *c.NotAfter
			}
		}
		l.ends("The last certificate of the provider", last, operator.ProviderWarning, "Ask for the next one, or refresh its metadata: sso-bridge connection metadata "+l.ID+".")
	}
	for _, k := range l.SAML.Keys {
		if k.State == "current" {
			l.ends("The certificate of our key that signs", k.NotAfter, operator.KeyWarning, "sso-bridge connection keys stage "+l.ID)
		}
	}
}

func (l *look) ends(which string, at time.Time, ahead time.Duration, next string) {
	if at.IsZero() {
		return
	}
	end := at.UTC().Format(time.DateOnly)
	switch left := at.Sub(l.now); {
	case left <= 0:
		l.say(ProviderCertificate, l.bad(), which+" ended on "+end+".", next)
	case left < ahead:
		l.say(ProviderCertificate, doctor.Warn, which+" ends on "+end+".", next)
	default:
		l.say(ProviderCertificate, doctor.OK, which+" is good until "+end+".", "")
	}
}

// Apart says whether the bridge's credentials reach what is core's. Whoever takes the
// bridge over is else core.
func Apart(sql, redis bool) []doctor.Finding {
	const next = "Give the bridge an SQL role without rights on core's tables and a Redis user of its own: docs/operating/enterprise.md."
	one := func(s doctor.Status, text, next string) []doctor.Finding {
		return []doctor.Finding{{Check: StoresApart, Status: s, Text: text, Next: next}}
	}
	switch {
	case sql && redis:
		return one(doctor.Warn, "The bridge can read core's tables and core's keys in Redis: whoever takes the bridge over is core.", next)
	case sql:
		return one(doctor.Warn, "The bridge's SQL role can read core's tables: whoever takes the bridge over is core.", next)
	case redis:
		return one(doctor.Warn, "The bridge's Redis user can use core's keys: whoever takes the bridge over signs devices in.", next)
	}
	return one(doctor.OK, "The bridge's SQL role and Redis user have no rights on what is core's.", "")
}

// IsRefusal judges the answer of the bridge's public address to a request for the metadata
// of no connection, which the bridge alone refuses in its own words.
func IsRefusal(status int, body []byte) bool {
	var r struct {
		Code   string `json:"code"`
		Status int    `json:"status"`
	}
	return status == http.StatusNotFound && json.Unmarshal(body, &r) == nil && r.Code != "" && r.Status == status
}

// Probe is the path of that request.
func Probe() string { return "/sso/saml/metadata/" + url.PathEscape("doctor") }
