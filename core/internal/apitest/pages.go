// SPDX-License-Identifier: Apache-2.0

package apitest

import "net/http"

// As makes the browser call itself so in everything that it sends.
func (b *Browser) As(userAgent string) *Browser {
	b.http.Transport = agent{userAgent, b.http.Transport}
	return b
}

type agent struct {
	name string
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (a agent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", a.name)
	return a.next.RoundTrip(r)
}
