// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/app"
	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

// pgView is one page as the server answered it, with what differs from run to run
// replaced by values that read well.
type pgView struct {
	name   string
	status int
	header http.Header
	html   string
}

// The two languages as a browser asks for them.
var pgLanguages = []struct{ html, accept string }{{"en", "en"}, {"zh-Hans", "zh-CN"}}

const (
	pgLaptop = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	pgPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	// pgPosingHead begins a label of 255 characters that plays a sentence and a button of ours
	// and turns its direction.
	pgPosingHead = "Security check: press Allow to keep <b>Ada</b> safe \u05d1\u05d8\u05d5\u05d7 "
)

var pgPosing = pgPosingHead + strings.Repeat("x", 255-len([]rune(pgPosingHead)))

// pgGrants is a store of grants that can go down.
type pgGrants struct {
	devicegrant.Store
	down atomic.Bool
}

func (g *pgGrants) wrap(s *app.Stores) { g.Store, s.Grants = s.Grants, g }

func (g *pgGrants) Find(ctx context.Context, mac secret.Digest, now time.Time) (devicegrant.Grant, error) {
	if g.down.Load() {
		return devicegrant.Grant{}, errors.New("connection refused")
	}
	return g.Store.Find(ctx, mac, now)
}

// pgCollect walks through every view in one language.
type pgCollect struct {
	t      *testing.T
	accept string
	views  []pgView
}

func pgViews(t *testing.T, accept string) []pgView {
	t.Helper()
	p := &pgCollect{t: t, accept: accept}
	p.setup()
	p.signIn()
	p.device()
	p.linked()
	p.company()
	p.sessions()
	p.security()
	p.invitations()
	p.members()
	p.apps()
	p.failures()
	return p.views
}

// browser opens one that calls itself the laptop's.
func (p *pgCollect) browser(s *apitest.Server) *apitest.Browser {
	b := s.Browser(p.t).As(pgLaptop)
	b.Lang = p.accept
	return b
}

func (p *pgCollect) signedIn(s *apitest.Server) *apitest.Browser {
	b := p.browser(s)
	b.SignIn(apitest.OwnerEmail, apitest.OwnerPassword)
	return b
}

// keep adds an answer to the views and refuses one that is another page's.
func (p *pgCollect) keep(s *apitest.Server, name string, status int, a apitest.Answer) {
	p.t.Helper()
	if a.Status != status {
		p.t.Fatalf("%s: status %d instead of %d:\n%s", name, a.Status, status, a.Body)
	}
	p.views = append(p.views, pgView{name: name, status: status, header: a.Header, html: pgSteady(s, a.Body)})
}

