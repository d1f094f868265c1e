// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/authz"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/fault"
	pagekit "github.com/dify-sso/dify-sso/pkg/page"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// pagePolicy is the content security policy of every page: nothing inline, nothing
// from elsewhere, no frame.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// permissionsPolicy denies what no page of ours uses.
const permissionsPolicy = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), payment=(), usb=()"

// pageGuard finds out who looks: a session, or a pre-session that a form's token is
// bound to. Before the set-up every page leads there.
func (a *api) pageGuard(c *fiber.Ctx) error {
	at, err := a.Installation.SetUpAt(c.UserContext())
	if err != nil {
		return err
	}
	if at == nil && c.Path() != "/setup" {
		return a.redirect(c, "/setup")
	}
	s, err := a.Console.Authenticate(c.UserContext(), a.cookie(c, sessionCookie))
	switch {
	case err == nil:
		a.enter(c, s)
	case errors.Is(err, console.ErrUnauthorized):
		if value := a.cookie(c, presessionCookie); len(value.Reveal()) == presessionLength {
			c.Locals(binderKey, secret.DigestOf(value.Reveal()))
		}
	default:
		return err
	}
	return c.Next()
}

const presessionLength = 43 // base64url of 32 bytes

// signedPageGuard sends those who are not signed in to sign in, and back.
func (a *api) signedPageGuard(c *fiber.Ctx) error {
	if signed(c) != nil {
		return c.Next()
	}
	target := "/"
	if c.Method() == http.MethodGet {
		target = string(c.Request().RequestURI())
	}
	return a.redirect(c, "/signin?return_to="+url.QueryEscape(returnTarget(target)))
}

// render answers with a page. Before sign-in it hands out the pre-session that its
// form needs.
func (a *api) render(c *fiber.Ctx, status int, v webui.View) error {
	f := webui.Frame{Lang: a.language(c), RequestID: server.RequestID(c), Now: a.Now(), ReturnTo: "/"}
	_, external := v.(webui.AuthorizeSSO) // whose person is not whom a console session belongs to
	if s := signed(c); s != nil && !external {
		f.Account = &webui.Person{Name: s.Account.Name, Email: s.Account.Email}
	}
	f.Switch = a.otherLanguage(c, f.Lang)
	if view, ok := v.(webui.DeviceAuthorize); ok {
		f.ReturnTo = "/device?user_code=" + view.UserCode
	}
	if hasForm(v) || f.Account != nil {
		f.CSRFToken = a.formToken(c)
	}

	var out bytes.Buffer
	if err := a.UI.Render(&out, f, v); err != nil {
		return fault.ErrInternal.Because(err)
	}
	c.Set(fiber.HeaderContentSecurityPolicy, pagePolicy)
	c.Set(fiber.HeaderPragma, "no-cache")
	c.Set(fiber.HeaderReferrerPolicy, "strict-origin")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.Set("Permissions-Policy", permissionsPolicy)
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.Status(status).Send(out.Bytes())
}

// hasForm tells the pages before a sign-in that post something. The others draw no
// pre-session: they would take it from a form that is open in another tab.
func hasForm(v webui.View) bool {
	switch v.(type) {
	case webui.DeviceOutcome, webui.InviteSignIn, webui.Declined, webui.Failure,
		webui.Chooser, webui.SSOChoose, webui.SSOContinue, webui.SSOError, webui.AuthorizeSSO: // whose tokens are not the session's
		return false
	}
	return true
}

// formToken gives the CSRF token of the session, or of a pre-session that is drawn
// where there is none yet.
func (a *api) formToken(c *fiber.Ctx) string {
	binder, _ := c.Locals(binderKey).(secret.Digest)
	if binder.IsZero() {
		value := secret.Random()
		binder = secret.DigestOf(value)
		c.Locals(binderKey, binder)
		a.setCookie(c, presessionCookie, value, presessionLife, false)
	}
	return a.Console.CSRFToken(binder)
}

// language is asked for by ?lang=, which is remembered, then by the browser.
func (a *api) language(c *fiber.Ctx) string {
	asked := c.Query("lang")
	lang := pagekit.Language(asked, a.cookie(c, langCookie).Reveal(), c.Get(fiber.HeaderAcceptLanguage))
	if asked == lang {
		a.setCookie(c, langCookie, lang, langLife, false)
	}
	return lang
}

// kept are the parameters that a page keeps when its language changes.
var kept = []string{"user_code", "return_to", "outcome", "kind", "id", "page"}

// formPages are the pages that show a form whose address takes no GET of its own.
var formPages = map[string]string{
	"/device/authorize": "/device", "/signout": "/signin", "/account/sessions/end": "/account/sessions", "/account/security/end": "/account/security",
	"/workspace/members/edit": membersPath, "/workspace/members/remove": membersPath, "/workspace/switch": membersPath,
}

