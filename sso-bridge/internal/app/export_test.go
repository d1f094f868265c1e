// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"

	"github.com/gofiber/fiber/v2"
)

// Public gives the listener that browsers reach, without binding it.
func (a *App) Public() *fiber.App { return a.public }

// Ends gives the metrics of certificates, looked up anew.
func (a *App) Ends(t *testing.T) map[string]float64 {
	t.Helper()
	if err := a.ends.look(t.Context(), a.registry()); err != nil {
		t.Fatal(err)
	}
	return gauges(t, a.ends)
}