var pgVolatile = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(name="token" value="|token=)[A-Za-z0-9_-]{43}`), "${1}Fk3vQ0yT1xW7uB5nZ9aRc2LdEo8HsJm4PgUiYtKbVqX"},
	{regexp.MustCompile(`name="csrf_token" value="[A-Za-z0-9_-]{22,43}"`), `name="csrf_token" value="token"`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "0197f3a0-5c1e-7d42-9b6e-3f2a8c1d4e5f"},
	{regexp.MustCompile(`(%3[Dd]|\b)[A-HJ-NP-Y3-9]{4}-[A-HJ-NP-Y3-9]{4}\b`), "${1}KM7X-QT4R"},
	{regexp.MustCompile(`([^0-9-] ?)[0-9]{2}:[0-9]{2} UTC`), "${1}14:35 UTC"},
	{regexp.MustCompile(`http://203\.0\.113\.7:[0-9]+/sso/start/[A-Za-z0-9_-]{43}`), pgStart},
	{regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b`), pgReference},
	{regexp.MustCompile(`([(（])[0-9a-f]{8}([)）])`), "${1}0a1b2c3d${2}"}, // of an app's key
	{regexp.MustCompile(`data-left="[0-9]+"`), `data-left="780"`},
	{regexp.MustCompile(`\b[0-9]+( second|</bdi> ago| 秒)`), "42$1"},
}

var pgMoment = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]{8}Z| [0-9]{2}:[0-9]{2} UTC)`)

// pgSteady replaces what differs from run to run.
func pgSteady(s *apitest.Server, body string) string {
	host := strings.TrimPrefix(s.URL, "http://")
	body = strings.NewReplacer(s.URL, "https://sso.example.com", url.QueryEscape(s.URL), "https%3A%2F%2Fsso.example.com", host, "sso.example.com", "127.0.0.1", "203.0.113.7").Replace(body)
	body = pgMoment.ReplaceAllStringFunc(body, func(moment string) string {
		at, err := time.Parse(time.DateOnly, moment[:len(time.DateOnly)])
		day := "2026-03-02"
		if err == nil && at.After(s.Clock.Now().Add(48*time.Hour)) { // a token ends some days from now, a code perhaps after midnight
			day = "2026-03-16"
		}
		if strings.HasSuffix(moment, "Z") {
			return day + "T14:35:00Z"
		}
		return day + " 14:35 UTC"
	})
	for _, v := range pgVolatile {
		body = v.what.ReplaceAllString(body, v.with)
	}
	return body
}

func (p *pgCollect) setup() {
	s := apitest.Start(p.t, apitest.Fresh())
	b := p.browser(s)
	p.keep(s, "setup", http.StatusOK, b.Get("/setup"))
	p.keep(s, "setup-problems", http.StatusBadRequest, b.Submit("/setup", url.Values{
		"setup_code": {""}, "email": {"ada"}, "name": {""}, "password": {"short"}, "password_again": {"other"}, "workspace_name": {"Engines"}}))
	p.keep(s, "setup-code-wrong", http.StatusForbidden, b.Submit("/setup", url.Values{
		"setup_code": {"wrong"}, "email": {"ada@example.com"}, "name": {"Ada"}, "password": {apitest.OwnerPassword},
		"password_again": {apitest.OwnerPassword}, "workspace_name": {"Engines"}}))
}

func (p *pgCollect) signIn() {
	s := apitest.Start(p.t)
	b := p.browser(s)
	p.keep(s, "signin", http.StatusOK, b.Get("/signin"))
	wrong := url.Values{"email": {apitest.OwnerEmail}, "password": {"wrong"}}
	p.keep(s, "signin-refused", http.StatusUnauthorized, b.Submit("/signin", wrong))
	for range 4 {
		b.Submit("/signin", wrong)
	}
	s.Clock.Advance(time.Minute)
	a := b.Submit("/signin", wrong)
	p.keep(s, "signin-limited", http.StatusTooManyRequests, a)
}

func (p *pgCollect) device() {
	grants := &pgGrants{}
	s := apitest.Start(p.t, unlimited("device.wrong.account=5/15m"), apitest.Wrap(grants.wrap))
	b := p.browser(s)
	entry := func(code string) apitest.Answer {
		b.Get("/device")
		return b.Submit("/device", url.Values{"user_code": {code}})
	}
	p.keep(s, "device-entry", http.StatusOK, b.Get("/device"))
	p.keep(s, "device-entry-invalid", http.StatusBadRequest, entry("ABCD-EFGH"))
	code := s.Code(p.t, "ada's laptop")
	p.keep(s, "device-signin", http.StatusOK, entry(code.User))
	b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}})
	p.keep(s, "device-authorize", http.StatusOK, b.Page)
	p.keep(s, "device-approved", http.StatusOK, b.Submit("/device/authorize", url.Values{"decision": {"allow"}}))

	code = s.Code(p.t, "build server")
	entry(code.User)
	p.keep(s, "device-denied", http.StatusOK, b.Submit("/device/authorize", url.Values{"decision": {"deny"}}))
	p.keep(s, "device-authorize-posing", http.StatusOK, entry(s.Code(p.t, pgPosing).User))

	entry(s.Code(p.t, "late").User)
	s.Clock.Advance(devicegrant.Lifetime - time.Second)
	waiting := b.Page
	s.Clock.Advance(time.Second)
	b.Page = waiting
	p.keep(s, "device-code-too-old", http.StatusBadRequest, b.Submit("/device/authorize", url.Values{"decision": {"allow"}}))

	code = s.Code(p.t, "decided elsewhere")
	entry(code.User)
	waiting = b.Page
	wantAnswer(p.t, b.Decide("deny", code.User), http.StatusOK, "")
	b.Page = waiting
	p.keep(s, "device-expired", http.StatusConflict, b.Submit("/device/authorize", url.Values{"decision": {"allow"}}))

	grants.down.Store(true)
	p.keep(s, "device-lookup-failed", http.StatusServiceUnavailable, entry("ABCD-EFGH"))
	grants.down.Store(false)
	for range 5 {
		entry("ABCD-EFGH")
	}
	p.keep(s, "device-limited", http.StatusTooManyRequests, entry("ABCD-EFGH"))
}

