// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

// Company is a Bridge with an identity provider behind it that browsers can go to: whoever
// opens the start of a login has signed in there and comes back.
type Company struct {
	*Bridge
	t testing.TB

	mu     sync.Mutex
	who    External
	refuse ssocode.Code
	offer  CompanyOffer
	down   bool
}

// CompanyOffer is what may be chosen, as the bridge lists it.
type CompanyOffer struct {
	Mode        string              `json:"mode"`
	Connections []CompanyConnection `json:"connections"`
}

// CompanyConnection is a connection as people see it.
type CompanyConnection struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Button   string `json:"button"`
	Protocol string `json:"protocol"`
}

// Corp is the connection that a Company begins with.
var Corp = CompanyConnection{ID: Connection, Name: ConnectionName, Button: "Sign in with Corp", Protocol: "oidc"}

// StartCompany runs a server of the Enterprise Edition beside a Company.
func StartCompany(t testing.TB, options ...Option) (*Server, *Company) {
	t.Helper()
	s, b := StartEnterprise(t, options...)
	c := &Company{Bridge: b, t: t, who: Grace, offer: CompanyOffer{Mode: "single", Connections: []CompanyConnection{Corp}}}
	b.Answer(c.serve)
	return s, c
}

// Offers sets what may be chosen. Core believes a list for five seconds.
func (c *Company) Offers(mode string, connections ...CompanyConnection) {
	c.change(func() { c.offer = CompanyOffer{Mode: mode, Connections: append([]CompanyConnection{}, connections...)} })
}

// Sends sets who comes back.
func (c *Company) Sends(who External) { c.change(func() { c.who = who }) }

// Refuses lets every login end with a public code; empty ends that.
func (c *Company) Refuses(code ssocode.Code) { c.change(func() { c.refuse = code }) }

// Down makes the bridge answer nothing of use.
func (c *Company) Down(down bool) { c.change(func() { c.down = down }) }

func (c *Company) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// serve answers in the bridge's place where the company decides.
func (c *Company) serve(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case strings.HasPrefix(r.URL.Path, "/sso/start/"):
		c.signIn(w, r)
	case c.down:
		refuse(w, http.StatusServiceUnavailable, "service_unavailable")
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c.offer)
	default:
		return c.begin(w, r)
	}
	return true
}

// begin refuses what the bridge would refuse, and leaves the rest to it.
func (c *Company) begin(w http.ResponseWriter, r *http.Request) bool {
	var o Order
	switch err := json.NewDecoder(r.Body).Decode(&o); {
	case err != nil:
		return false
	case c.offer.Mode == "none":
		refuse(w, http.StatusNotFound, "sso_not_configured")
	case o.Email != "" && !strings.HasSuffix(o.Email, "@corp.example"):
		refuse(w, http.StatusNotFound, "email_domain_unroutable")
	case c.offer.Mode != "single" && o.Connection == "" && o.Email == "":
		refuse(w, http.StatusConflict, "connection_choice_required")
	default:
		return false
	}
	return true
}

// signIn sends the browser back at once.
func (c *Company) signIn(w http.ResponseWriter, r *http.Request) {
	o := c.Last(c.t)
	back := url.Values{}
	switch {
	case !strings.HasSuffix(o.StartURL, r.URL.Path):
		http.NotFound(w, r)
		return
	case c.refuse != "":
		back.Set("sso_error", string(c.refuse))
		back.Set("attempt", o.Reference)
	default:
		back.Set("sso_assertion", c.Assert(c.t, o, c.who))
	}
	http.Redirect(w, r, c.core+DevicePath+"/sso-complete?"+back.Encode(), http.StatusSeeOther)
}

// Click loads a page as somebody does who follows a link on a page of core's, by way of
// the company where that is where it leads.
func (b *Browser) Click(path string) Answer {
	b.t.Helper()
	headers := []string{"Accept", "text/html", "Sec-Fetch-Site", "same-origin"}
	if b.Lang != "" {
		headers = append(headers, "Accept-Language", b.Lang)
	}
	a := send(b.t, b.http, b.s.URL, http.MethodGet, path, "", headers...)
	location := a.Header.Get("Location")
	if abroad := strings.HasPrefix(location, "http") && !strings.HasPrefix(location, b.s.URL+"/"); abroad {
		back := send(b.t, plain, location, http.MethodGet, "", "")
		return b.Get(strings.TrimPrefix(back.Header.Get("Location"), b.s.URL))
	}
	return b.follow(path, a)
}

// SubmitTo is Submit by a button of the form that leads elsewhere.
func (b *Browser) SubmitTo(form, action string, fields url.Values) Answer {
	b.t.Helper()
	b.Page.Body = strings.Replace(b.Page.Body, `action="`+form+`"`, `action="`+action+`"`, 1)
	return b.Submit(action, fields)
}
