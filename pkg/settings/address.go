// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/config"
)

// Listeners judges the addresses of the two listeners.
func Listeners(problems *config.Problems, listen, inner string) {
	for key, address := range map[string]string{"LISTEN": listen, "INNER_LISTEN": inner} {
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			problems.Add(key, "must be host:port")
		}
	}
	if listen == inner && !strings.HasSuffix(listen, ":0") {
		problems.Add("INNER_LISTEN", "must differ from LISTEN")
	}
}

// Origin takes a public address apart, or says what is wrong with it.
func Origin(s string) (*url.URL, string) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, "must be an address such as https://sso.example.com"
	}
	if strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, "must be an address without user, path, query or fragment"
	}
	if u.Scheme == "http" && !Loopback(u.Hostname()) {
		return nil, "must be https unless the host is a loopback address: its cookies would travel in clear"
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, ""
}

// Inner takes the base of another service's second listener apart, or says what is wrong
// with it. Unlike a public address it may be plain http: whoever runs both in one closed
// network may choose so; clear says that it is and should be warned of.
func Inner(s, example string) (base *url.URL, clear bool, wrong string) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, false, "must be an address such as " + example
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, false, "must be an address without user, path, query or fragment"
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, u.Scheme == "http" && !Loopback(u.Hostname()), ""
}

// Loopback reports whether nobody but this machine reaches a host.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Roots reads certificates to trust beside the system's.
func Roots(path string) (*x509.CertPool, error) {
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // a bare container has none: the file is then all
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(content) {
		return nil, errors.New("holds no PEM certificate")
	}
	return roots, nil
}
