// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/access"
	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/core/internal/installation"
	"github.com/dify-sso/dify-sso/core/internal/limits"
	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/core/internal/sso"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/backup"
	"github.com/dify-sso/dify-sso/pkg/clientip"
	"github.com/dify-sso/dify-sso/pkg/envelope"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// failures is every sentinel that may reach the one writer of failures.
var failures = map[string]*fault.Error{
	"access.ErrTarget": access.ErrTarget, "access.ErrStatus": access.ErrStatus, "access.ErrLastAdministrator": access.ErrLastAdministrator,
	"access.ErrEmailTaken": access.ErrEmailTaken, "access.ErrNotActive": access.ErrNotActive, "operator.ErrPassword": operator.ErrPassword,
	"account.ErrNotFound": account.ErrNotFound, "account.ErrBusy": account.ErrBusy,
	"apps.ErrNotFound": apps.ErrNotFound, "apps.ErrAccessDenied": apps.ErrAccessDenied, "apps.ErrAPIDisabled": apps.ErrAPIDisabled, "apps.ErrInvalid": apps.ErrInvalid,
	"run.ErrUnavailable": run.ErrUnavailable, "run.ErrKeyRejected": run.ErrKeyRejected, "run.ErrTimeout": run.ErrTimeout,
	"run.ErrUnsupported": run.ErrUnsupported, "run.ErrQuota": run.ErrQuota, "run.ErrBusy": run.ErrBusy,
	"run.ErrRefused": run.ErrRefused, "run.ErrAppUnavailable": run.ErrAppUnavailable,
	"run.ErrConversationOver": run.ErrConversationOver, "run.ErrNoProvider": run.ErrNoProvider, "run.ErrProviderQuota": run.ErrProviderQuota,
	"run.ErrModel": run.ErrModel, "run.ErrCompletion": run.ErrCompletion, "run.ErrFormData": run.ErrFormData,
	"run.ErrFormSubmitted": run.ErrFormSubmitted, "run.ErrFormExpired": run.ErrFormExpired, "run.ErrFormNotFound": run.ErrFormNotFound,
	"run.ErrNoFile": run.ErrNoFile, "run.ErrManyFiles": run.ErrManyFiles, "run.ErrNoFileName": run.ErrNoFileName, "run.ErrFileName": run.ErrFileName,
	"run.ErrFileBlocked": run.ErrFileBlocked, "run.ErrNoImport": run.ErrNoImport,
	"run.ErrNoConversation": run.ErrNoConversation, "run.ErrNoWorkflowRun": run.ErrNoWorkflowRun, "run.ErrFileTooLarge": run.ErrFileTooLarge,
	"run.ErrFileType": run.ErrFileType, "run.ErrNotConfigured": run.ErrNotConfigured, "run.ErrQueryRequired": run.ErrQueryRequired,
	"run.ErrQueryRefused": run.ErrQueryRefused, "run.ErrNotRunnable": run.ErrNotRunnable, "run.ErrNoReconnect": run.ErrNoReconnect,
	"authz.ErrUnauthorized": authz.ErrUnauthorized, "authz.ErrAmbiguous": authz.ErrAmbiguous,
	"authz.ErrWrongSurface": authz.ErrWrongSurface, "authz.ErrDisabled": authz.ErrDisabled, "authz.ErrInsufficientScope": authz.ErrInsufficientScope,
	"console.ErrUnauthorized": console.ErrUnauthorized, "console.ErrInvalidCredentials": console.ErrInvalidCredentials,
	"console.ErrSessionNotFound": console.ErrSessionNotFound, "console.ErrUnknown": console.ErrUnknown,
	"console.ErrOriginNotAllowed": console.ErrOriginNotAllowed, "console.ErrCSRFMismatch": console.ErrCSRFMismatch,
	"devicegrant.ErrUserCodeTaken": devicegrant.ErrUserCodeTaken, "devicegrant.ErrFull": devicegrant.ErrFull,
	"devicegrant.ErrNotFound": devicegrant.ErrNotFound, "devicegrant.ErrAlreadyResolved": devicegrant.ErrAlreadyResolved,
	"devicegrant.ErrAuthorizationPending": devicegrant.ErrAuthorizationPending, "devicegrant.ErrSlowDown": devicegrant.ErrSlowDown,
	"devicegrant.ErrExpiredToken": devicegrant.ErrExpiredToken, "devicegrant.ErrAccessDenied": devicegrant.ErrAccessDenied,
	"devicegrant.ErrInvalidGrant": devicegrant.ErrInvalidGrant, "devicegrant.ErrUnsupportedClient": devicegrant.ErrUnsupportedClient,
	"devicegrant.ErrUserCodeExhausted": devicegrant.ErrUserCodeExhausted,
	"httpapi.errUnsupportedGrantType":  errUnsupportedGrantType, "httpapi.errInvalidClient": errInvalidClient, "httpapi.errInvalidParam": errInvalidParam,
	"httpapi.errWorkspaceMismatch": errWorkspaceMismatch,
	"envelope.ErrInnerMissing":     envelope.ErrInnerMissing, "envelope.ErrInnerInvalid": envelope.ErrInnerInvalid,
	"envelope.ErrInnerMismatch": envelope.ErrInnerMismatch, "envelope.ErrInnerReplayed": envelope.ErrInnerReplayed,
	"httpapi.errInnerKey":      errInnerKey,
	"installation.ErrNotSetUp": installation.ErrNotSetUp, "installation.ErrAlreadySetUp": installation.ErrAlreadySetUp,
	"operator.ErrInvalid": operator.ErrInvalid, "operator.ErrNoAccount": operator.ErrNoAccount, "backup.ErrNotEmbedded": backup.ErrNotEmbedded,
	"operator.ErrNoApp": operator.ErrNoApp, "operator.ErrManyApps": operator.ErrManyApps, "operator.ErrAppExists": operator.ErrAppExists,
	"installation.ErrSetupCodeWrong": installation.ErrSetupCodeWrong, "limits.ErrTooMany": limits.ErrTooMany,
	"token.ErrInvalid": token.ErrInvalid, "token.ErrSessionNotFound": token.ErrSessionNotFound, "token.ErrUnknown": token.ErrUnknown,
	"token.ErrOtherClient": token.ErrOtherClient,
	"token.ErrHashTaken":   token.ErrHashTaken, "token.ErrCommitUnknown": token.ErrCommitUnknown,
	"sso.ErrNotConfigured": sso.ErrNotConfigured, "sso.ErrConnectionUnknown": sso.ErrConnectionUnknown, "sso.ErrUnroutable": sso.ErrUnroutable,
	"sso.ErrChoiceRequired": sso.ErrChoiceRequired, "sso.ErrAttemptNotFound": sso.ErrAttemptNotFound, "sso.ErrSilent": sso.ErrSilent,
	"sso.ErrNoSession": sso.ErrNoSession, "sso.ErrInvalidSession": sso.ErrInvalidSession, "sso.ErrCodeMismatch": sso.ErrCodeMismatch,
	"sso.ErrConfirmationRequired": sso.ErrConfirmationRequired, "sso.ErrCodeGone": sso.ErrCodeGone, "sso.ErrCodeResolved": sso.ErrCodeResolved,
	"sso.ErrEmailIsAccount": sso.ErrEmailIsAccount, "sso.ErrIdentityLinked": sso.ErrIdentityLinked,
	"fault.ErrInternal": fault.ErrInternal, "fault.ErrUnavailable": fault.ErrUnavailable,
	"server.ErrNotFound": server.ErrNotFound, "server.ErrMethodNotAllowed": server.ErrMethodNotAllowed, "server.ErrBadRequest": server.ErrBadRequest,
	"server.ErrTooLarge": server.ErrTooLarge, "server.ErrHeaderTooLarge": server.ErrHeaderTooLarge, "server.ErrUnsupportedMedia": server.ErrUnsupportedMedia,
	"server.ErrNotHTTPS":    server.ErrNotHTTPS,
	"wire.ErrInvalidJSON":   wire.ErrInvalidJSON,
	"workspace.ErrNotFound": workspace.ErrNotFound, "workspace.ErrRole": workspace.ErrRole, "workspace.ErrMemberNotFound": workspace.ErrMemberNotFound,
	"workspace.ErrSelf": workspace.ErrSelf, "workspace.ErrOwner": workspace.ErrOwner, "workspace.ErrRoleUnchanged": workspace.ErrRoleUnchanged,
	"workspace.ErrAlreadyMember": workspace.ErrAlreadyMember, "workspace.ErrEmailIsExternal": workspace.ErrEmailIsExternal,
	"workspace.ErrMemberLimit": workspace.ErrMemberLimit, "workspace.ErrInvitationNotFound": workspace.ErrInvitationNotFound,
}

