// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net"
	"net/url"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/settings"
)

// judgeSwitches checks what opens the API to other origins and what closes it.
func (s *Settings) judgeSwitches(problems *config.Problems) {
	const key = "OPENAPI_CORS_ALLOW_ORIGINS"
	for _, text := range s.CORSAllowOrigins {
		if reason := embedder(text); reason != "" {
			problems.Add(key, "%q %s", text, reason)
			continue
		}
		if u, err := url.Parse(text); err == nil && u.Scheme == "http" && !settings.Loopback(u.Hostname()) {
			s.Warnings = append(s.Warnings, key+": "+text+" is plain http: whoever sits between it and a browser can act for its readers")
		}
	}
	if !s.OpenAPIEnabled {
		s.Warnings = append(s.Warnings, "OPENAPI_ENABLED=false: no client can use the API, and no device can sign in")
	}
	if !s.EnableBearer {
		s.Warnings = append(s.Warnings, "ENABLE_OAUTH_BEARER=false: no access token is taken, and no device can sign in")
	}
}

// embedder says what keeps a text from being an origin as a browser writes it into a
// request (RFC 6454 section 6.2): nothing else can ever be equal to one.
func embedder(text string) string {
	const shape = "must be an origin such as https://console.example.com"
	if text == "*" {
		return "would let every site in; name the origins"
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Contains(u.Host, "*") {
		return shape
	}
	host, port := u.Hostname(), u.Port()
	switch {
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return "must be an origin without user, path, query or fragment, not even a slash at its end"
	case strings.HasSuffix(u.Host, ":") || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443":
		return "must leave out the port that its scheme implies, as browsers do"
	case text != strings.ToLower(text):
		return "must be in lower case, as browsers write it"
	case strings.ContainsFunc(host, func(r rune) bool { return r > '~' }):
		return "must name its host in ASCII (xn--…), as browsers do"
	}
	written := u.Scheme + "://" + host
	if strings.Contains(host, ":") {
		ip := net.ParseIP(host)
		if ip == nil {
			return shape
		}
		written = u.Scheme + "://[" + ip.String() + "]"
	}
	if port != "" {
		written += ":" + strings.TrimLeft(port, "0")
	}
	if written != text {
		return shape
	}
	return ""
}
