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

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// ErrNoService: nobody listens at the socket, and nothing was asked.
var ErrNoService = errors.New("no core is running here any more, and nothing was done: repeat the command")

// Client has a serving process do what a command asks.
type Client struct {
	path    string
	version string
	hello   Hello
	http    *http.Client
}

var _ operator.Operations = (*Client)(nil)

// Connect greets the process that serves at the socket. It returns ErrNoService when
// there is none.
func Connect(ctx context.Context, path, version string) (*Client, error) {
	c := &Client{path: path, version: version}
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
		err = ErrNoService
	case errors.Is(err, errSilent):
		err = errors.New("the running core does not answer, and nothing was done: look at its log, or restart it")
	}
	return c, err
}

// Hello is what the serving process has said of itself.
func (c *Client) Hello() Hello { return c.hello }

// SetupCode implements operator.Operations.
func (c *Client) SetupCode(ctx context.Context) (operator.SetupCode, error) {
	return call[operator.SetupCode](ctx, c, opSetupCode, struct{}{})
}

// CreateOwner implements operator.Operations.
func (c *Client) CreateOwner(ctx context.Context, o operator.Owner) (operator.Created, error) {
	return call[operator.Created](ctx, c, opCreateOwner, o)
}

// CreateAccount implements operator.Operations.
func (c *Client) CreateAccount(ctx context.Context, p operator.Person) (access.AccountMade, error) {
	return call[access.AccountMade](ctx, c, opAccount, p)
}

// SetPassword implements operator.Operations.
func (c *Client) SetPassword(ctx context.Context, p operator.Password) (access.PasswordSet, error) {
	return call[access.PasswordSet](ctx, c, opPassword, p)
}

// SetAdministrator implements operator.Operations.
func (c *Client) SetAdministrator(ctx context.Context, m operator.Administrator) (access.AdministratorChange, error) {
	return call[access.AdministratorChange](ctx, c, opAdmin, m)
}

// ListAccounts implements operator.Operations.
func (c *Client) ListAccounts(ctx context.Context, q operator.AccountQuery) (access.AccountPage, error) {
	return call[access.AccountPage](ctx, c, opAccounts, q)
}

// SetStatus implements operator.Operations.
func (c *Client) SetStatus(ctx context.Context, s operator.Status) (access.StatusChange, error) {
	return call[access.StatusChange](ctx, c, opSetStatus, s)
}

// ListTokens implements operator.Operations.
func (c *Client) ListTokens(ctx context.Context, q operator.TokenQuery) (access.TokenPage, error) {
	return call[access.TokenPage](ctx, c, opTokens, q)
}

// RevokeToken implements operator.Operations.
func (c *Client) RevokeToken(ctx context.Context, r operator.TokenRef) (access.Revoked, error) {
	return call[access.Revoked](ctx, c, opRevokeToken, r)
}

// RevokeSubject implements operator.Operations.
func (c *Client) RevokeSubject(ctx context.Context, s operator.Subject) (access.Receipt, error) {
	return call[access.Receipt](ctx, c, opRevoke, s)
}

// RotateSecretKey implements operator.Operations.
func (c *Client) RotateSecretKey(ctx context.Context) (operator.SecretKey, error) {
	return call[operator.SecretKey](ctx, c, opSecretKey, struct{}{})
}

// RotateSealingKey implements operator.Operations.
func (c *Client) RotateSealingKey(ctx context.Context) (operator.SealingKey, error) {
	return call[operator.SealingKey](ctx, c, opSealingKey, struct{}{})
}

// Snapshot implements operator.Operations.
func (c *Client) Snapshot(ctx context.Context) (operator.Snapshot, error) {
	return call[operator.Snapshot](ctx, c, opSnapshot, struct{}{})
}

// Bundle implements operator.Operations.
func (c *Client) Bundle(ctx context.Context) (operator.Bundle, error) {
	return call[operator.Bundle](ctx, c, opBundle, struct{}{})
}

// call asks for one operation, if the service has it.
func call[A any](ctx context.Context, c *Client, name string, request any) (answer A, err error) {
	if !slices.Contains(c.hello.Operations, name) {
		return answer, c.strange(c.hello.Version)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return answer, err
	}
	return answer, c.ask(ctx, http.MethodPost, name, body, &answer)
}

func (c *Client) ask(ctx context.Context, method, name string, body []byte, answer any) error {
	// The host is nobody's: the transport dials the socket.
	req, err := http.NewRequestWithContext(ctx, method, "http://core"+prefix+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(versionHeader, c.version)
	if body != nil {
		req.Header.Set("Content-Type", jsonType)
	}
	client := *c.http
	client.Timeout = limitOf(name) + answerLimit - callLimit
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
			return c.strange(res.Header.Get(versionHeader))
		}
		return nil
	}
	err = readFailure(res.StatusCode, text)
	var f *fault.Error
	// Its program was replaced, or the service was, since it said what it can do.
	if errors.As(err, &f) && (f.Code() == errUnknown.Code() || f.Code() == errRequest.Code()) {
		return c.strange(res.Header.Get(versionHeader))
	}
	return err
}

// strange is the failure of two versions that do not understand each other.
func (c *Client) strange(theirs string) error {
	theirs = foreign(theirs)
	if theirs == "" {
		theirs = "of another version"
	}
	who := "the running core"
	if c.hello.PID > 0 {
		who = fmt.Sprintf("the running core (process %d)", c.hello.PID)
	}
	return fmt.Errorf("%s is %s and does not understand this command of %s: restart it with the new program, or use the command of its own version", who, theirs, c.version)
}

// errSilent is a service that takes connections and says nothing.
var errSilent = errors.New("the running core does not answer; what was asked may be done all the same")

// errBroken is a connection that ended before the answer.
var errBroken = errors.New("the running core ended before it answered; what was asked may have been done: repeat the command")

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
		return ErrNoService
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s belongs to another user: run this command as the user who runs core, or as root", c.path)
	case errors.As(err, &wait) && wait.Timeout():
		return errSilent
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("%w (%w)", errBroken, err)
}
