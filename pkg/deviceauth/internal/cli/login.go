// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
)

// endTimeout bounds the requests that tidy up: what they end also ends by itself.
const endTimeout = 10 * time.Second

type login struct {
	*command
	noBrowser bool
	label     string
}

func (c *command) login() *cobra.Command {
	l := &login{command: c}
	cmd := &cobra.Command{
		Use: "login", Short: "Sign in through a browser, on this machine or any other", Args: noArgs,
		Long: `login asks the server for a code and shows it with the address of a page. Whoever
is signed in there and types the code decides; then the token is stored.

The code is for you alone: type only one that you have just asked for yourself.

With -o json stdout has two lines: {"event":"code",…} with user_code,
verification_uri and expires_at, then {"event":"signed_in",…}.`,
		Example: `  difyauth login --host https://sso.example.com
  difyauth login --no-browser --label "build server 7"
  difyauth login --host http://127.0.0.1:5001 -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&l.noBrowser, "no-browser", false, "do not offer to open the page")
	cmd.Flags().StringVar(&l.label, "label", "", `name of this device in the list of devices (default "difyauth on <name of this machine>")`)
	return cmd
}

func (l *login) run(ctx context.Context) error {
	client, err := l.target()
	if err != nil {
		return err
	}
	store, err := l.store()
	if err != nil {
		return err
	}
	if _, err := store.Load(); err != nil { // before anybody is troubled
		return err
	}
	if l.env("DIFYAUTH_TOKEN") != "" {
		l.warn("token_in_environment", "DIFYAUTH_TOKEN is set and goes before the sign-in: unset it to use this one")
	}
	auth, err := client.Start(ctx, l.deviceLabel())
	if err != nil {
		return err
	}
	token, err := l.wait(ctx, client, auth)
	if err != nil {
		return err
	}
	entry := credentials.Entry{
		Host: l.at, Token: token.Access, TokenID: token.ID, SubjectType: token.SubjectType, Email: token.Email, Issuer: token.Issuer,
		ExpiresAt: token.ExpiresAt, SignedInAt: time.Now(),
	}
	if ctx.Err() != nil { // Ctrl-C met the answer: a token that nobody keeps must not live
		_ = l.end(ctx, entry)
		return ctx.Err()
	}
	before, err := l.keep(store, entry)
	if err != nil {
		if e := l.end(ctx, entry); e != nil {
			return told{"not_stored", fmt.Sprintf("the sign-in cannot be stored (%v) and could not be ended again: end it at %s/account/sessions", err, l.at)}
		}
		return told{"not_stored", fmt.Sprintf("the sign-in cannot be stored (%v) and was ended again: make room for it or set DIFYAUTH_CONFIG_DIR, then run difyauth login again", err)}
	}
	return l.signedIn(ctx, entry, before)
}

// target gives the client of the server to sign in on.
func (l *login) target() (*deviceauth.Client, error) {
	host, err := l.named(l.insecure)
	if err != nil {
		return nil, err
	}
	if host == "" {
		store, err := l.store()
		if err != nil {
			return nil, err
		}
		file, err := store.Load()
		if err != nil {
			return nil, err
		}
		last, ok := file.Latest()
		if !ok {
			return nil, usagef("login needs a server: difyauth login --host https://your-server")
		}
		host, l.insecure = last.Host, true // allowed when it was stored
	}
	l.at = host
	return l.client(host, l.insecure), nil
}

func (l *login) deviceLabel() string {
	if l.label != "" {
		return l.label
	}
	if name, err := l.Hostname(); err == nil && name != "" {
		return clientID + " on " + name
	}
	return clientID
}

// keep stores the entry and gives the one that it replaces. The file is read anew: it may
// have changed while the person decided.
func (l *login) keep(store credentials.Store, entry credentials.Entry) (before credentials.Entry, err error) {
	file, err := store.Load()
	if err != nil {
		return before, err
	}
	before, _ = file.Of(entry.Host)
	return before, store.Save(file.With(entry))
}

// end ends a session on the server, whether or not ctx still lives.
func (c *command) end(ctx context.Context, e credentials.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	a, err := c.api(e)
	if err != nil {
		return err
	}
	err = a.EndSelf(ctx)
	if errors.Is(err, deviceauth.ErrUnauthorized) {
		return nil // it has ended already
	}
	return err
}

// signedIn names the account: whoever approved while signed in as somebody else sees it
// here. The earlier sign-in of this machine would live on with nobody to end it.
func (l *login) signedIn(ctx context.Context, entry, before credentials.Entry) error {
	who := plain(entry.Email)
	if who == "" {
		who = "an account without an address"
	}
	if entry.Issuer != "" {
		who += " of " + plain(entry.Issuer)
	}
	if err := l.print(map[string]any{
		"event": "signed_in", "host": entry.Host, "email": entry.Email, "issuer": orNil(entry.Issuer), "subject_type": entry.SubjectType,
		"token_id": entry.TokenID, "expires_at": stamp(entry.ExpiresAt),
	}, "Signed in as %s on %s\n", who, entry.Host); err != nil {
		return err
	}
	if before.Host == "" || before.TokenID == entry.TokenID && entry.TokenID != "" { // rotated in place
		return nil
	}
	if err := l.end(ctx, before); err != nil {
		l.warn("earlier_sign_in", "the earlier sign-in of this machine as %s could not be ended: end it at %s/account/sessions", plain(before.Email), before.Host)
		return nil //nolint:nilerr // this sign-in stands; the warning says what is left to do
	}
	if before.Email != entry.Email && l.output == "text" {
		_, err := fmt.Fprintf(l.Stdout, "The earlier sign-in as %s was ended.\n", plain(before.Email))
		return err
	}
	return nil
}

type waited struct {
	token *deviceauth.Token
	err   error
}

// wait shows the code and follows the polling until it ends. Everything is drawn from
// here, so that nothing is drawn twice at once.
func (l *login) wait(ctx context.Context, client *deviceauth.Client, auth *deviceauth.Authorization) (*deviceauth.Token, error) {
	type trouble struct {
		err  error
		wait time.Duration
	}
	troubles, done := make(chan trouble), make(chan waited, 1)
	over := make(chan struct{})
	defer close(over)
	client.OnRetry = func(err error, wait time.Duration) {
		select {
		case troubles <- trouble{err, wait}:
		case <-over:
		}
	}
	s := l.screen()
	defer s.clear()
	if err := l.show(s, auth); err != nil {
		return nil, err
	}
	var enters <-chan struct{}
	hint := ""
	if s.live && l.Keyboard && !l.noBrowser {
		enters, hint = l.enters(over), " Enter opens the page."
	}
	const allow = "Waiting for you to allow it there"
	what, until := allow, time.Time{}
	draw := func() {
		if time.Now().After(until) {
			what = allow
		}
		s.waiting(what, time.Until(auth.ExpiresAt), hint)
	}
	var ticks <-chan time.Time
	if s.live {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		ticks = t.C
	}
	if l.output == "text" {
		draw()
	}
	go func() {
		token, err := client.Wait(ctx, auth)
		done <- waited{token, err}
	}()
	told := map[string]bool{}
	for {
		select {
		case w := <-done:
			return w.token, w.err
		case <-ticks:
			draw()
		case t := <-troubles:
			what, until = retrying(t.err), time.Now().Add(t.wait)
			if s.live {
				draw()
			} else if !told[what] { // once: a log wants no line a minute
				told[what] = true
				l.warn("retrying", "%s", what)
			}
		case <-enters:
			s.up()
			if hint = ""; l.OpenBrowser(auth.VerificationURI) != nil {
				hint = " No browser could be opened."
			}
			draw()
		}
	}
}

// show prints the code for the person, or for the script that shows it to one.
func (l *login) show(s *screen, auth *deviceauth.Authorization) error {
	if l.output == "json" {
		return l.print(map[string]any{
			"event": "code", "host": l.at, "user_code": auth.UserCode, "verification_uri": auth.VerificationURI,
			"verification_uri_complete": orNil(auth.VerificationURIComplete), "expires_at": stamp(auth.ExpiresAt),
		}, "")
	}
	s.code(auth.UserCode, auth.VerificationURI)
	return nil
}

func retrying(err error) string {
	switch {
	case errors.Is(err, deviceauth.ErrUnreachable):
		return "The server does not answer, trying again"
	case errors.Is(err, deviceauth.ErrRateLimited):
		return "The server asks to wait, trying again"
	}
	return "The server is not available, trying again"
}

// enters reports each Enter. The goroutine may stay in its read until the process ends.
func (l *login) enters(over <-chan struct{}) <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		for lines := bufio.NewReader(l.Stdin); ; {
			if _, err := lines.ReadString('\n'); err != nil {
				return
			}
			select {
			case ch <- struct{}{}:
			case <-over:
				return
			}
		}
	}()
	return ch
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// stamp writes an instant as the API does.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}
