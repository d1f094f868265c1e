// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/server"
)

// readyLimit bounds the question whether a process is ready.
const readyLimit = 5 * time.Second

// maxReady is the longest answer of /readyz that is read, in bytes.
const maxReady = 16 << 10

// maxReason is how much of why a process is not ready is told, in bytes.
const maxReason = 400

// ReadyAddress is where this machine reaches the second listener of a process that listens
// on listen, with the path of its readiness.
func ReadyAddress(listen string, secure bool) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "" || port == "0" {
		return "", errors.New("INNER_LISTEN names no port that can be asked: name the address with --address")
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/readyz", nil
}

// ReadyAt takes an address that a person has named: host:port, or http(s)://host:port.
// secure says how one without a scheme is asked.
func ReadyAt(given string, secure bool) (string, error) {
	if !strings.Contains(given, "://") {
		scheme := "http://"
		if secure {
			scheme = "https://"
		}
		given = scheme + given
	}
	u, err := url.Parse(given)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		strings.Trim(u.Path, "/") != "" && u.Path != "/readyz" {
		return "", errors.New("must be host:port, or an address such as http://127.0.0.1:5002")
	}
	return u.Scheme + "://" + u.Host + "/readyz", nil
}

// Failures of AskReady beside those of the answer itself.
var (
	errSilent = errors.New("nobody answers there")
	errOther  = errors.New("what answers there is none of our services")
)

// AskReady asks a second listener whether its process is ready. An answer that is not
// ready is an answer; an error is worded without the address.
//
// Whose certificate is shown does not matter: the question carries nothing, and a probe
// asks the process beside it, under an address that no certificate names.
func AskReady(ctx context.Context, address string) (server.Readiness, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return server.Readiness{}, time.Time{}, errOther
	}
	client := http.Client{
		Transport: &http.Transport{ // no proxy of the environment: it would answer for itself
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, //nolint:gosec // see above
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return server.Readiness{}, time.Time{}, unanswered(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReady))
	if err != nil {
		return server.Readiness{}, time.Time{}, unanswered(ctx, err)
	}
	var r server.Readiness
	if json.Unmarshal(body, &r) != nil || len(r.Checks) == 0 || res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable {
		return server.Readiness{}, time.Time{}, errOther
	}
	date, _ := http.ParseTime(res.Header.Get("Date"))
	return r, date, nil
}

// unanswered words a call that came to nothing.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("it does not answer within %s", readyLimit)
	}
	if why := network(err); why != "" {
		return fmt.Errorf("%w: %s", errSilent, why)
	}
	return errSilent
}

// Unready says in one sentence why a process is not ready; empty when it is.
func Unready(r server.Readiness) string {
	if r.Ready() {
		return ""
	}
	var parts []string
	if r.Draining {
		parts = append(parts, "it is shutting down")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Checks)) {
		if r.Checks[name] != server.CheckOK {
			parts = append(parts, name+": "+r.Checks[name])
		}
	}
	why := plain(strings.Join(parts, "; ")) // it is whoever answers that says so
	return strings.ToValidUTF8(why[:min(len(why), maxReason)], "")
}
