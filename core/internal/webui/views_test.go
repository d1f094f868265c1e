// SPDX-License-Identifier: Apache-2.0

package webui_test

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/pkg/page"
	"github.com/dify-sso/dify-sso/pkg/ssocode"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func renderer() *webui.Renderer {
	return webui.New(&url.URL{Scheme: "https", Host: "sso.example.com"})
}

func frame(lang string) webui.Frame {
	return webui.Frame{Lang: lang, Switch: "/x?lang=other", Account: &webui.Person{Name: "Ada", Email: "ada@example.com"}, CSRFToken: "csrf-value", RequestID: "reference-1", Now: now, ReturnTo: "/device"}
}

func render(t *testing.T, f webui.Frame, v webui.View) string {
	t.Helper()
	var out bytes.Buffer
	if err := renderer().Render(&out, f, v); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// views has every kind of view in every form that its template tells apart.
func views() []webui.View {
	authorize := webui.DeviceAuthorize{UserCode: "ABCD-3456", ClientID: "difyctl", Label: "röck", Address: "2001:db8::1", StartedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Minute), TokenEnds: now.Add(time.Hour)}
	inWorkspace := authorize
	inWorkspace.Workspace, inWorkspace.StartedAt = "Engines", now.Add(-time.Second)
	linked := authorize
	linked.Linked = true
	unconfirmed := linked
	unconfirmed.Problems = []webui.Problem{{Field: "confirm", Key: "problem.confirm"}}
	device := webui.Device{ID: "1", Label: "röck", ClientID: "difyctl", Address: "192.0.2.1", CreatedAt: now, ExpiresAt: now}
	used := device
	used.LastUsedAt = &now
	all := []webui.View{
		webui.Setup{MinPassword: 8}, webui.Setup{Code: "x", Email: "x", Name: "x", Workspace: "x", MinPassword: 8},
		webui.SignIn{}, webui.SignIn{Email: "x", Code: "ABCD-3456", ReturnTo: "/device", Refused: true}, webui.SignIn{Wait: 1}, webui.SignIn{Wait: 30},
		webui.DeviceEntry{}, webui.DeviceEntry{Invalid: true}, webui.DeviceEntry{Linked: "ABCD-3456"}, authorize, inWorkspace, linked, unconfirmed,
		webui.DeviceOutcome{Outcome: webui.Limited, Wait: 1},
		webui.Sessions{Public: "https://sso.example.com"},
		webui.Sessions{Devices: []webui.Device{device, used}, More: 1, Browsers: []webui.Browser{{ID: "1", SignedInAt: now, SeenAt: now, Current: true}, {ID: "2", SignedInAt: now, SeenAt: now}}, Ended: true},
		webui.Failure{Kind: webui.TooMany, Wait: 1},
		webui.Security{MinPassword: 8}, webui.Security{MinPassword: 8, Wait: 30}, webui.Security{MinPassword: 8, Problems: []webui.Problem{{Field: "password", Key: "problem.password_current"}}},
	}
	invitation := webui.Invitation{Token: "t", Workspace: "Engines", Inviter: "röck", InviterEmail: "r@example.com", Email: "x@example.com"}
	full := invitation
	full.Problems = []webui.Problem{{Field: "accept", Key: "problem.full"}}
	member := webui.Member{ID: "1", Name: "röck", Email: "r@example.com", Role: "normal", Changeable: true}
	members := webui.Members{WorkspaceID: "1", Workspace: "Engines", Role: "owner", Manages: true, Page: 1, Members: []webui.Member{{ID: "2", Role: "owner", Self: true}, member, {ID: "3", Role: "editor", Pending: true}}}
	several := members
	several.Page, several.HasMore, several.Link, several.LinkFor = 2, true, "https://sso.example.com/activate?token=t", "x@example.com"
	several.Others = []webui.Choice{{ID: "1", Name: "Engines", Chosen: true}, {ID: "2", Name: "röck"}}
	for _, key := range []string{"email", "member", "external", "full"} {
		refused := members
		refused.Problems = []webui.Problem{{Field: "email", Key: "problem." + key}}
		all = append(all, refused)
	}
	for _, done := range []webui.MembersDone{webui.RoleChanged, webui.MemberRemoved, webui.Switched} {
		told := members
		told.Done = done
		all = append(all, told)
	}
	edit := webui.MemberForm{Act: webui.EditMember, WorkspaceID: "1", ID: "2", Name: "röck", Email: "r@example.com", Role: "editor"}
	unchanged, remove := edit, edit
	unchanged.Problems = []webui.Problem{{Field: "role", Key: "problem.role_unchanged"}}
	remove.Act = webui.RemoveMember
	all = append(all, webui.Activate{Invitation: invitation, MinPassword: 8}, webui.InviteSignIn{Invitation: invitation}, webui.InviteAnswer{Invitation: invitation}, webui.InviteAnswer{Invitation: full},
		webui.Declined{}, webui.Members{}, members, several, edit, unchanged, remove)
	all = append(all, appViews()...)
	named := webui.AuthorizeSSO{CSRFToken: "csrf-value", UserCode: "ABCD-3456", Name: "Grace", Email: "grace@corp.example", Connection: "Corp", Issuer: "https://login.corp.example/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
		ClientID: "difyctl", Label: "röck", Address: "2001:db8::1", StartedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Minute), TokenEnds: now.Add(time.Hour)}
	nameless, brought := named, named
	nameless.Name, brought.Linked = "", true
	unticked := brought
	unticked.Unticked = true
	connections := []webui.SSOConnection{{ID: "corp", Text: "Sign in with Corp"}, {ID: "labs", Text: "röck"}}
	all = append(all, named, nameless, brought, unticked, webui.Chooser{UserCode: "ABCD-3456"}, webui.SSOContinue{Start: "https://bridge.example/sso/start/x"},
		webui.SSOChoose{At: "/x", Connections: connections}, webui.SSOChoose{At: "/x", Email: true}, webui.SSOChoose{At: "/x", Connections: connections, Email: true})
	for _, code := range ssocode.Known() {
		all = append(all, webui.SSOError{Code: code, Reference: "7K2QD-9XM4P", Again: "/x", Other: "/device"})
	}
	all = append(all, webui.SSOError{Code: "none", Other: "/device"})
	for _, done := range []webui.SecurityDone{webui.PasswordChanged, webui.PasswordAndDevices, webui.OthersEnded} {
		all = append(all, webui.Security{MinPassword: 8, Done: done})
	}
	for _, key := range []string{"setup_code", "email", "name", "workspace_name", "password_short", "password_long", "password_email", "password_invalid", "password_again"} {
		all = append(all, webui.Setup{MinPassword: 8, Problems: []webui.Problem{{Field: key, Key: "problem." + key, Args: []any{"min", 8}}}})
	}
	for _, o := range []webui.Outcome{webui.Approved, webui.Denied, webui.Expired, webui.Limited, webui.Failed, webui.SessionGone} {
		all = append(all, webui.DeviceOutcome{Outcome: o, Wait: 30})
	}
	for _, kind := range []string{"device", "browser", "others"} {
		all = append(all, webui.ConfirmEnd{At: "/account/sessions", Kind: kind, ID: "1", Name: "röck"}, webui.ConfirmEnd{Kind: kind, ID: "1"})
	}
	for _, kind := range []webui.FailureKind{webui.NotFound, webui.Forbidden, webui.OutOfDate, webui.TooMany, webui.BadRequest, webui.Server, webui.Disabled, webui.Halfway, webui.Activated, webui.InviteDead, webui.RoleTooSmall, webui.NotChangeable} {
		all = append(all, webui.Failure{Kind: kind, Wait: 30})
	}
	return all
}