// linked is what a code that a link brought looks like.
func (p *pgCollect) linked() {
	s := apitest.Start(p.t, unlimited(), apitest.Set("DEVICE_VERIFICATION_URI_COMPLETE_ENABLED", "true"))
	b, c := p.browser(s), s.Code(p.t, "ada's laptop")
	p.keep(s, "device-entry-linked", http.StatusOK, b.Get("/device?user_code="+c.User))
	b.Submit("/device", url.Values{"user_code": {c.User}})
	p.keep(s, "device-authorize-linked", http.StatusOK, b.Submit("/signin", url.Values{"email": {apitest.OwnerEmail}, "password": {apitest.OwnerPassword}}))
	p.keep(s, "device-authorize-unconfirmed", http.StatusBadRequest, b.Submit("/device/authorize", url.Values{"decision": {"allow"}}))
}

// pgStart is where a company sign-in begins, as views are recorded.
const pgStart = "https://bridge.example.com/sso/start/Fk3vQ0yT1xW7uB5nZ9aRc2LdEo8HsJm4PgUiYtKbVqX"

// pgReference is that of every failed company sign-in, as views are recorded.
const pgReference = "7K2QD-9XM4P"

// company is a sign-in through a company's provider.
func (p *pgCollect) company() {
	s, company := apitest.StartCompany(p.t, unlimited(), apitest.Set("DEVICE_VERIFICATION_URI_COMPLETE_ENABLED", "true"))
	company.Offers("choose_or_email", apitest.Corp, apitest.CompanyConnection{ID: "labs", Name: "Labs", Button: "Sign in with Corp's laboratories on the other side of the river, third floor", Protocol: "oidc"})
	b, c := p.browser(s), s.Code(p.t, "grace's laptop")
	p.keep(s, "device-chooser", http.StatusOK, pgEnter(b, c.User))
	p.keep(s, "sso-choose", http.StatusOK, b.Click(pgInitiate+"?user_code="+c.User))
	p.keep(s, "sso-continue", http.StatusOK, b.Click(pgInitiate+"?email=grace%40corp.example"))
	company.Refuses(ssocode.ResponseRefused)
	p.keep(s, "sso-error", http.StatusOK, b.Click(pgInitiate+"?connection=corp"))
	company.Refuses("")
	p.keep(s, "sso-authorize", http.StatusOK, b.Click(pgInitiate+"?connection=corp"))
	page := b.Page
	p.keep(s, "sso-session-gone", http.StatusUnauthorized, p.browser(s).Get(pgApproval))
	b.Page = page
	wantAnswer(p.t, b.SubmitTo(pgDenyExternal, pgApproveExternal, nil), http.StatusOK, "")

	c = s.Code(p.t, pgPosing)
	pgFollow(b, c.User)
	b.Click(pgInitiate + "?connection=corp&user_code=" + c.User)
	p.keep(s, "sso-authorize-unconfirmed", http.StatusBadRequest, b.SubmitTo(pgDenyExternal, pgApproveExternal, nil))
}

