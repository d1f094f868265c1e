// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"

	"github.com/dify-sso/dify-sso/core/internal/operator"
	"github.com/dify-sso/dify-sso/pkg/egress"
)

// unreached reads a failed call of a runtime for "core app check". The guard's own words
// are told, as they do not repeat the address.
func unreached(err error) (operator.Unreached, bool) {
	var e *egress.Error
	if !errors.As(err, &e) {
		return operator.Unreached{}, false
	}
	u := operator.Unreached{Phase: string(e.Phase), Why: "it is not one that may be called"}
	for _, why := range []error{egress.ErrOwn, egress.ErrOutside, egress.ErrUnnamed, egress.ErrAddress} {
		if errors.Is(e, why) {
			u.Why = why.Error()
			break
		}
	}
	return u, true
}
