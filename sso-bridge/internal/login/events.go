// SPDX-License-Identifier: Apache-2.0

package login

import (
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
)

// attemptStarted is written with the move to started.
type attemptStarted struct {
	Attempt    string `json:"attempt"`
	Connection string `json:"connection"`
	Revision   string `json:"revision"`
	Intent     string `json:"intent"`
	Actor      string `json:"actor,omitempty"` // who ordered a test
}

func (attemptStarted) EventName() string { return "sso.attempt_started" }

// attemptSucceeded is written before the browser gets its assertion, or not at all.
type attemptSucceeded struct {
	Attempt       string `json:"attempt"`
	Connection    string `json:"connection"`
	Revision      string `json:"revision"`
	Intent        string `json:"intent"`
	SubjectHash   string `json:"subject_hash"`
	EmailVerified bool   `json:"email_verified"`
	Actor         string `json:"actor,omitempty"`
}

func (attemptSucceeded) EventName() string { return "sso.attempt_succeeded" }

// attemptFailed is written for each refusal, those included that belong to no attempt.
type attemptFailed struct {
	Attempt    string            `json:"attempt"`
	Connection string            `json:"connection,omitempty"`
	Revision   string            `json:"revision,omitempty"`
	Intent     string            `json:"intent,omitempty"`
	Step       string            `json:"step"`
	Code       string            `json:"code"`
	Public     string            `json:"public_code"`
	Expected   string            `json:"expected,omitempty"`
	Got        string            `json:"got,omitempty"`
	Facts      map[string]string `json:"facts,omitempty"`
}

func (attemptFailed) EventName() string { return "sso.attempt_failed" }

// replayRefused is written when an answer came for an attempt that had one, and when an
// assertion came that was used before.
type replayRefused struct {
	Attempt string     `json:"attempt"`      // the reference that was shown
	Of      string     `json:"of,omitempty"` // the reference of the attempt that had an answer
	FirstAt *time.Time `json:"first_at,omitempty"`
}

func (replayRefused) EventName() string { return "sso.replay_refused" }

// weakAlgorithmRefused is written beside the failure of an answer that was signed too
// weakly: who can forge such signatures can try.
type weakAlgorithmRefused struct {
	Attempt    string `json:"attempt"`
	Connection string `json:"connection"`
	Algorithm  string `json:"algorithm,omitempty"`
	KeyBits    string `json:"key_bits,omitempty"`
}

func (weakAlgorithmRefused) EventName() string { return "sso.weak_algorithm_refused" }

// AuditKinds are the events of this package, for the reference.
func AuditKinds() []audit.Kind {
	return []audit.Kind{
		{Of: attemptStarted{}, When: "a browser spends a start ticket and leaves for the identity provider"},
		{Of: attemptSucceeded{}, When: "an identity provider's answer was verified and admitted; nothing is answered before it is written"},
		{Of: attemptFailed{}, When: "a company sign-in, or a callback that belongs to none, is refused"},
		{Of: replayRefused{}, When: "an answer comes for an attempt that was answered before, or an assertion that was used before"},
		{Of: weakAlgorithmRefused{}, When: "a SAML response is refused since SHA-1, MD5 or a short key signed it"},
	}
}
