// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// serveRelay serves what the standard library offers to pass streams on, and nothing else:
// what a proxy written in Go costs before it has looked at anything.
func serveRelay(address, to string) error {
	target, err := url.Parse(to)
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1, // each write leaves at once
	}
	s := &http.Server{Addr: address, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Else net/http closes the request's body when the answer begins, and a transport that has
		// not yet read that body's end closes its connection in mid-answer.
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	})}
	return s.ListenAndServe()
}
