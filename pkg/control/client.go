// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// ErrNoService: nobody listens at the socket, and nothing was asked.
var ErrNoService = errors.New("is running here any more, and nothing was done: repeat the command")

// noService says ErrNoService of a service.
func (c *Client) noService() error { return fmt.Errorf("no %s %w", c.service, ErrNoService) }

// Client has a serving process do what a command asks.
type Client struct {
	service string
	slow    Slow
	path    string
	version string
	hello   Hello
	http    *http.Client
}

// Connect greets the process that serves at the socket. It returns ErrNoService when
// there is none. service is the program's name as in Deps, version that of the command,
// and slow what the server's Deps have.
func Connect(ctx context.Context, service, path, version string, slow Slow) (*Client, error) {
	c := &Client{service: service, slow: slow, path: path, version: version}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithTimeout(ctx, helloLimit)
	defer cancel()
	err := c.ask(ctx, http.MethodGet, "", nil, &c.hello)
	switch {
	case errors.Is(err, errBroken): // a service that ends takes no more questions
		err = c.noService()
	case errors.Is(err, errSilent):
		err = fmt.Errorf("the running %s does not answer, and nothing was done: look at its log, or restart it", service)
	}
	return c, err
}

// Hello is what the serving process has said of itself.
func (c *Client) Hello() Hello { return c.hello }

// Call asks for one operation, if the service has it. A refusal is the fault that the
// service gave; any other failure is a sentence for who has typed the command.
func Call[A any](ctx context.Context, c *Client, name string, request any) (answer A, err error) {
	if !slices.Contains(c.hello.Operations, name) {
		return answer, c.strange(c.hello.Version)
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // nobody shows it in a page, and XML would grow sixfold
	if err := encoder.Encode(request); err != nil {
		return answer, err
	}
	return answer, c.ask(ctx, http.MethodPost, name, body.Bytes(), &answer)
}

func (c *Client) ask(ctx context.Context, method, name string, body []byte, answer any) error {
	// The host is nobody's: the transport dials the socket.
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.service+prefix+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(versionHeader(c.service), c.version)
	if body != nil {
		req.Header.Set("Content-Type", jsonType)
	}
	client := *c.http
	client.Timeout = c.slow.limit(name) + answerLimit - callLimit
	res, err := client.Do(req)
	if err != nil {
		return c.failed(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return c.failed(err)
	}
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, answer); err != nil {
			return c.strange(res.Header.Get(versionHeader(c.service)))
		}
		return nil
	}
	err = readFailure(res.StatusCode, text)
	var f *fault.Error
	// Its program was replaced, or the service was, since it said what it can do.
	if errors.As(err, &f) && (f.Code() == errUnknown.Code() || f.Code() == errRequest.Code()) {
		return c.strange(res.Header.Get(versionHeader(c.service)))
	}
	return err
}

// strange is the failure of two versions that do not understand each other.
func (c *Client) strange(theirs string) error {
	theirs = foreign(theirs)
	if theirs == "" {
		theirs = "of another version"
	}
	who := "the running " + c.service
	if c.hello.PID > 0 {
		who = fmt.Sprintf("the running %s (process %d)", c.service, c.hello.PID)
	}
	return fmt.Errorf("%s is %s and does not understand this command of %s: restart it with the new program, or use the command of its own version", who, theirs, c.version)
}

// errSilent is a service that takes connections and says nothing.
var errSilent = errors.New("does not answer; what was asked may be done all the same")

// errBroken is a connection that ended before the answer.
var errBroken = errors.New("ended before it answered; what was asked may have been done: repeat the command")

// failed says what a broken call means.
func (c *Client) failed(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the address, which names no place that anybody could visit
	}
	var wait interface{ Timeout() bool }
	switch {
	case errors.Is(err, errUnfit):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return c.noService()
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s belongs to another user: run this command as the user who runs %s, or as root", c.path, c.service)
	case errors.As(err, &wait) && wait.Timeout():
		return fmt.Errorf("the running %s %w", c.service, errSilent)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("the running %s %w (%w)", c.service, errBroken, err)
}