// TestFailuresListIsComplete reads the sources for sentinels that the list lacks.
func TestFailuresListIsComplete(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^(?:var|\t)\s*([A-Za-z]+)\s*=\s*(?:fault\.)?(?:New|Verdict)\((?:fault\.)?(?:[A-Z][A-Za-z]+), "`)
	found := map[string]bool{}
	for _, root := range []string{"..", "../../../pkg"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == "control" {
				return filepath.SkipDir // the socket has a writer of its own, and its failures are not ours to name
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			for _, m := range declared.FindAllSubmatch(src, -1) {
				dir, _ := filepath.Abs(filepath.Dir(path))
				found[filepath.Base(dir)+"."+string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 40 {
		t.Fatalf("only %d sentinels found: %v", len(found), found)
	}
	for name := range found {
		if failures[name] == nil {
			t.Errorf("%s has no line in the golden table", name)
		}
	}
	for name := range failures {
		if !found[name] {
			t.Errorf("%s is listed and not declared", name)
		}
	}
}

func newFrame(t *testing.T, log io.Writer) *fiber.App {
	t.Helper()
	app, err := server.New(server.Config{Log: slog.New(slog.NewJSONHandler(log, nil)), Now: time.Now, Addresses: clientip.New(nil)})
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// askFor lets a route of a shape fail and gives its answer.
func askFor(t *testing.T, shape server.Shape, err error) (status int, header http.Header, body string) {
	t.Helper()
	app := newFrame(t, io.Discard)
	app.Get("/x", server.Enter(server.Route{Pattern: "/x", Shape: shape, Challenge: (&api{public: "https://sso.example.com"}).challenge(bearer)}), func(*fiber.Ctx) error { return err })
	res, failed := app.Test(httptest.NewRequest(http.MethodGet, "/x", nil), -1)
	if failed != nil {
		t.Fatal(failed)
	}
	defer func() { _ = res.Body.Close() }()
	content, failed := io.ReadAll(res.Body)
	if failed != nil {
		t.Fatal(failed)
	}
	return res.StatusCode, res.Header, string(content)
}

// Every sentinel is written alike wherever it comes from. The file is for a reader of
// the protocol too.
func TestFailuresOnTheWire(t *testing.T) {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		cause := errors.New("cause-canary 10.9.8.7:5432")
		fmt.Fprintf(&out, "%s\n", name)
		for _, shape := range []struct {
			name string
			of   server.Shape
		}{{"canonical", server.Canonical}, {"oauth", server.OAuth}, {"decision", server.Decision}} {
			status, header, body := askFor(t, shape.of, fmt.Errorf("wrapped: %w", failures[name].Because(cause)))
			line := fmt.Sprintf("  %-9s %d %s", shape.name, status, body)
			for _, h := range []string{"Retry-After", "Www-Authenticate", "Pragma"} {
				if v := header.Get(h); v != "" {
					line += fmt.Sprintf("  [%s: %s]", h, v)
				}
			}
			if strings.Contains(line, "cause-canary") || strings.Contains(fmt.Sprint(header), "cause-canary") {
				t.Errorf("%s shows its cause: %s %v", name, line, header)
			}
			out.WriteString(line + "\n")
		}
	}
	wantGolden(t, "failures.golden", out.Bytes())
}

func wantGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; after a look at the difference run this test with -update\n%s", path, got)
	}
}

func TestTextsFrom500OnAreFixed(t *testing.T) {
	texts := map[string]string{}
	for name, f := range failures {
		if server.Status(f.Kind()) < http.StatusInternalServerError {
			continue
		}
		t.Run("M-6 HTTP-16 "+name, func(t *testing.T) {
			if have, ok := texts[f.Code()]; ok && have != f.Text() {
				t.Errorf("%s says %q and %q", f.Code(), have, f.Text())
			}
			texts[f.Code()] = f.Text()
		})
	}
}

func TestFailuresWithMore(t *testing.T) {
	detailed := server.ErrBadRequest.Detailed(fault.Detail{Type: "missing", Loc: []any{"items", 0, "name"}, Msg: "is required"}).Hinted("Send a name.")
	for _, tc := range []struct {
		name  string
		shape server.Shape
		err   error
		want  string
	}{
		{"M-8 hint and details", server.Canonical, detailed,
			`{"code":"bad_request","message":"Request validation failed","status":400,"hint":"Send a name.","details":[{"type":"missing","loc":["items",0,"name"],"msg":"is required"}]}`},
		{"M-8 the same in OAuth", server.OAuth, detailed,
			`{"code":"bad_request","message":"Request validation failed","status":400,"hint":"Send a name.","details":[{"type":"missing","loc":["items",0,"name"],"msg":"is required"}],"error":"invalid_request"}`},
		{"M-6 HTTP-16 what nobody classified", server.Canonical, errors.New("dial tcp 10.9.8.7:5432: /var/lib/x"),
			`{"code":"internal_server_error","message":"Something went wrong on our side.","status":500}`},
		{"M-6 HTTP-16 what nobody classified, in OAuth", server.OAuth, errors.New("dial tcp 10.9.8.7:5432: /var/lib/x"),
			`{"code":"internal_server_error","message":"Something went wrong on our side.","status":500,"error":"server_error"}`},
		{"HTTP-16 the framework's own words", server.Canonical, fiber.NewError(http.StatusNotFound, "Cannot GET /secret-path"),
			`{"code":"not_found","message":"Nothing is here.","status":404}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, _, body := askFor(t, tc.shape, tc.err); body != tc.want {
				t.Errorf("\n%s instead of\n%s", body, tc.want)
			}
		})
	}
}
