// SPDX-License-Identifier: Apache-2.0

package flight_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sync/singleflight"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/flight"
)

func TestAPanicInASharedCallEndsItsLoginsAlone(t *testing.T) {
	var g singleflight.Group
	late := failure.New(failure.ProviderUnreachable)
	_, err := flight.Share(t.Context(), &g, "discovery", late, func(context.Context) (string, error) { panic("what came") })
	if !errors.Is(err, failure.New(failure.Internal)) || strings.Contains(err.Error(), "what came") {
		t.Error(err)
	}
	got, err := flight.Share(t.Context(), &g, "discovery", late, func(context.Context) (string, error) { return "read", nil })
	if err != nil || got != "read" {
		t.Error(got, err)
	}
}

func TestWhoeverLeavesHasNotWaited(t *testing.T) {
	var g singleflight.Group
	ctx, leave := context.WithCancel(t.Context())
	began, end := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		got, err := flight.Share(t.Context(), &g, "keys", failure.New(failure.OIDCKeys), func(context.Context) (string, error) {
			close(began)
			<-end
			return "read", nil
		})
		if got != "read" {
			err = errors.New("the other one has nothing")
		}
		ended <- err
	}()
	<-began
	leave()
	_, err := flight.Share(ctx, &g, "keys", failure.New(failure.SAMLMetadata), func(context.Context) (string, error) { return "", nil })
	if f := failure.Of(err); f.Code != failure.SAMLMetadata || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(end)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
