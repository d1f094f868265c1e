// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/credentials"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/keyring"
)

// endTimeout bounds the requests that tidy up: what they end also ends by itself.
const endTimeout = 10 * time.Second

type login struct {
	*command
	noBrowser bool
	qr        bool
	label     string
}

func (c *command) login() *cobra.Command {
	l := &login{command: c}
	cmd := &cobra.Command{
		Use: "login", Short: "Sign in through a browser, on this machine or any other", Args: noArgs,
		Long: `login asks the server for a code and shows it with the address of a page. Whoever
is signed in there and types the code decides; then the token is kept: in the
keyring of this machine, or, where none answers, in a file that only you can read.

The code is for you alone: type only one that you have just asked for yourself.

A server or a network that is away for a while does not end the sign-in: login goes
on asking, less and less often, until the code ends.

With -o json stdout has two lines: {"event":"code",…} with user_code,
verification_uri and expires_at, then {"event":"signed_in",…}.`,
		Example: `  difyauth login --host https://sso.example.com
  difyauth login --qr
  difyauth login --no-browser --label "build server 7" --store file
  difyauth login --host http://127.0.0.1:5001 -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&l.noBrowser, "no-browser", false, "do not offer to open the page")
	cmd.Flags().BoolVar(&l.qr, "qr", false, "show the address as a QR code too, for a phone")
	cmd.Flags().StringVar(&c.keep, "store", "", "where the token is kept: keyring, file or auto (default auto, or DIFYAUTH_STORE)")
	cmd.Flags().StringVar(&l.label, "label", "", `name of this device in the list of devices (default "difyauth on <name of this machine>")`)
	return cmd
}

func (l *login) run(ctx context.Context) error {
	v, err := l.vault()
	if err != nil {
		return err
	}
	client, err := l.target(v)
	if err != nil {
		return err
	}
	if err := ready(v); err != nil {
		return err
	}
	if l.env("DIFYAUTH_TOKEN") != "" {
		l.warn("token_in_environment", "DIFYAUTH_TOKEN is set and goes before the sign-in: unset it to use this one")
	}
	auth, err := client.Start(ctx, l.deviceLabel())
	if err != nil {
		return leftover{": nobody is signed in", err}
	}
	token, err := l.wait(ctx, client, auth)
	if err != nil {
		left := ""
		if d := time.Until(auth.ExpiresAt); d > 0 {
			left = ", and the code " + auth.UserCode + " ends by itself in " + spell(d)
		}
		return leftover{": nobody is signed in" + left, err}
	}
	entry := credentials.Entry{
		Host: l.at, Token: token.Access, TokenID: token.ID, SubjectType: token.SubjectType, Email: token.Email, Issuer: token.Issuer,
		ExpiresAt: token.ExpiresAt, SignedInAt: time.Now(),
	}
	if ctx.Err() != nil { // Ctrl-C met the answer: a token that nobody keeps must not live
		if l.end(ctx, entry) != nil {
			return leftover{": it was allowed at that moment and could not be ended again, so end it at " + l.at + "/account/sessions", ctx.Err()}
		}
		return leftover{": it was allowed at that moment and was ended again", ctx.Err()}
	}
	kept, before, err := v.Keep(entry)
	if err != nil {
		if e := l.end(ctx, entry); e != nil {
			return told{code: "not_stored", text: fmt.Sprintf("the sign-in cannot be stored (%v) and could not be ended again: end it at %s/account/sessions", err, l.at)}
		}
		cure := "make room for it or set DIFYAUTH_CONFIG_DIR"
		if errors.Is(err, keyring.ErrUnavailable) {
			cure = "unlock the keyring, or leave out --store keyring"
		}
		return told{code: "not_stored", text: fmt.Sprintf("the sign-in cannot be stored (%v) and was ended again: %s, then run difyauth login again", err, cure)}
	}
	return l.signedIn(ctx, v, kept, before)
}

// ready refuses what could not be kept, before anybody is troubled.
func ready(v credentials.Vault) error {
	if _, err := v.Load(); err != nil {
		return err
	}
	if err := v.Writable(); err != nil {
		return unwritable{v.Dir, err}
	}
	if v.Mode != credentials.InKeyring {
		return nil
	}
	if _, err := v.Ring.Get("none"); err != nil && !errors.Is(err, keyring.ErrAbsent) {
		return told{code: "keyring", text: fmt.Sprintf("the keyring cannot be used (%s): unlock it, or leave out --store keyring", plain(err.Error()))}
	}
	return nil
}

// target gives the client of the server to sign in on.
func (l *login) target(v credentials.Vault) (*deviceauth.Client, error) {
	host, err := l.named(l.insecure)
	if err != nil {
		return nil, err
	}
	if host == "" {
		file, err := v.Load()
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
func (l *login) signedIn(ctx context.Context, v credentials.Vault, entry, before credentials.Entry) error {
	who := plain(entry.Email)
	if who == "" {
		who = "an account without an address"
	}
	if entry.Issuer != "" {
		who += " of " + plain(entry.Issuer)
	}
	if err := l.print(map[string]any{
		"event": "signed_in", "host": entry.Host, "email": entry.Email, "issuer": orNil(entry.Issuer), "subject_type": entry.SubjectType,
		"token_id": entry.TokenID, "expires_at": stamp(entry.ExpiresAt), "stored": entry.Kept,
	}, "Signed in as %s on %s\n%s\n", who, entry.Host, kept(v, entry)); err != nil {
		return err
	}
	if before.Host == "" || before.TokenID == entry.TokenID && entry.TokenID != "" { // rotated in place
		return nil
	}
	ended := !before.Token.IsZero() && l.end(ctx, before) == nil // zero: its keyring is silent
	if !ended {
		l.warn("earlier_sign_in", "the earlier sign-in of this machine as %s could not be ended: end it at %s/account/sessions", plain(before.Email), before.Host)
		return nil // this sign-in stands; the warning says what is left to do
	}
	if before.Email != entry.Email && l.output == "text" {
		_, err := fmt.Fprintf(l.Stdout, "The earlier sign-in as %s was ended.\n", plain(before.Email))
		return err
	}
	return nil
}

// kept says where the token is.
func kept(v credentials.Vault, e credentials.Entry) string {
	switch {
	case e.Kept == credentials.InKeyring:
		return "The token is kept in the keyring of this machine."
	case v.Mode == credentials.InFile:
		return "The token is kept in " + v.Path() + ", which only you can read."
	}
	return "The token is kept in " + v.Path() + ", which only you can read: no keyring answers here."
}

type waited struct {
	token *deviceauth.Token
	err   error
}

// wait shows the code and follows the polling until it ends. Everything is drawn from
// here, so that nothing is drawn twice at once.
func (l *login) wait(ctx context.Context, client *deviceauth.Client, auth *deviceauth.Authorization) (*deviceauth.Token, error) {
	troubles, backs, done := make(chan error), make(chan struct{}), make(chan waited, 1)
	over := make(chan struct{})
	defer close(over)
	client.OnRetry = func(err error, _ time.Duration) {
		select {
		case troubles <- err:
		case <-over:
		}
	}
	client.OnRecover = func() {
		select {
		case backs <- struct{}{}:
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
	what := allow
	draw := func() { s.waiting(what, time.Until(auth.ExpiresAt), hint) }
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
	for {
		select {
		case w := <-done:
			return w.token, w.err
		case <-ticks:
			draw()
		case err := <-troubles:
			now := retrying(err)
			again := strings.ToUpper(now[:1]) + now[1:] + ", trying again"
			if again == what {
				continue // said already: a log wants no line a minute
			}
			what = again
			s.clear()
			l.warn("retrying", "%s, trying again until the code ends", now)
			if s.live {
				draw()
			}
		case <-backs:
			what = allow
			s.clear()
			l.complain("notice", failure{Code: "answers_again", Message: "the server answers again"})
			if s.live {
				draw()
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
	if l.qr && !s.live {
		l.warn("no_qr", "a QR code needs a terminal: open the address instead")
	}
	if l.output == "json" {
		return l.print(map[string]any{
			"event": "code", "host": l.at, "user_code": auth.UserCode, "verification_uri": auth.VerificationURI,
			"verification_uri_complete": orNil(auth.VerificationURIComplete), "expires_at": stamp(auth.ExpiresAt),
		}, "")
	}
	s.code(auth.UserCode, auth.VerificationURI)
	if l.qr && s.live {
		uri := auth.VerificationURI
		if auth.VerificationURIComplete != "" { // the server's choice; the page asks to compare the code
			uri = auth.VerificationURIComplete
		}
		if drawn, ok := l.qrCode(uri); ok {
			_, err := fmt.Fprint(l.Stdout, "\n", drawn, "\n")
			return err
		}
		l.warn("no_qr", "the terminal is too narrow for a QR code: make it wider and run difyauth login --qr again, or open the address")
	}
	return nil
}

func retrying(err error) string {
	switch {
	case errors.Is(err, deviceauth.ErrUnreachable):
		return "the server does not answer"
	case errors.Is(err, deviceauth.ErrRateLimited):
		return "the server asks to wait"
	}
	return "the server is not available"
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
