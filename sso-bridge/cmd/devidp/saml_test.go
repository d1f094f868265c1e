// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/crewjam/saml"
)

const (
	consumer = "http://127.0.0.1:5003/sso/saml/acs/dev-saml"
	service  = "http://127.0.0.1:5003/sso/saml/metadata/dev-saml"
)

// serviceProvider is a real one that has read the provider's metadata.
func (s stage) serviceProvider(t *testing.T) *saml.ServiceProvider {
	t.Helper()
	metadata := new(saml.EntityDescriptor)
	if err := xml.Unmarshal([]byte(s.get(t, s.issuer+"/saml/metadata")), metadata); err != nil {
		t.Fatal(err)
	}
	acs, _ := url.Parse(consumer)
	return &saml.ServiceProvider{EntityID: service, AcsURL: *acs, IDPMetadata: metadata, AuthnNameIDFormat: saml.PersistentNameIDFormat}
}

func (s stage) get(t *testing.T, address string) string {
	t.Helper()
	r, err := s.browser.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return text(t, r, http.StatusOK)
}

func text(t *testing.T, r *http.Response, want int) string {
	t.Helper()
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != want {
		t.Fatalf("%d %s: %v", r.StatusCode, body, err)
	}
	return string(body)
}

var hidden = regexp.MustCompile(`name="(\w+)" value="([^"]*)"`)

func fields(page string) url.Values {
	form := url.Values{}
	for _, f := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(f[1], html.UnescapeString(f[2]))
	}
	return form
}

// answerTo posts the form that names a person and gives what goes to the consumer service.
func (s stage) answerTo(t *testing.T, address string, form url.Values, who string) url.Values {
	t.Helper()
	form.Set("person", who)
	r, err := s.browser.PostForm(address, form)
	if err != nil {
		t.Fatal(err)
	}
	page := text(t, r, http.StatusOK)
	if !strings.Contains(page, `action="`+consumer+`"`) {
		t.Fatal(page)
	}
	return fields(page)
}

// signIn goes the whole way by redirect.
func (s stage) signIn(t *testing.T, sp *saml.ServiceProvider, who string) (*saml.Assertion, error) {
	t.Helper()
	request, err := sp.MakeAuthenticationRequest(sp.GetSSOBindingLocation(saml.HTTPRedirectBinding), saml.HTTPRedirectBinding, saml.HTTPPostBinding)
	if err != nil {
		t.Fatal(err)
	}
	to, err := request.Redirect("the-state", sp)
	if err != nil {
		t.Fatal(err)
	}
	form := s.answerTo(t, to.String(), url.Values{}, who)
	if form.Get("RelayState") != "the-state" {
		t.Errorf("RelayState %q", form.Get("RelayState"))
	}
	return accept(t, sp, form, request.ID)
}

func accept(t *testing.T, sp *saml.ServiceProvider, form url.Values, request string) (*saml.Assertion, error) {
	t.Helper()
	response, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := sp.ParseXMLResponse(response, []string{request}, sp.AcsURL)
	if invalid, ok := errors.AsType[*saml.InvalidResponseError](err); ok {
		err = invalid.PrivateErr
	}
	return assertion, err
}

// values are those of an attribute.
func values(a *saml.Assertion, name string) (out []string) {
	for _, statement := range a.AttributeStatements {
		for _, attribute := range statement.Attributes {
			for _, v := range attribute.Values {
				if attribute.Name == name {
					out = append(out, v.Value)
				}
			}
		}
	}
	return out
}

const mail, displayName = "urn:oid:0.9.2342.19200300.100.1.3", "urn:oid:2.16.840.1.113730.3.1.241"

