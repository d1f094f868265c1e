// SPDX-License-Identifier: Apache-2.0

package deviceauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// BasePath is where the API begins, below the host.
	BasePath = "/openapi/v1"

	requestTimeout = 30 * time.Second // of one request, when HTTPClient has none of its own
	maxAnswer      = 1 << 20          // bytes of one answer
)

// Client signs a program in on one server. Its fields are set before it is used; then it
// may be used by several goroutines at once. The zero value of every field but Host and
// ClientID is usable.
type Client struct {
	// Host is the server's origin, such as https://sso.example.com. A name without a
	// scheme means https.
	Host string
	// ClientID names the program to the server, which must know it.
	ClientID string
	// HTTPClient sends the requests; nil means one with a time-out of 30 s. Redirects are
	// not followed and cookies not kept, whatever it says.
	HTTPClient *http.Client
	// UserAgent is sent when it is set.
	UserAgent string
	// AllowHTTP lets Host be an http address that is not loopback. Whoever can read that
	// network then has the token.
	AllowHTTP bool
	// OnRetry, when set, is called by Wait each time a poll failed and will be repeated,
	// with the reason and the time until then.
	OnRetry func(err error, wait time.Duration)
	// OnRecover, when set, is called by Wait when the server answers a poll again after
	// one or more failed.
	OnRecover func()
}

// Origin gives Host in its canonical form: scheme, lower-case name, port unless it is the
// scheme's own. The errors are ErrHost and ErrInsecureHost.
func (c *Client) Origin() (string, error) {
	text := strings.TrimSpace(c.Host)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", fmt.Errorf("deviceauth: %w", ErrHost) // without the text: it may hold a password
	}
	u.Scheme = strings.ToLower(u.Scheme)
	if u.Scheme != "https" && u.Scheme != "http" {
		return "", fmt.Errorf("deviceauth: %w", ErrHost)
	}
	if u.Scheme == "http" && !c.AllowHTTP && !loopback(u.Hostname()) {
		return "", fmt.Errorf("deviceauth: %w", ErrInsecureHost)
	}
	return originOf(u), nil
}

func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if port := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":")
}

func loopback(name string) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// Authorization is a device authorization under way. One goroutine at a time passes it to
// Wait or Token.
type Authorization struct {
	UserCode                string        // what the person types
	VerificationURI         string        // where they type it
	VerificationURIComplete string        // the same with the code in it; empty unless the server offers it (RFC 8628 §3.3.1)
	ExpiresAt               time.Time     // when the code ends, by this machine's wall clock, which goes on while the machine sleeps
	Interval                time.Duration // the least time between two polls; grows by 5 s at every slow_down

	awake      time.Time // ExpiresAt by the clock that stands still while the machine sleeps
	origin     string    // the server that knows the code
	deviceCode Secret
	next       time.Time // before it no poll is due
	failures   int       // polls without a verdict since the last one with
}

// defaultInterval is what a client takes when the server names none (RFC 8628 §3.2).
const defaultInterval = 5 * time.Second

