// SPDX-License-Identifier: Apache-2.0

package monitored

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// live has people and devices do everything that is counted, round after round until ctx
// ends. A round that fails is told, and the next one begins.
func (in *installation) live(ctx context.Context, t *testing.T) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		v := visitor.New("http://"+in.core, nil)
		signedIn := false
		said := map[string]int{}
		pace := time.NewTicker(500 * time.Millisecond) // leaves the machine to others
		defer pace.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			select {
			case <-in.serving.Ended:
				t.Errorf("core has ended: %s\n%s", in.serving.Cmd.ProcessState, last(in.serving.Said.String()))
				return
			case <-ctx.Done():
				return
			case <-pace.C:
			}
			if !signedIn {
				signedIn = v.SignIn(ctx, email, password) == nil
			}
			for what, do := range map[string]func() error{
				"a device": func() error { return in.device(ctx, v) },
				"a person of the company": func() error {
					return in.company(ctx, v, [][2]string{{"connection=dev", "alice"}, {"connection=dev-saml", "bob"}, {"connection=dev", "alice"}, {"connection=dev", "alice"}, {"connection=dev", "expired"}, {"connection=dev", "alice"}}[n%6])
				},
				"a wrong password": func() error {
					return refused(v.SignIn(ctx, "mallory@example.com", "not the password"), http.StatusUnauthorized, http.StatusTooManyRequests)
				},
			} {
				if err := do(); err != nil && ctx.Err() == nil {
					if said[what]++; said[what] < 4 { // of a store that was stopped, or of a machine that is busy
						t.Logf("%s: %v", what, err)
					}
				}
			}
		}
	}()
	return done
}

// refused takes a refusal of one of these for what was to come.
func refused(err error, want ...int) error {
	for _, status := range want {
		if r, ok := err.(*visitor.Refusal); ok && r.Status == status { //nolint:errorlint // it is not wrapped
			return nil
		}
	}
	return fmt.Errorf("not refused by %v: %w", want, err)
}

// device signs one in, reads, runs both apps, and ends its token.
func (in *installation) device(ctx context.Context, v *visitor.Visitor) error {
	token, err := v.Login(ctx, "laptop")
	if err != nil {
		return err
	}
	for range 3 {
		if err := v.Get(ctx, token, "/openapi/v1/account", nil); err != nil {
			return err
		}
	}
	for _, app := range []string{in.app, in.echo} {
		if err := in.run(ctx, token, app); err != nil {
			return err
		}
	}
	if err := v.Logout(ctx, token); err != nil {
		return err
	}
	return refused(v.Get(ctx, token, "/openapi/v1/account", nil), http.StatusUnauthorized)
}

func (in *installation) run(ctx context.Context, token, app string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+in.core+"/openapi/v1/apps/"+app+"/run", strings.NewReader(`{"inputs":{},"query":"hello"}`))
	if err != nil {
		return err
	}
	r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	answer, err := (&http.Client{Timeout: time.Minute}).Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("a run: %d %w", answer.StatusCode, err)
	}
	return nil
}

// company signs somebody in by a connection, or sees them refused.
func (in *installation) company(ctx context.Context, v *visitor.Visitor, who [2]string) error {
	code, err := v.Begin(ctx, "phone")
	if err != nil {
		return err
	}
	b := newBrowser()
	if err := b.ask(ctx, http.MethodGet, "http://"+in.core+"/device", nil); err != nil {
		return err
	}
	if err := b.submit(ctx, "/device", "user_code", code.UserCode); err != nil {
		return err
	}
	if err := b.click(ctx, "sso-initiate"); err != nil {
		return err
	}
	if err := b.click(ctx, who[0]); err != nil {
		return err
	}
	if err := b.submit(ctx, `name="person"`, "person", who[1]); err != nil {
		return err
	}
	if strings.Contains(b.body, "SAMLResponse") {
		if err := b.submit(ctx, "SAMLResponse", "", ""); err != nil {
			return err
		}
	}
	if who[1] == "expired" {
		return nil
	}
	if err := b.submit(ctx, "approve-external", "", ""); err != nil {
		return err
	}
	_, err = v.Poll(ctx, code)
	return err
}

// last are the lines that say why a process has ended.
func last(text string) string { return text[max(0, len(text)-4000):] }