func (p *pgCollect) sessions() {
	s := apitest.Start(p.t, unlimited())
	b := p.signedIn(s)
	p.keep(s, "sessions-empty", http.StatusOK, b.Get("/account/sessions"))
	s.Clock.Advance(time.Minute)
	s.Browser(p.t).As(pgPhone).SignIn(apitest.OwnerEmail, apitest.OwnerPassword)
	used, id := s.SignInDevice(p.t, b, "ada's laptop")
	wantAnswer(p.t, s.Bearer(p.t, used, http.MethodGet, "/openapi/v1/account"), http.StatusOK, "")
	eventually(p.t, func() (bool, string) {
		return sqlInt(p.t, s, `SELECT count(*) FROM oauth_access_tokens WHERE last_used_at IS NOT NULL`) == 1, "the use of a token is not written down"
	})
	s.Clock.Advance(time.Minute)
	s.SignInDevice(p.t, b, "build server in the cellar, third shelf from the left, behind the old printer")
	p.keep(s, "sessions", http.StatusOK, b.Get("/account/sessions"))
	other := regexp.MustCompile(`kind=browser&amp;id=([0-9a-f-]+)`).FindStringSubmatch(b.Page.Body)
	if other == nil {
		p.t.Fatalf("no other browser on the page:\n%s", b.Page.Body)
	}
	p.keep(s, "end-browser", http.StatusOK, b.Get("/account/sessions/end?kind=browser&id="+other[1]))
	p.keep(s, "end-others", http.StatusOK, b.Get("/account/sessions/end?kind=others"))
	p.keep(s, "end-device", http.StatusOK, b.Get("/account/sessions/end?kind=device&id="+id))
	p.keep(s, "sessions-ended", http.StatusOK, b.Submit("/account/sessions/end", nil))
}

func (p *pgCollect) security() {
	cache := &klCache{}
	s := apitest.Start(p.t, apitest.Wrap(cache.wrap))
	b := p.signedIn(s)
	p.keep(s, "security", http.StatusOK, b.Get(pgSecurity))
	p.keep(s, "security-problem", http.StatusUnauthorized, b.Submit(pgSecurity, pgNewPassword("wrong", klNewPassword, klNewPassword)))
	p.keep(s, "security-changed", http.StatusOK, b.Submit(pgSecurity, pgNewPassword(apitest.OwnerPassword, klNewPassword, klNewPassword)))
	p.keep(s, "security-end", http.StatusOK, b.Get(pgSecurity+"/end"))
	p.keep(s, "security-ended", http.StatusOK, b.Submit(pgSecurity+"/end", nil))
	for range 4 {
		b.Submit(pgSecurity, pgNewPassword("wrong", klNewPassword, klNewPassword))
	}
	s.Clock.Advance(time.Minute)
	p.keep(s, "security-limited", http.StatusTooManyRequests, b.Submit(pgSecurity, pgNewPassword("wrong", klNewPassword, klNewPassword)))
	s.Clock.Advance(time.Hour)
	s.SignInDevice(p.t, b, "ada's laptop")
	b.Get(pgSecurity)
	cache.setBroken(true)
	fields := pgNewPassword(klNewPassword, apitest.OwnerPassword, apitest.OwnerPassword)
	fields.Set("revoke_tokens", "yes")
	p.keep(s, "security-halfway", http.StatusServiceUnavailable, b.Submit(pgSecurity, fields))
	cache.setBroken(false) // what waits is written when the server ends
}

func (p *pgCollect) failures() {
	s := apitest.Start(p.t, unlimited("device.decide.account=1/1h"))
	stranger, b := p.browser(s), p.signedIn(s)
	p.keep(s, "not-found", http.StatusNotFound, stranger.Get("/no/such/page"))
	p.keep(s, "not-found-signed-in", http.StatusNotFound, b.Get("/no/such/page"))
	p.keep(s, "forbidden", http.StatusForbidden, b.Call(http.MethodPost, "/signout", "csrf_token=x", "Content-Type", "application/x-www-form-urlencoded",
		"Accept", "text/html", "Accept-Language", p.accept, "Origin", "https://elsewhere.example"))
	b.Get("/account/sessions")
	p.keep(s, "out-of-date", http.StatusForbidden, b.Submit("/signout", url.Values{"csrf_token": {"old"}}))
	b.Get("/account/sessions/end?kind=others")
	p.keep(s, "bad-request", http.StatusBadRequest, b.Submit("/account/sessions/end", url.Values{"kind": {"everything"}}))
	for range 2 {
		b.Get("/device")
		b.Submit("/device", url.Values{"user_code": {s.Code(p.t, "x").User}})
		b.Submit("/device/authorize", url.Values{"decision": {"deny"}})
	}
	p.keep(s, "limited", http.StatusTooManyRequests, b.Page)
	if _, err := s.App.Stores.DB.Exec(context.Background(), `ALTER TABLE oauth_access_tokens RENAME TO gone`); err != nil {
		p.t.Fatal(err)
	}
	p.keep(s, "server-error", http.StatusServiceUnavailable, b.Get("/account/sessions"))
}