// otherLanguage is this page's address in the other language. What a form has posted
// is not asked again, but where a sign-in leads to is kept.
func (a *api) otherLanguage(c *fiber.Ctx, lang string) string {
	q := url.Values{"lang": {pagekit.Chinese}}
	if lang == pagekit.Chinese {
		q.Set("lang", pagekit.English)
	}
	path := c.Path()
	switch {
	case strings.HasPrefix(path, devicePath+"/"): // its cookies say the rest
		if c.Method() != http.MethodGet {
			path = approvalPath
		}
	case c.Method() == http.MethodGet:
		for _, name := range kept {
			if v := c.Query(name); v != "" {
				q.Set(name, v)
			}
		}
		if link := c.Query("token"); path == "/activate" && link != "" {
			q.Set("token", link)
		}
		if path == "/device" {
			keptOfSSO(c, q)
		}
	default:
		if page, ok := formPages[path]; ok {
			path = page
		}
		if target := returnTarget(field(c, "return_to")); path == "/signin" && target != "/" {
			q.Set("return_to", target)
		}
		if link := field(c, "token"); path == "/activate" && link != "" {
			q.Set("token", link)
		}
	}
	return (&url.URL{Path: "/" + strings.TrimLeft(path, "/"), RawQuery: q.Encode()}).String()
}

// failurePage writes a failure of a page route.
func (a *api) failurePage(c *fiber.Ctx, f *fault.Error) error {
	view := webui.Failure{Kind: webui.Server}
	if kind, ok := workspaceFailure(f); ok {
		view.Kind = kind
		return a.render(c, server.Status(f.Kind()), view)
	}
	switch f.Kind() {
	case fault.NotFound, fault.MethodNotAllowed:
		view.Kind = webui.NotFound
		a.recognise(c)
	case fault.Forbidden:
		view.Kind = webui.Forbidden
		if errors.Is(f, console.ErrCSRFMismatch) {
			view.Kind = webui.OutOfDate
		}
	case fault.TooMany:
		view.Kind, view.Wait = webui.TooMany, server.RetrySeconds(f.Retry())
	case fault.Internal, fault.Unavailable:
		if errors.Is(f, authz.ErrDisabled) {
			view.Kind = webui.Disabled
		}
	default:
		view.Kind = webui.BadRequest
	}
	return a.render(c, server.Status(f.Kind()), view)
}

// workspaceFailure names the refusals of workspaces and invitations that have words of
// their own.
func workspaceFailure(f *fault.Error) (webui.FailureKind, bool) {
	switch {
	case errors.Is(f, workspace.ErrInvitationNotFound):
		return webui.InviteDead, true
	case errors.Is(f, workspace.ErrRole):
		return webui.RoleTooSmall, true
	case errors.Is(f, workspace.ErrSelf), errors.Is(f, workspace.ErrOwner):
		return webui.NotChangeable, true
	}
	return "", false
}

// recognise finds out who asked for an address that no route takes, for the page
// around the failure. Not knowing is no failure of its own.
func (a *api) recognise(c *fiber.Ctx) {
	if signed(c) != nil {
		return
	}
	if s, err := a.Console.Authenticate(c.UserContext(), a.cookie(c, sessionCookie)); err == nil {
		a.enter(c, s)
	}
}

// isPageRequest tells a browser's address bar from a client by what it asks for.
func isPageRequest(c *fiber.Ctx) bool {
	for _, prefix := range []string{"/openapi/", "/console/api/", "/inner/", "/.well-known/", "/v1/", "/static/"} {
		if strings.HasPrefix(c.Path(), prefix) {
			return false
		}
	}
	return strings.Contains(c.Get(fiber.HeaderAccept), fiber.MIMETextHTML)
}

// returnTarget lets through an address that a sign-in may lead to: a path of ours,
// from a short list, and / otherwise.
func returnTarget(s string) string {
	const fallback = "/"
	if len(s) > 512 || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\") {
		return fallback
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return fallback
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || u.Fragment != "" || u.Path != u.EscapedPath() || strings.Contains(u.Path, "//") || strings.Contains(u.Path, "/.") {
		return fallback
	}
	if u.Path == "/device" {
		q := u.Query()
		if u.RawQuery != "" && (len(q) != 1 || len(q["user_code"]) != 1) {
			return fallback
		}
		return u.String()
	}
	if strings.HasPrefix(u.Path, "/account/") || strings.HasPrefix(u.Path, "/workspace/") {
		return u.String()
	}
	return fallback
}

func (a *api) rootPage(c *fiber.Ctx) error {
	if signed(c) != nil {
		return a.redirect(c, "/account/sessions")
	}
	return a.redirect(c, "/signin")
}

// staticFile serves an embedded file by its fixed name.
func (a *api) staticFile(c *fiber.Ctx) error {
	asset, ok := webui.Static(c.Params("name"))
	if !ok {
		return server.ErrNotFound
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=300")
	c.Set(fiber.HeaderETag, asset.ETag)
	if c.Get(fiber.HeaderIfNoneMatch) == asset.ETag {
		return c.SendStatus(http.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, asset.Type)
	return c.Send(asset.Content)
}

// redirect answers 303: the next request is a GET, whatever this one was.
func (a *api) redirect(c *fiber.Ctx, target string) error {
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	return c.Redirect(target, http.StatusSeeOther)
}
