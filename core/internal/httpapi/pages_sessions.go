// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/core/internal/webui"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/server"
)

// shownDevices is how many devices the page lists.
const shownDevices = 200

func (a *api) subject(c *fiber.Ctx) token.Subject {
	who := signed(c).Account
	return token.AccountSubject(who.ID, who.Email)
}

// sessionsPage lists what the account is signed in on.
func (a *api) sessionsPage(c *fiber.Ctx) error {
	ctx, who := c.UserContext(), signed(c)
	devices, total, err := a.Tokens.List(ctx, a.subject(c), 1, shownDevices)
	if err != nil {
		return err
	}
	browsers, err := a.Console.List(ctx, who.Account.ID)
	if err != nil {
		return err
	}
	view := webui.Sessions{Public: a.public, Ended: c.Query("outcome") == "ended", More: max(0, total-len(devices))}
	for _, d := range devices {
		view.Devices = append(view.Devices, webui.Device{
			ID: d.ID, Label: d.Label, ClientID: d.ClientID, Address: either(d.LastUsedIP, d.CreatedIP),
			CreatedAt: d.CreatedAt, ExpiresAt: d.ExpiresAt, LastUsedAt: d.LastUsedAt,
		})
	}
	for _, b := range browsers {
		view.Browsers = append(view.Browsers, webui.Browser{
			ID: b.ID, Name: webui.BrowserName(b.UserAgent), Address: b.IP, SignedInAt: b.CreatedAt, SeenAt: b.LastSeenAt, Current: b.ID == who.Session.ID,
		})
	}
	return a.render(c, http.StatusOK, view)
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// confirmEndPage asks once more, naming what ends.
func (a *api) confirmEndPage(c *fiber.Ctx) error {
	view := webui.ConfirmEnd{At: "/account/sessions", Kind: c.Query("kind"), ID: c.Query("id")}
	switch view.Kind {
	case "device":
		s, err := a.ownDevice(c, view.ID)
		if err != nil {
			return err
		}
		view.Name = s.Label
	case "browser":
		s, err := a.ownBrowser(c, view.ID)
		if err != nil {
			return err
		}
		view.Name = webui.BrowserName(s.UserAgent)
	case "others":
		view.ID = ""
	default:
		return server.ErrNotFound
	}
	return a.render(c, http.StatusOK, view)
}

func (a *api) ownDevice(c *fiber.Ctx, id string) (token.Session, error) {
	if !canon.IsID(id) {
		return token.Session{}, token.ErrSessionNotFound
	}
	return a.Tokens.Find(c.UserContext(), a.subject(c), id)
}

func (a *api) ownBrowser(c *fiber.Ctx, id string) (console.Session, error) {
	list, err := a.Console.List(c.UserContext(), signed(c).Account.ID)
	if err != nil {
		return console.Session{}, err
	}
	for _, s := range list {
		if s.ID == id {
			return s, nil
		}
	}
	return console.Session{}, console.ErrSessionNotFound
}

// confirmEndOthersPage is the same question, asked from the security page.
func (a *api) confirmEndOthersPage(c *fiber.Ctx) error {
	return a.render(c, http.StatusOK, webui.ConfirmEnd{At: "/account/security", Kind: "others"})
}

// endOthersForm ends everything but this browser, and leads back to the security page.
func (a *api) endOthersForm(c *fiber.Ctx) error {
	if err := a.endOthers(c); err != nil {
		return err
	}
	return a.redirect(c, "/account/security?outcome="+string(webui.OthersEnded))
}

func (a *api) endOthers(c *fiber.Ctx) error {
	ctx, who, subject := c.UserContext(), signed(c), a.subject(c)
	if _, err := a.Tokens.EndOthers(ctx, subject, "", audit.Account(who.Account.ID)); err != nil {
		return err
	}
	_, err := a.Console.EndOthers(ctx, who.Account, who.Session.ID, subject.Key())
	return err
}

// endForm ends a device, a browser, or everything but this browser.
func (a *api) endForm(c *fiber.Ctx) error {
	ctx, who, subject, id := c.UserContext(), signed(c), a.subject(c), field(c, "id")
	actor := audit.Account(who.Account.ID)
	var err error
	switch field(c, "kind") {
	case "device":
		if _, err = a.ownDevice(c, id); err == nil {
			err = a.Tokens.End(ctx, subject, id, token.ReasonUser, actor)
		}
	case "browser":
		if _, err = a.ownBrowser(c, id); err == nil {
			err = a.Console.End(ctx, who.Account, id, subject.Key())
		}
	case "others":
		err = a.endOthers(c)
	default:
		err = server.ErrBadRequest
	}
	if err != nil {
		return err
	}
	return a.redirect(c, "/account/sessions?outcome=ended")
}