// appViews are the pages of the registry of apps.
func appViews() (all []webui.View) {
	modes, accesses := []string{"chat", "agent-chat", "advanced-chat", "completion", "workflow", "agent", "channel", "rag-pipeline"}, []string{"internal_all", "internal", "sso_verified", "public"}
	fresh := webui.App{WorkspaceID: "1", Workspace: "Engines", Mode: "chat", Manages: true, Runtime: "dify", API: true, MaxActive: "0", Access: "internal_all", Modes: modes, Runtimes: []string{"dify", "echo"}, Accesses: accesses}
	edit := fresh
	edit.ID, edit.Name, edit.Description, edit.Tags, edit.Author, edit.RuntimeURL = "1", "röck", "two\nlines", "a, b", "Ada", "https://dify.example.com"
	edit.KeySet, edit.Fingerprint, edit.DSL, edit.HumanInput, edit.Archived = true, "0a1b2c3d", true, true, true
	editors, bare := edit, edit
	editors.Manages, bare.Manages = false, false
	bare.KeySet, bare.RuntimeURL, bare.Access, bare.Mode = false, "", "later", "later"
	all = append(all, fresh, edit, editors, bare)
	for field, key := range map[string]string{"name": "name", "description": "description", "mode": "mode", "tags": "tags", "author": "author", "runtime": "runtime", "runtime_url": "runtime_url",
		"runtime_key": "runtime_key", "dsl": "features", "access": "access", "max_active_requests": "max_active", "allowed": "allowed"} {
		refused, unopened := fresh, webui.AppAccess{ID: "1", Name: "röck", Workspace: "Engines", Access: "internal", Accesses: accesses, Page: 1}
		refused.Problems = []webui.Problem{{Field: field, Key: "problem.app_" + key}}
		unopened.Problems = refused.Problems
		all = append(all, refused, unopened)
	}
	row := webui.AppRow{ID: "1", Name: "röck", Mode: "chat", Access: "internal", Runtime: "dify", Host: "dify.example.com", API: true}
	list := webui.Apps{Workspace: "Engines", Role: "owner", Keeps: true, Page: 2, HasMore: true, Apps: []webui.AppRow{row, {ID: "2", Mode: "later", Access: "later", Runtime: "echo", Archived: true}, {ID: "3", Mode: "agent", Access: "public", Runtime: "dify"}}}
	all = append(all, webui.Apps{}, webui.Apps{Workspace: "Engines", Role: "normal"}, webui.Apps{Workspace: "Engines", Role: "editor", Keeps: true}, list)
	for _, done := range []webui.AppsDone{webui.AppCreated, webui.AppSaved, webui.AppOpened, webui.AppRemoved} {
		told := list
		told.Done = done
		all = append(all, told)
	}
	alone := webui.AppAccess{ID: "1", Name: "röck", Workspace: "Engines", Access: "internal_all", Accesses: accesses, Page: 1}
	several := alone
	several.Page, several.HasMore, several.Listed, several.Done = 2, true, 1, webui.AppCreated
	several.Members = []webui.AppMember{{ID: "1", Name: "röck", Email: "r@example.com", Chosen: true}, {ID: "2", Name: "x@example.com", Email: "x@example.com", Pending: true}}
	return append(all, alone, several, webui.RemoveApp{ID: "1", Name: "röck"})
}

