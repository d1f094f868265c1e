// SPDX-License-Identifier: Apache-2.0

package flight

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/singleflight"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// Share gives what do gives to everybody who asks for key in the meantime. The call
// outlives whoever began it, for others wait too; its client bounds its time. It runs in a
// goroutine that no caller's recovery reaches: a panic in it is its error, and Internal.
// Whoever's ctx ends first has late.
func Share[T any](ctx context.Context, g *singleflight.Group, key string, late *failure.Error, do func(context.Context) (T, error)) (T, error) {
	var none T
	select {
	case r := <-g.DoChan(key, func() (v any, err error) {
		defer func() {
			if p := recover(); p != nil {
				// The value may hold what came; its type and the stack do not.
				err = failure.New(failure.Internal).Because(fmt.Errorf("panic of type %T\n%s", p, debug.Stack()))
			}
		}()
		return do(context.WithoutCancel(ctx))
	}):
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	case <-ctx.Done():
		return none, late.Because(ctx.Err())
	}
}
