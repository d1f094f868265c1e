// SPDX-License-Identifier: Apache-2.0

package access

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/core/internal/token"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// The bounds of what a kill is asked with, in characters; for issuer and subject id in
// bytes, as they are stored.
const (
	MaxIdentity   = 255
	MaxConnection = 40
	MaxReason     = 64
)

// Target says whose access a kill ends. Exactly one form is set: issuer and subject
// id, issuer and e-mail, account id, or connection id. With token.AccountIssuer the
// first two name an account.
type Target struct {
	Issuer       string `json:"issuer,omitempty"`
	SubjectID    string `json:"subject_id,omitempty"`
	Email        string `json:"email,omitempty"`
	AccountID    string `json:"account_id,omitempty"`
	ConnectionID string `json:"connection_id,omitempty"`
}

// ErrTarget is returned for a target that is none of the forms, or a part of it that
// nothing can have.
var ErrTarget = fault.New(fault.Unprocessable, "invalid_param", "Request validation failed")

// form is which of the four a target is; audit names it.
type form string

const (
	bySubject    form = "subject"
	byEmail      form = "email"
	byAccount    form = "account"
	byConnection form = "connection"
)

// Check gives the target in its canonical spelling, or ErrTarget.
func (t Target) Check() (Target, error) {
	if email, ok := canon.Email(t.Email); ok {
		t.Email = email
	} else if t.Email != "" {
		return t, ErrTarget
	}
	if _, ok := t.form(); !ok || !t.bounded() {
		return t, ErrTarget
	}
	return t, nil
}

func (t Target) form() (form, bool) {
	switch t {
	case Target{Issuer: t.Issuer, SubjectID: t.SubjectID}:
		return bySubject, t.Issuer != "" && t.SubjectID != ""
	case Target{Issuer: t.Issuer, Email: t.Email}:
		return byEmail, t.Issuer != "" && t.Email != ""
	case Target{AccountID: t.AccountID}:
		return byAccount, canon.IsID(t.AccountID)
	case Target{ConnectionID: t.ConnectionID}:
		return byConnection, t.ConnectionID != ""
	}
	return "", false
}

func (t Target) bounded() bool {
	return plain(t.Issuer, MaxIdentity) && plain(t.SubjectID, MaxIdentity) && plain(t.ConnectionID, MaxConnection)
}

// plain: no identity has a control character, and a column of text takes no NUL.
func plain(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// key is the counter that the target names, and rows what stands under it.
func (t Target) key() (key string, rows Rows) {
	switch {
	case t.AccountID != "":
		return token.AccountKey(t.AccountID), rowsOf(t.AccountID)
	case t.ConnectionID != "":
		return token.ConnectionKey(t.ConnectionID), Rows{ConnectionID: t.ConnectionID}
	case t.Email != "":
		return token.ExternalEmailKey(t.Issuer, t.Email), Rows{Issuer: t.Issuer, Email: t.Email}
	default:
		return token.ExternalKey(t.Issuer, t.SubjectID), Rows{Issuer: t.Issuer, SubjectID: t.SubjectID}
	}
}

// rowsOf are an account's, also once its row is gone and theirs point nowhere.
func rowsOf(accountID string) Rows {
	return Rows{Issuer: token.AccountIssuer, SubjectID: accountID}
}
