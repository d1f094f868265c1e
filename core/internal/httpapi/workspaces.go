// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"github.com/gofiber/fiber/v2"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/server"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

type workspaceJSON struct {
	ID      string `json:"id" api:"format=uuid"`
	Name    string `json:"name"`
	Role    string `json:"role" api:"enum=owner|admin|editor|normal"`
	Status  string `json:"status" api:"enum=normal|archive"`
	Current bool   `json:"current"`
}

type workspacesResponse struct {
	Workspaces []workspaceJSON `json:"workspaces"`
}

type workspaceResponse struct {
	ID        string `json:"id" api:"format=uuid"`
	Name      string `json:"name"`
	Role      string `json:"role" api:"enum=owner|admin|editor|normal"`
	Status    string `json:"status" api:"enum=normal|archive"`
	Current   bool   `json:"current"`
	CreatedAt string `json:"created_at" api:"format=date-time"`
}

func newWorkspaceResponse(m workspace.Membership) workspaceResponse {
	w := m.Workspace
	return workspaceResponse{ID: w.ID, Name: w.Name, Role: string(m.Role), Status: string(w.Status), Current: m.Current, CreatedAt: stamp(w.CreatedAt)}
}

// workspaces lists the caller's memberships, archived workspaces included.
func (a *api) workspaces(c *fiber.Ctx) error {
	list, err := a.Workspaces.Of(c.UserContext(), callerOf(c).Subject.AccountID)
	if err != nil {
		return err
	}
	out := workspacesResponse{Workspaces: make([]workspaceJSON, 0, len(list))}
	for _, m := range list {
		w := m.Workspace
		out.Workspaces = append(out.Workspaces, workspaceJSON{ID: w.ID, Name: w.Name, Role: string(m.Role), Status: string(w.Status), Current: m.Current})
	}
	return c.JSON(out)
}

// workspace answers from the one read that has let the caller in.
func (a *api) workspace(c *fiber.Ctx) error { return c.JSON(newWorkspaceResponse(callerOf(c).Place)) }

// switchWorkspace makes a workspace the one that the caller works in, in browsers too.
func (a *api) switchWorkspace(c *fiber.Ctx) error {
	who := callerOf(c)
	m, err := a.Members.Switch(c.UserContext(), who.Subject.AccountID, who.Place.Workspace.ID)
	if err != nil {
		return err
	}
	return c.JSON(newWorkspaceResponse(m))
}

type consoleSwitchRequest struct {
	// ID is called so by scripts that exist.
	ID *string `json:"tenant_id" doc:"a workspace's id" api:"required;min=1"`
}

// consoleSwitch is switchWorkspace for scripts of a signed-in browser.
func (a *api) consoleSwitch(c *fiber.Ctx) error {
	var req consoleSwitchRequest
	if err := decodeJSON(c, &req); err != nil {
		return err
	}
	var problems wire.Problems
	id := requireText(&problems, req.ID, "tenant_id")
	if err := problems.Fault(server.ErrBadRequest); err != nil {
		return err
	}
	if _, err := a.Members.Switch(c.UserContext(), signed(c).Account.ID, id); err != nil {
		return err
	}
	return c.JSON(success)
}
