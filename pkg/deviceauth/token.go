// SPDX-License-Identifier: Apache-2.0

package deviceauth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Token is what an allowed sign-in gives.
type Token struct {
	Access      Secret    // the bearer token (RFC 6750)
	ID          string    // of the session, as the list of sessions shows it; may be empty
	ExpiresAt   time.Time // by this machine's clock; zero when the server does not say
	Scope       string
	SubjectType string // "account" or "external_sso"
	// Account is the person's account; nil for a person known to an identity provider
	// alone, whom Email and Issuer name.
	Account            *Account
	Email, Issuer      string
	Workspaces         []Workspace
	DefaultWorkspaceID string // empty when there is none
}

// Account is a person's account.
type Account struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

// Workspace is a workspace with the person's role in it.
type Workspace struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

const (
	grantType = "urn:ietf:params:oauth:grant-type:device_code"

	slowDown   = 5 * time.Second  // what a slow_down adds to the interval (RFC 8628 §3.5)
	maxBackoff = 60 * time.Second // between polls that bring no verdict
	// An approval in the code's last moment keeps it alive for another minute, so a poll
	// that failed then is still worth repeating.
	overtime = 60 * time.Second
	// A poll under way when ctx ends may be the one that wins. Its answer is the only
	// trace of a live token, so it is given a moment to arrive.
	lastAnswer = 2 * time.Second
	// Clocks differ, and answers travel: a code that ends so little before its time has
	// simply ended.
	forgiven = 30 * time.Second
)

// Token polls once (RFC 8628 §3.4), without waiting for the interval: callers that do not
// use Wait keep Authorization.Interval between their polls.
//
// The errors are ErrPending, ErrSlowDown, ErrAccessDenied, ErrExpired, ErrRateLimited,
// ErrUnavailable, ErrDisabled, ErrUnreachable, ErrBadAnswer, ErrUnsupportedClient, that of ctx, or an
// *Error without a sentinel for any other refusal.
func (c *Client) Token(ctx context.Context, a *Authorization) (*Token, error) {
	origin, err := c.Origin()
	if err != nil {
		return nil, err
	}
	if origin != a.origin {
		return nil, fmt.Errorf("deviceauth: the authorization is of another server: %w", ErrOtherHost)
	}
	status, body, err := c.post(ctx, origin, "/oauth/device/token",
		map[string]string{"client_id": c.ClientID, "device_code": a.deviceCode.Reveal(), "grant_type": grantType})
	var token *Token
	if err == nil {
		token, err = parseToken(status, body)
	}
	var said *Error
	if code := a.deviceCode.Reveal(); errors.As(err, &said) && strings.Contains(said.Message, code[:min(len(code), 12)]) {
		said.Message = "" // a server that quotes the secret, cut off or not, must not get it printed
	}
	a.pace(err)
	return token, err
}

// pace says when the next poll is due, counted from the answer so that it never comes
// early at the server.
func (a *Authorization) pace(err error) {
	var said *Error
	asked := time.Duration(0)
	if errors.As(err, &said) {
		asked = said.RetryAfter
	}
	if errors.Is(err, ErrSlowDown) {
		a.Interval += slowDown
	}
	wait := max(a.Interval, asked)
	if !transient(err) {
		a.failures = 0
	} else if a.failures++; asked == 0 {
		// RFC 8628 §3.5: after a time-out poll less often, doubling each time.
		wait = max(a.Interval, min(a.Interval<<min(a.failures, 6), maxBackoff))
	}
	a.next = time.Now().Add(wait)
}

// transient tells whether a poll that failed may be repeated.
func transient(err error) bool {
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) || errors.Is(err, http.ErrSchemeMismatch) {
		return false // no time heals it
	}
	return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRateLimited)
}