func TestSAMLPeople(t *testing.T) {
	s := newStage(t)
	sp := s.serviceProvider(t)
	for who, name := range map[string]string{"alice": "Alice Liddell", "zhangwei": "张伟"} {
		t.Run("SSO-64 "+who, func(t *testing.T) {
			a, err := s.signIn(t, sp, who)
			if err != nil {
				t.Fatal(err)
			}
			id := a.Subject.NameID
			if id.Value != "dev|"+who || id.Format != persistentFormat || strings.Join(values(a, mail), " ") != who+"@"+samlDomain ||
				strings.Join(values(a, displayName), " ") != name || !strings.HasPrefix(strings.Join(values(a, "groups"), " "), "everyone") {
				t.Errorf("%+v %+v", id, a.AttributeStatements)
			}
		})
	}
	for who, want := range map[string]string{
		"wrongnonce": "InResponseTo", "expired": "expired", "refuses": "status", "unsigned": "ignature",
	} {
		t.Run("SSO-64 "+who, func(t *testing.T) {
			if _, err := s.signIn(t, sp, who); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
	t.Run("SSO-64 what a service has to look at itself", func(t *testing.T) {
		if a, err := s.signIn(t, sp, "transient"); err != nil || a.Subject.NameID.Format != transientFormat {
			t.Errorf("%+v, %v", a, err)
		}
		if a, err := s.signIn(t, sp, "twoaddresses"); err != nil || len(values(a, mail)) != 2 {
			t.Errorf("%+v, %v", a, err)
		}
		if a, err := s.signIn(t, sp, "nomail"); err != nil || len(values(a, mail)) != 0 {
			t.Errorf("%+v, %v", a, err)
		}
		if a, err := s.signIn(t, sp, "overage"); err != nil || len(values(a, "groups")) != 0 || len(values(a, "http://schemas.microsoft.com/claims/groups.link")) != 1 {
			t.Errorf("%+v, %v", a, err)
		}
		if a, err := s.signIn(t, sp, "longlife"); err != nil || a.Conditions.NotOnOrAfter.Sub(a.IssueInstant) != 24*time.Hour {
			t.Errorf("%+v, %v", a, err)
		}
		if _, err := s.signIn(t, sp, "wrongaudience"); err == nil || !strings.Contains(err.Error(), "udience") {
			t.Error(err)
		}
	})
}

func TestSAMLRequests(t *testing.T) {
	s := newStage(t)
	sp := s.serviceProvider(t)
	sso := s.issuer + "/saml/sso"
	t.Run("SSO-64 by post: the page keeps the request", func(t *testing.T) {
		request, err := sp.MakeAuthenticationRequest(sp.GetSSOBindingLocation(saml.HTTPPostBinding), saml.HTTPPostBinding, saml.HTTPPostBinding)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.browser.PostForm(sso, fields(string(request.Post("the-state"))))
		if err != nil {
			t.Fatal(err)
		}
		page := text(t, r, http.StatusOK)
		if !strings.Contains(page, `name="person" value="unsigned"`) || strings.Contains(page, `value="slow"`) {
			t.Errorf("the people of SAML are not those of\n%s", page)
		}
		form := url.Values{}
		for _, name := range []string{"SAMLRequest", "RelayState"} {
			form.Set(name, fields(page).Get(name))
		}
		form = s.answerTo(t, sso, form, "bob")
		if a, err := accept(t, sp, form, request.ID); err != nil || a.Subject.NameID.Value != "dev|bob" || form.Get("RelayState") != "the-state" {
			t.Errorf("%+v, %v", a, err)
		}
	})
	for name, query := range map[string]string{
		"nothing": "", "no base64": "SAMLRequest=*", "not deflated": "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("<x/>"))),
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			r, err := s.browser.Get(sso + "?" + query)
			if err != nil {
				t.Fatal(err)
			}
			text(t, r, http.StatusBadRequest)
		})
	}
	t.Run("nobody is sent to a consumer service that is not listed", func(t *testing.T) {
		other := *sp
		other.AcsURL.Path = "/elsewhere"
		to, err := other.MakeRedirectAuthenticationRequest("x")
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.browser.PostForm(to.String(), url.Values{"person": {"alice"}})
		if err != nil {
			t.Fatal(err)
		}
		if page := text(t, r, http.StatusBadRequest); strings.Contains(page, "form") {
			t.Error(page)
		}
	})
}

func TestPair(t *testing.T) {
	file := filepath.Join(t.TempDir(), "devidp.pem")
	first, certificate, err := pair(file, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a file keeps it", func(t *testing.T) {
		again, same, err := pair(file, time.Now().Add(time.Hour))
		if err != nil || !again.Equal(first) || string(same) != string(certificate) {
			t.Error(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
	})
	t.Run("another file is not written over", func(t *testing.T) {
		if err := os.WriteFile(file, []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := pair(file, time.Now()); err == nil || !strings.Contains(err.Error(), file) {
			t.Error(err)
		}
	})
}
