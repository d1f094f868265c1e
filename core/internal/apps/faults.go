// SPDX-License-Identifier: Apache-2.0

package apps

import "github.com/dify-sso/dify-sso/pkg/fault"

// Refusals.
var (
	// ErrNotFound: no such app, or none that this person may know of; what a stranger learns
	// of the two is the same.
	ErrNotFound = fault.New(fault.NotFound, "app_not_found", "No such app.")
	// ErrAccessDenied: the app is for some members of its workspace alone.
	ErrAccessDenied = fault.New(fault.Forbidden, "app_access_denied", "This app is for some members of its workspace. Ask its owner or an admin to add you.")
	// ErrAPIDisabled: the app cannot be used through the API.
	ErrAPIDisabled = fault.New(fault.Forbidden, "service_api_disabled", "This app's API is off. Ask the owner or an admin of its workspace to switch it on.")
	// ErrInvalid: members of an app do not hold; its details name them.
	ErrInvalid = fault.New(fault.Unprocessable, "invalid_param", "Request validation failed")
)