func TestEveryViewInBothLanguages(t *testing.T) {
	bare := regexp.MustCompile(`<no value>|\{\{|ZgotmplZ|%!|&lt;nil&gt;`)
	for _, lang := range []string{page.English, page.Chinese} {
		for i, v := range views() {
			t.Run(fmt.Sprintf("W-1 %s %T %d", lang, v, i), func(t *testing.T) {
				for _, signedIn := range []bool{true, false} {
					f := frame(lang)
					if _, needsAccount := v.(webui.DeviceAuthorize); !signedIn && !needsAccount {
						f.Account = nil
					}
					html := render(t, f, v)
					if !strings.Contains(html, `<html lang="`+lang+`"`) || !strings.Contains(html, "sso.example.com") {
						t.Error("the page names neither its language nor its host")
					}
					if m := bare.FindString(html); m != "" {
						t.Errorf("%q was left in the page", m)
					}
					for form := range strings.SplitSeq(html, "<form ") {
						if strings.HasPrefix(form, `method="post"`) && !strings.Contains(form, `name="csrf_token" value="csrf-value"`) {
							t.Error("a form without its CSRF token")
						}
					}
				}
			})
		}
	}
}

func TestWhatCannotBeRenderedWritesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		lang string
		view webui.View
	}{
		"a message that does not exist":  {page.English, webui.Failure{Kind: "none"}},
		"a language that does not exist": {"fr", webui.SignIn{}},
		"a page that needs an account":   {page.English, webui.DeviceAuthorize{}},
	} {
		var out bytes.Buffer
		f := frame(tc.lang)
		f.Account = nil
		if err := renderer().Render(&out, f, tc.view); err == nil || out.Len() != 0 {
			t.Errorf("%s: %v, %d bytes", name, err, out.Len())
		}
	}
}

