// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sync/singleflight"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

func TestAPanicInASharedCallEndsItsLoginsAlone(t *testing.T) {
	var g singleflight.Group
	_, err := shared(t.Context(), &g, "discovery", func(context.Context) (string, error) { panic("what came") })
	if !errors.Is(err, failure.New(failure.Internal)) || strings.Contains(err.Error(), "what came") {
		t.Error(err)
	}
	got, err := shared(t.Context(), &g, "discovery", func(context.Context) (string, error) { return "read", nil })
	if err != nil || got != "read" {
		t.Error(got, err)
	}
}
