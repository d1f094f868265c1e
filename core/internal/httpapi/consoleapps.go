// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// keeper finds the current workspace of the signed-in person, who must be one that keeps
// its apps. The registry reads the role once more in its own transaction; this answers
// first, so that who keeps nothing learns of no app.
func (a *api) keeper(c *fiber.Ctx) (keeper, error) {
	who := signed(c).Account.ID
	place, ok, err := a.currentWorkspace(c.UserContext(), who)
	switch {
	case err != nil:
		return keeper{}, err
	case !ok:
		return keeper{}, workspace.ErrNotFound
	case !apps.Keeps(place.Role):
		return keeper{}, workspace.ErrRole
	}
	return keeper{place, apps.Member(who)}, nil
}

// keeper is somebody who keeps the apps of a workspace.
type keeper struct {
	workspace.Membership
	by apps.By
}

// keptApp finds the app that a path names, which belongs to the current workspace.
func (a *api) keptApp(c *fiber.Ctx) (apps.Entry, keeper, error) {
	k, err := a.keeper(c)
	if err != nil {
		return apps.Entry{}, k, err
	}
	e, err := a.Registry.Find(c.UserContext(), k.by, param(c, "id"))
	if err == nil && e.WorkspaceID != k.Workspace.ID {
		err = apps.ErrNotFound
	}
	return e, k, err
}

// consoleApps lists the apps of the current workspace, those included that nobody can use.
func (a *api) consoleApps(c *fiber.Ctx) error {
	k, err := a.keeper(c)
	if err != nil {
		return err
	}
	number, limit, err := parsePaging(c, registryLimit)
	if err != nil {
		return err
	}
	list, total, err := a.Registry.List(c.UserContext(), k.by, k.Workspace.ID, number, limit)
	if err != nil {
		return err
	}
	rows := make([]consoleAppJSON, 0, len(list))
	for _, s := range list {
		rows = append(rows, newConsoleApp(s))
	}
	return c.JSON(pageJSON[consoleAppJSON]{Page: number, Limit: limit, Total: total, HasMore: number*limit < total, Data: rows})
}

// consoleAddApp adds an app.
func (a *api) consoleAddApp(c *fiber.Ctx) error {
	k, err := a.keeper(c)
	if err != nil {
		return err
	}
	var req consoleAppRequest
	if err := decodeStrict(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	for name, v := range map[string]*string{"name": req.Name, "mode": req.Mode} {
		if v == nil {
			problems.Add("missing", "is required", name)
		}
	}
	if err := problems.Fault(errInvalidParam); err != nil {
		return err
	}
	e, err := a.Registry.Create(c.UserContext(), k.by, k.Workspace.ID, req.draft())
	if err != nil {
		return err
	}
	return c.Status(http.StatusCreated).JSON(newConsoleAppEntry(e))
}

// consoleApp shows an app.
func (a *api) consoleApp(c *fiber.Ctx) error {
	e, _, err := a.keptApp(c)
	if err != nil {
		return err
	}
	return c.JSON(newConsoleAppEntry(e))
}

// consoleChangeApp changes what the body names.
func (a *api) consoleChangeApp(c *fiber.Ctx) error {
	e, k, err := a.keptApp(c)
	if err != nil {
		return err
	}
	var req consoleAppChangeRequest
	if err := decodeStrict(c, &req); err != nil {
		return err
	}
	e, _, err = a.Registry.Update(c.UserContext(), k.by, e.ID, req.change())
	if err != nil {
		return err
	}
	return c.JSON(newConsoleAppEntry(e))
}

// consoleRemoveApp deletes an app.
func (a *api) consoleRemoveApp(c *fiber.Ctx) error {
	e, k, err := a.keptApp(c)
	if err != nil {
		return err
	}
	if err := a.Registry.Remove(c.UserContext(), k.by, e.ID); err != nil {
		return err
	}
	return c.JSON(success)
}

// consoleAppKey gives an app another key. It is never read back.
func (a *api) consoleAppKey(c *fiber.Ctx) error {
	e, k, err := a.keptApp(c)
	if err != nil {
		return err
	}
	if !k.Role.Manages() { // before any key is compared: one that changes nothing would be no change
		return workspace.ErrRole
	}
	var req consoleAppKeyRequest
	if err := decodeStrict(c, &req); err != nil {
		return err
	}
	if req.Key == nil {
		var problems wire.Problems
		problems.Add("missing", "is required", "key")
		return problems.Fault(errInvalidParam)
	}
	key, err := a.Registry.SetKey(c.UserContext(), k.by, e.ID, secret.New(*req.Key))
	if err != nil {
		return err
	}
	return c.JSON(newConsoleAppKey(key))
}

// consoleAppAccess replaces the list of who may use an app that is internal.
func (a *api) consoleAppAccess(c *fiber.Ctx) error {
	e, k, err := a.keptApp(c)
	if err != nil {
		return err
	}
	var req consoleAppAccessRequest
	if err := decodeStrict(c, &req); err != nil {
		return err
	}
	if req.Allowed == nil {
		var problems wire.Problems
		problems.Add("missing", "is required", "allowed")
		return problems.Fault(errInvalidParam)
	}
	if e, err = a.Registry.SetAllowed(c.UserContext(), k.by, e.ID, *req.Allowed); err != nil {
		return err
	}
	return c.JSON(newConsoleAppEntry(e))
}