// Wait polls until the person has decided (RFC 8628 §3.4, §3.5). The first poll is sent
// at once, the next ones Interval after each answer and later when the server asks for
// it. Lost connections, 5xx and 429 are survived: such a poll is repeated after
// Retry-After, else after twice the interval, doubling up to a minute.
//
// The code's end is the server's to judge: the first poll that falls due after
// ExpiresAt is the last one. A poll that failed is repeated for up to a minute more,
// because an approval in the last moment is still redeemable then. A machine that slept
// polls at once when it wakes; one that slept past the code's end polls once more.
//
// ErrForgotten beside ErrExpired says that the server ended the code well before its
// time: it lost it, as one that keeps codes in memory does when it is started again.
//
// The errors are those of Token without ErrPending and ErrSlowDown. When ctx ends, Wait
// returns its error; a poll under way is first given 2 s, and the token is returned if
// it brings one, for nobody else could end it.
func (c *Client) Wait(ctx context.Context, a *Authorization) (*Token, error) {
	for {
		if err := sleepUntil(ctx, a.next); err != nil {
			return nil, err
		}
		troubled := a.failures > 0
		token, err := c.lingeringPoll(ctx, a)
		if troubled && !transient(err) && c.OnRecover != nil && ctx.Err() == nil {
			c.OnRecover()
		}
		if err == nil {
			return token, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		over := !time.Now().Round(0).Before(a.ExpiresAt)
		late := a.next.Round(0).After(a.ExpiresAt.Add(max(overtime, a.Interval)))
		switch {
		case errors.Is(err, ErrPending), errors.Is(err, ErrSlowDown):
			// A wall clock that was put right meanwhile ends nothing that the server still
			// knows: this end is measured by the clock that is never put right.
			if end := a.end(); !time.Now().Before(end) || a.next.After(end.Add(max(overtime, a.Interval))) {
				return nil, &Error{Err: ErrExpired}
			}
		case errors.Is(err, ErrExpired) && time.Until(a.ExpiresAt) > forgiven:
			return nil, fmt.Errorf("%w; %w", err, ErrForgotten)
		case !transient(err):
			return nil, err
		case over && late:
			return nil, fmt.Errorf("%w; the last poll: %w", &Error{Err: ErrExpired}, err)
		case late:
			return nil, err // the server asks to wait for longer than the code lives
		case c.OnRetry != nil:
			c.OnRetry(err, time.Until(a.next))
		}
	}
}

// end is when the code ends by the clock that nobody sets.
func (a *Authorization) end() time.Time {
	if a.awake.IsZero() {
		return a.ExpiresAt
	}
	return a.awake
}

// sleepUntil waits for an instant by either clock: timers stand still while the machine
// sleeps, and what is due then has long been due.
func sleepUntil(ctx context.Context, at time.Time) error {
	const look = 5 * time.Second
	for {
		left := min(time.Until(at), time.Until(at.Round(0)))
		if left <= 0 {
			return ctx.Err()
		}
		if err := sleep(ctx, min(left, look)); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lingeringPoll is Token under a context that outlives ctx by lastAnswer.
func (c *Client) lingeringPoll(ctx context.Context, a *Authorization) (*Token, error) {
	poll, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = sleep(poll, lastAnswer)
		cancel()
	})
	defer stop()
	return c.Token(poll, a)
}

func parseToken(status int, body []byte) (*Token, error) {
	var answer struct {
		Error       string      `json:"error"`
		AccessToken string      `json:"access_token"`
		TokenType   string      `json:"token_type"`
		ExpiresIn   int64       `json:"expires_in"`
		ExpiresAt   string      `json:"expires_at"`
		Scope       string      `json:"scope"`
		SubjectType string      `json:"subject_type"`
		Account     *Account    `json:"account"`
		Email       string      `json:"subject_email"`
		Issuer      string      `json:"subject_issuer"`
		Workspaces  []Workspace `json:"workspaces"`
		Default     string      `json:"default_workspace_id"`
		ID          string      `json:"token_id"`
	}
	switch err := json.Unmarshal(body, &answer); {
	case err != nil, answer.Error != "":
		return nil, badAnswer(status, "it is not the JSON of a token")
	case !plainText(answer.AccessToken, 4096):
		return nil, badAnswer(status, "it has no token")
	case answer.TokenType != "" && !strings.EqualFold(answer.TokenType, "Bearer"):
		return nil, badAnswer(status, "its token is no bearer token")
	}
	t := &Token{
		Access: NewSecret(answer.AccessToken), ID: answer.ID, Scope: answer.Scope, SubjectType: answer.SubjectType,
		Account: answer.Account, Email: answer.Email, Issuer: answer.Issuer, Workspaces: answer.Workspaces, DefaultWorkspaceID: answer.Default,
	}
	// A date in another form is no reason to lose the token.
	t.ExpiresAt, _ = time.Parse(time.RFC3339, answer.ExpiresAt)
	if answer.ExpiresIn > 0 { // unlike the instant it does not need equal clocks
		const most = 10 * 365 * 24 * 60 * 60
		t.ExpiresAt = time.Now().Add(time.Duration(min(answer.ExpiresIn, most)) * time.Second)
	}
	if t.Account != nil {
		t.Email = t.Account.Email
	}
	return t, nil
}
