// SPDX-License-Identifier: Apache-2.0

package visitor_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/dify-sso/dify-sso/test/deploy/process"
	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

func TestMain(m *testing.M) { process.Main(m) }

// One sign-in from nothing: what the other packages build on.
func TestAVisitorSignsInAndOut(t *testing.T) {
	core := process.Program(t, "core")
	public, inner := process.Free(t, "127.0.0.1"), process.Free(t, "127.0.0.1")
	environ := []string{"DATA_DIR=" + t.TempDir(), "LISTEN=" + public, "INNER_LISTEN=" + inner, "CONSOLE_API_URL=http://" + public}
	const email, password = "ada@example.com", "correct horse battery"
	process.Do(t, environ, password+"\n", core, "admin", "create-owner", "--email", email, "--name", "Ada", "--workspace", "Analytical", "--password-file", "-")
	process.Start(t, environ, core, "serve").Until("http://" + inner + "/readyz")

	ctx := context.Background()
	v := visitor.New("http://"+public, nil)
	if err := v.SignIn(ctx, email, password); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(ctx, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(ctx, token, "/openapi/v1/account", nil); err != nil {
		t.Fatal(err)
	}
	if err := v.Logout(ctx, token); err != nil {
		t.Fatal(err)
	}
	var refused *visitor.Refusal
	if err := v.Get(ctx, token, "/openapi/v1/account", nil); !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("a token that was ended: %v", err)
	}
}
