// SPDX-License-Identifier: Apache-2.0

package run

import (
	"time"

	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Failures of a runtime, each with a cause for the log.
var (
	// ErrUnavailable: it cannot be reached, breaks off, or answers what is no answer.
	ErrUnavailable = fault.New(fault.BadGateway, "runtime_unavailable", "The app's runtime does not answer as it should.")
	// ErrKeyRejected: it does not take the app's key.
	ErrKeyRejected = fault.New(fault.BadGateway, "runtime_key_rejected", "The app's runtime refuses the app's key. Ask an owner or admin to set it anew.")
	// ErrTimeout: it takes longer than it may.
	ErrTimeout = fault.New(fault.GatewayTimeout, "runtime_timeout", "The app's runtime takes too long.")
	// ErrUnsupported: it does not offer this.
	ErrUnsupported = fault.New(fault.NotImplemented, "not_supported_by_runtime", "The app's runtime does not offer this.")
	// ErrQuota is the runtime's own limit; a repeat does not help soon.
	ErrQuota = fault.New(fault.TooMany, "rate_limit_error", "The app's runtime has reached a limit of its own.")
	// ErrBusy: as many runs of the app go on as may.
	ErrBusy = fault.New(fault.TooMany, "too_many_requests", "As many runs of this app are going on as it allows.").RetryAfter(5 * time.Second)
)

// Refusals of a runtime that are its caller's to mend; the sentence may be the runtime's.
var (
	ErrRefused          = fault.New(fault.Invalid, "bad_request", "The app's runtime refuses this request.")
	ErrAppUnavailable   = fault.New(fault.Invalid, "app_unavailable", "This app cannot be run this way.")
	ErrConversationOver = fault.New(fault.Invalid, "conversation_completed", "This conversation has ended. Begin another one.")
	ErrNoProvider       = fault.New(fault.Invalid, "provider_not_initialize", "The app's model provider is not set up.")
	ErrProviderQuota    = fault.New(fault.Invalid, "provider_quota_exceeded", "The quota at the app's model provider is used up.")
	ErrModel            = fault.New(fault.Invalid, "model_currently_not_support", "The app's model cannot be used now.")
	ErrCompletion       = fault.New(fault.Invalid, "completion_request_error", "The app could not complete the request.")
	ErrFormData         = fault.New(fault.Invalid, "invalid_form_data", "The form does not take these inputs or this action.")
	ErrFormSubmitted    = fault.New(fault.Precondition, "human_input_form_submitted", "This form was answered already.")
	ErrFormExpired      = fault.New(fault.Precondition, "human_input_form_expired", "This form has expired.")
	ErrFormNotFound     = fault.New(fault.NotFound, "form_not_found", "No such form.")
	ErrNoConversation   = fault.New(fault.NotFound, "conversation_not_found", "Conversation Not Exists.")
	ErrNoWorkflowRun    = fault.New(fault.NotFound, "workflow_run_not_found", "No such workflow run.")
	ErrFileTooLarge     = fault.New(fault.TooLarge, "file_too_large", "The file is larger than is taken.")
	ErrFileType         = fault.New(fault.UnsupportedMedia, "unsupported_file_type", "Files of this type are not taken.")
	// ErrNotConfigured: the app exists at its runtime and has not been set up there.
	ErrNotConfigured = fault.New(fault.Invalid, "app_unavailable", "This app is not set up at its runtime.")
)

// Refusals of a request before any runtime is asked.
var (
	ErrQueryRequired = fault.New(fault.Unprocessable, "query_required_for_chat", "A chat app needs a query.")
	ErrQueryRefused  = fault.New(fault.Unprocessable, "query_not_supported_for_workflow", "A workflow takes inputs and no query.")
	ErrNotRunnable   = fault.New(fault.Unprocessable, "mode_not_runnable", "Apps of this mode do not run.")
	ErrNoReconnect   = fault.New(fault.Unprocessable, "mode_not_supported_for_event_reconnect", "Runs of apps of this mode cannot be followed again.")
)
