// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"net/http"
	"testing"
)

// Codes are what a client holds while it waits.
type Codes struct{ Device, User string }

// Code starts a device authorization.
func (s *Server) Code(t testing.TB, label string) Codes {
	t.Helper()
	a := s.Post(t, "/openapi/v1/oauth/device/code", map[string]string{"client_id": "difyctl", "device_label": label})
	if a.Status != http.StatusOK {
		t.Fatalf("code: %d %s", a.Status, a.Body)
	}
	return Codes{Device: a.Text(t, "device_code"), User: a.Text(t, "user_code")}
}

// Poll asks once for the token.
func (s *Server) Poll(t testing.TB, c Codes) Answer {
	t.Helper()
	return s.Post(t, "/openapi/v1/oauth/device/token", map[string]string{"device_code": c.Device, "client_id": "difyctl"})
}

// SignInDevice runs a whole login and gives the token.
func (s *Server) SignInDevice(t testing.TB, b *Browser, label string) (token, id string) {
	t.Helper()
	c := s.Code(t, label)
	if a := b.Decide("approve", c.User); a.Status != http.StatusOK {
		t.Fatalf("approve: %d %s", a.Status, a.Body)
	}
	a := s.Poll(t, c)
	if a.Status != http.StatusOK {
		t.Fatalf("poll: %d %s", a.Status, a.Body)
	}
	return a.Text(t, "token"), a.Text(t, "token_id")
}