func TestForeignText(t *testing.T) {
	const attack = `</bdi><script>alert(1)</script>"'&`
	const escaped = `&lt;/bdi&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;`
	f := frame(page.English)
	f.Account = &webui.Person{Name: attack, Email: attack}

	t.Run("W-8 PPL-03 markup stays text, in its own direction", func(t *testing.T) {
		html := render(t, f, webui.DeviceAuthorize{UserCode: "ABCD-3456", ClientID: attack, Label: attack, Address: "192.0.2.1", Workspace: attack, StartedAt: now, ExpiresAt: now, TokenEnds: now})
		if strings.Contains(html, "<script>alert") || strings.Contains(html, `"'&`) {
			t.Fatal("markup came through")
		}
		// Name, e-mail twice (page and footer), client, label, workspace.
		if got := strings.Count(html, "<bdi>"+escaped+"</bdi>"); got != 6 {
			t.Fatalf("it stands %d times in a <bdi>", got)
		}
		if !strings.Contains(html, "<q><bdi>"+escaped+"</bdi></q>") {
			t.Error("the label is not quoted")
		}
	})

	t.Run("W-8 every view escapes what a person or client named", func(t *testing.T) {
		device := webui.Device{ID: attack, Label: attack, ClientID: attack, Address: attack}
		for _, v := range []webui.View{
			webui.Setup{Code: attack, Email: attack, Name: attack, Workspace: attack}, webui.SignIn{Email: attack, ReturnTo: attack, Code: attack},
			webui.ConfirmEnd{Kind: "device", ID: attack, Name: attack}, webui.Sessions{Devices: []webui.Device{device}, Public: attack, Browsers: []webui.Browser{{ID: attack, Address: attack}}},
			webui.Activate{Invitation: webui.Invitation{Token: attack, Workspace: attack, Inviter: attack, InviterEmail: attack, Email: attack}, Name: attack},
			webui.InviteSignIn{Invitation: webui.Invitation{Workspace: attack, Inviter: attack, InviterEmail: attack, Email: attack}},
			webui.Members{WorkspaceID: attack, Workspace: attack, Role: "owner", Manages: true, Link: attack, LinkFor: attack, Email: attack, Others: []webui.Choice{{ID: attack, Name: attack}}, Members: []webui.Member{{ID: attack, Name: attack, Email: attack, Role: "normal", Changeable: true}}},
			webui.MemberForm{Act: webui.EditMember, WorkspaceID: attack, ID: attack, Name: attack, Email: attack, Role: "normal"}, webui.MemberForm{Act: webui.RemoveMember, Name: attack},
			webui.Apps{Workspace: attack, Role: "owner", Keeps: true, Apps: []webui.AppRow{{ID: attack, Name: attack, Mode: attack, Access: attack, Runtime: attack, Host: attack}}},
			webui.App{WorkspaceID: attack, Workspace: attack, ID: attack, Name: attack, Description: "</textarea>" + attack, Mode: attack, Tags: attack, Author: attack, Manages: true, RuntimeURL: attack, KeySet: true, Fingerprint: attack, MaxActive: attack, Access: attack},
			webui.App{ID: attack, Name: attack, Runtime: attack, RuntimeURL: attack, KeySet: true, Fingerprint: attack, Access: attack},
			webui.AppAccess{ID: attack, Name: attack, Workspace: attack, Shown: attack, Members: []webui.AppMember{{ID: attack, Name: attack, Email: attack}}}, webui.RemoveApp{ID: attack, Name: attack},
			webui.DeviceAuthorize{UserCode: attack, Address: attack}, webui.Failure{Kind: webui.Server},
		} {
			g := f
			g.RequestID, g.ReturnTo, g.CSRFToken, g.Switch = attack, attack, attack, "/?x="+attack
			if html := render(t, g, v); strings.Contains(html, "<script>alert") {
				t.Errorf("%T: markup came through", v)
			}
		}
	})

	t.Run("W-8 a bidirectional override cannot turn what is around it", func(t *testing.T) {
		const turned = "\u202eevil"
		html := render(t, frame(page.English), webui.ConfirmEnd{Kind: "device", ID: "1", Name: turned})
		if !strings.Contains(html, "<bdi>"+turned+"</bdi>") {
			t.Fatal("it is not isolated")
		}
	})

	t.Run("W-8 PPL-03 it is cut at 64 characters, not bytes", func(t *testing.T) {
		for _, tc := range []struct{ in, want string }{
			{"", ""}, {strings.Repeat("爱", 64), strings.Repeat("爱", 64)}, {strings.Repeat("爱", 65), strings.Repeat("爱", 63) + "…"}, {strings.Repeat("x", 255), strings.Repeat("x", 63) + "…"},
		} {
			if got := webui.Cut(tc.in); got != tc.want {
				t.Errorf("%d characters became %q", len([]rune(tc.in)), got)
			}
		}
		html := render(t, frame(page.English), webui.DeviceAuthorize{Label: strings.Repeat("爱", 255)})
		if strings.Contains(html, strings.Repeat("爱", 64)) || !strings.Contains(html, strings.Repeat("爱", 63)+"…") {
			t.Error("the page shows more")
		}
	})
}

func TestStaticHasFixedNames(t *testing.T) {
	for _, name := range []string{"app.css", "device.js", "icon.svg"} {
		a, ok := webui.Static(name)
		if !ok || len(a.Content) == 0 || a.Type == "" || len(a.ETag) != 18 {
			t.Errorf("%s: %t, %s, %s", name, ok, a.Type, a.ETag)
		}
	}
	for _, name := range []string{"", "APP.CSS", "../templates/layout.html", "app.css/", "./app.css", "%61pp.css", "app.css\x00"} {
		if _, ok := webui.Static(name); ok {
			t.Errorf("HTTP-21: %q exists", name)
		}
	}
}
