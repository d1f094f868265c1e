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
	// ConnectionID names the connection through which such a person signed in.
	ConnectionID string
}

// AccountSubject is the subject of an account.
func AccountSubject(accountID, email string) Subject {
	return Subject{Issuer: AccountIssuer, ID: accountID, Email: email, AccountID: accountID}
}

// Key names the subject in epochs, limits and audit: the lower-case hex SHA-256 of
// its kind and identity.
func (s Subject) Key() string {
	if s.AccountID != "" {
		return AccountKey(s.AccountID)
	}
	return ExternalKey(s.Issuer, s.ID)
}

// EpochKeys lists the keys whose epochs decide whether an approval of this subject
// still counts, in the order in which transactions lock them. An account has its own.
// A person of an identity provider has four, for each of them may be what a kill
// names: the identity, the e-mail at that issuer, the connection, and the e-mail that
// an account may come to have.
func (s Subject) EpochKeys() []string {
	keys := []string{s.Key()}
	if s.AccountID == "" {
		keys = append(keys, ExternalEmailKey(s.Issuer, s.Email), EmailKey(s.Email))
		if s.ConnectionID != "" {
			keys = append(keys, ConnectionKey(s.ConnectionID))
		}
	}
	return LockOrder(keys...)
}

// AccountKey names an account in epochs, limits and audit.
func AccountKey(accountID string) string { return subjectKey("account\x00" + accountID) }

// ExternalKey names an identity of an identity provider.
func ExternalKey(issuer, subjectID string) string {
	return subjectKey("external\x00" + issuer + "\x00" + subjectID)
}

// ExternalEmailKey names whoever has an e-mail at an issuer.
func ExternalEmailKey(issuer, email string) string {
	return subjectKey("external-email\x00" + issuer + "\x00" + email)
}

// ConnectionKey names everybody who signed in through a connection.
func ConnectionKey(connectionID string) string {
	return subjectKey("connection\x00" + connectionID)
}

// EmailKey names whoever has an e-mail without an account, at any issuer.
func EmailKey(email string) string { return subjectKey("email\x00" + email) }

// LockOrder gives keys in the order in which every transaction locks them, each once,
// so that two of them never wait for each other.
func LockOrder(keys ...string) []string {
	slices.Sort(keys)
	return slices.Compact(keys)
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