// Start asks for a code (RFC 8628 §3.1). The label is what the person sees as the name of
// this device, 1 to 255 characters; empty means "<ClientID> on <name of this machine>".
//
// The errors are ErrHost, ErrInsecureHost, ErrUnsupportedClient, ErrRateLimited,
// ErrUnavailable, ErrDisabled, ErrUnreachable, ErrBadAnswer, that of ctx, or an *Error without a
// sentinel for any other refusal. Nothing is repeated.
func (c *Client) Start(ctx context.Context, label string) (*Authorization, error) {
	origin, err := c.Origin()
	if err != nil {
		return nil, err
	}
	if label == "" {
		label = c.defaultLabel()
	}
	status, body, err := c.post(ctx, origin, "/oauth/device/code", map[string]string{"client_id": c.ClientID, "device_label": label})
	if err != nil {
		return nil, err
	}
	var answer struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
		URI        string `json:"verification_uri"`
		Complete   string `json:"verification_uri_complete"`
		ExpiresIn  int64  `json:"expires_in"`
		Interval   int64  `json:"interval"`
	}
	switch err := json.Unmarshal(body, &answer); {
	case err != nil:
		return nil, badAnswer(status, "it is not the JSON of a device authorization")
	case !plainText(answer.DeviceCode, 4096):
		return nil, badAnswer(status, "it has no device code")
	case !plainText(answer.UserCode, 64):
		return nil, badAnswer(status, "it has no user code")
	case !c.presentable(answer.URI):
		return nil, badAnswer(status, "its verification URI cannot be shown")
	case answer.ExpiresIn <= 0:
		return nil, badAnswer(status, "it does not say when the code ends")
	}
	a := &Authorization{
		UserCode: answer.UserCode, VerificationURI: answer.URI,
		ExpiresAt: time.Now().Round(0).Add(seconds(answer.ExpiresIn)), Interval: seconds(answer.Interval),
		awake: time.Now().Add(seconds(answer.ExpiresIn)), origin: origin, deviceCode: NewSecret(answer.DeviceCode),
	}
	if a.Interval <= 0 {
		a.Interval = defaultInterval
	}
	if c.presentable(answer.Complete) {
		a.VerificationURIComplete = answer.Complete
	}
	return a, nil
}

func (c *Client) defaultLabel() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return c.ClientID
	}
	return c.ClientID + " on " + name
}

// presentable tells whether an address may be shown and opened: a browser obeys more
// schemes than a server should be able to choose.
func (c *Client) presentable(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && plainText(uri, 2048) && u.Host != "" && u.User == nil &&
		(u.Scheme == "https" || u.Scheme == "http" && (c.AllowHTTP || loopback(u.Hostname())))
}

// plainText tells whether s is visible ASCII and not longer than most.
func plainText(s string, most int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= most
}

// seconds guards against a number that no duration holds.
func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), 24*60*60)) * time.Second
}

// post sends one request and gives the body of a 2xx answer.
func (c *Client) post(ctx context.Context, origin, path string, v map[string]string) (int, []byte, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+BasePath+path, bytes.NewReader(content))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if c.UserAgent != "" {
		req.Header.Set("User-Agent", c.UserAgent)
	}
	res, err := c.sender().Do(req)
	if err != nil {
		return 0, nil, unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode < http.StatusOK { // net/http no longer ends such a connection with ctx
		return 0, nil, badAnswer(res.StatusCode, "it changes to another protocol")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, unreachable(ctx, err)
	}
	switch {
	case len(body) > maxAnswer:
		return 0, nil, badAnswer(res.StatusCode, "it is longer than %d bytes", maxAnswer)
	case res.StatusCode/100 == 3:
		return 0, nil, badAnswer(res.StatusCode, "it redirects%s", elsewhere(res))
	case res.StatusCode == http.StatusNotFound:
		return 0, nil, badAnswer(res.StatusCode, "there is no device authorization at %s", origin)
	case res.StatusCode/100 != 2:
		return 0, nil, errorOf(res.StatusCode, res.Header, body)
	}
	return res.StatusCode, body, nil
}

// elsewhere names the origin that a redirect leads to: enough to correct the host.
func elsewhere(res *http.Response) string {
	to, err := res.Location()
	if err != nil || to.Host == "" || !plainText(originOf(to), 255) {
		return ""
	}
	return " to " + originOf(to)
}

// unreachable tells a cancelled request from one that got no answer.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // the address is known
	}
	return &Error{Err: fmt.Errorf("%w: %w", ErrUnreachable, err)}
}

// sender gives the HTTP client to use.
func (c *Client) sender() *http.Client {
	h := http.Client{}
	if c.HTTPClient != nil {
		h = *c.HTTPClient
	}
	if h.Timeout == 0 {
		h.Timeout = requestTimeout
	}
	// A device code, or a token, must not be sent to where an answer points.
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h.Jar = nil
	return &h
}
