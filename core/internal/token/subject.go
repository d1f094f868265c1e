// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Subject is the person a token stands for. The identity is (issuer, id); the
// e-mail is a label.
type Subject struct {
	Issuer    string
	ID        string
	Email     string // canonical
	AccountID string // empty for a person who exists only at an identity provider
}

// AccountSubject is the subject of an account.
func AccountSubject(accountID, email string) Subject {
	return Subject{Issuer: AccountIssuer, ID: accountID, Email: email, AccountID: accountID}
}

// Key names the subject in epochs, limits and audit: the lower-case hex SHA-256 of
// its kind and identity.
func (s Subject) Key() string {
	if s.AccountID != "" {
		return subjectKey("account\x00" + s.AccountID)
	}
	return subjectKey("external\x00" + s.Issuer + "\x00" + s.ID)
}

// EpochKeys lists the keys whose epochs decide whether an approval of this subject
// still counts, in the order in which transactions lock them.
func (s Subject) EpochKeys() []string {
	keys := []string{s.Key()}
	slices.Sort(keys)
	return keys
}

// Owns reports whether a session belongs to the same person. An account and an
// external subject of one e-mail never own each other's.
func (s Subject) Owns(o Subject) bool {
	if s.AccountID != "" || o.AccountID != "" {
		return s.AccountID == o.AccountID
	}
	return s.Issuer == o.Issuer && s.ID == o.ID
}

func subjectKey(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
