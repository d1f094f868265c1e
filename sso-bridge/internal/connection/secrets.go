// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"encoding/json"
	"errors"
	"reflect"
	"sync"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// place is what a revision's secrets are sealed for: they open in no other row.
func place(id, hash string) string {
	return "sso_connection_revisions/" + id + ":" + hash + "/secrets_sealed"
}

// sealedSecrets is the form in which secrets are sealed.
type sealedSecrets struct {
	ClientSecret string `json:"client_secret,omitempty"`
	PrivateKey   string `json:"private_key,omitempty"`
}

// held are secrets out of files of their own, by fingerprint. What a file held before
// stays until the process ends, for the revision that serves may still have it.
type held struct {
	mu sync.RWMutex
	by map[string]secret.Text
}

func (h *held) keep(fingerprint string, s secret.Text) {
	if fingerprint == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.by == nil {
		h.by = map[string]secret.Text{}
	}
	h.by[fingerprint] = s
}

func (h *held) get(fingerprint string) secret.Text {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.by[fingerprint]
}

// draft is a content that has been prepared for its row: hashed, its secrets sealed.
type draft struct {
	config Config
	text   string
	hash   string
	sealed string
}

// prepare gives what is to be stored of a configuration. Secrets that its way of
// authentication does not use are dropped; in files says that none are stored.
func (s *Service) prepare(id string, c Config, with Secrets, inFiles bool) (draft, error) {
	client, key := c.uses()
	if !client {
		with.ClientSecret = secret.Text{}
	}
	if !key {
		with.PrivateKey = secret.Text{}
	}
	c = fingerprinted(s.FingerprintKey, c, with)
	text, hash, err := encoded(c)
	if err != nil {
		return draft{}, err
	}
	d := draft{config: c, text: text, hash: hash}
	if inFiles || with.ClientSecret.IsZero() && with.PrivateKey.IsZero() {
		return d, nil
	}
	clear, err := json.Marshal(sealedSecrets{ClientSecret: with.ClientSecret.Reveal(), PrivateKey: with.PrivateKey.Reveal()})
	if err != nil {
		return draft{}, errors.New("connection: secrets are not encoded")
	}
	d.sealed = s.Seal.Seal(clear, place(id, hash))
	return d, nil
}

// uses says which of the secrets the configured authentication takes.
func (c Config) uses() (client, key bool) {
	if c.OIDC != nil {
		return c.OIDC.Auth != AuthKey, c.OIDC.Auth == AuthKey
	}
	return c.OAuth2 != nil, false
}

// errNoSecret is a secret that its file does not hold any more, and no store has.
var errNoSecret = errors.New("connection: a secret of this revision is not in its file any more")

// open gives the secrets of a revision. It returns errNoSecret when one has a
// fingerprint and is not to be had.
func (s *Service) open(r Record, c Config) (Secrets, error) {
	var have Secrets
	if r.Sealed != "" {
		clear, err := s.Seal.Open(r.Sealed, place(r.ConnectionID, r.Hash))
		if err != nil {
			return Secrets{}, err
		}
		var in sealedSecrets
		if json.Unmarshal(clear, &in) != nil {
			return Secrets{}, errors.New("connection: sealed secrets do not decode")
		}
		have = Secrets{ClientSecret: secret.New(in.ClientSecret), PrivateKey: secret.New(in.PrivateKey)}
	}
	client, key := c.secrets()
	if client != "" && have.ClientSecret.IsZero() {
		if have.ClientSecret = s.held.get(client); have.ClientSecret.IsZero() {
			return Secrets{}, errNoSecret
		}
	}
	if key != "" && have.PrivateKey.IsZero() {
		if have.PrivateKey = s.held.get(key); have.PrivateKey.IsZero() {
			return Secrets{}, errNoSecret
		}
	}
	return have, nil
}

// secrets gives the fingerprints of a configuration's secrets.
func (c Config) secrets() (client, key string) {
	switch {
	case c.OIDC != nil:
		return c.OIDC.ClientSecret, c.OIDC.PrivateKey
	case c.OAuth2 != nil:
		return c.OAuth2.ClientSecret, ""
	}
	return "", ""
}

// hold keeps the secrets of a declaration in memory.
func (s *Service) hold(c Config, with Secrets) {
	client, key := c.secrets()
	s.held.keep(client, with.ClientSecret)
	s.held.keep(key, with.PrivateKey)
}

// inherit gives secrets that an edit leaves out: those of the head, as long as they go
// where they went before. A secret that nobody can read back is not sent to an address
// that somebody has just typed.
func (s *Service) inherit(given Secrets, to Config, from Record) (Secrets, error) {
	before, err := decoded(from)
	if err != nil {
		return Secrets{}, err
	}
	if !sameReceiver(before, to) {
		return given, nil
	}
	have, err := s.open(from, before)
	if errors.Is(err, errNoSecret) {
		return given, nil
	}
	if err != nil {
		return Secrets{}, err
	}
	if given.ClientSecret.IsZero() {
		given.ClientSecret = have.ClientSecret
	}
	if given.PrivateKey.IsZero() {
		given.PrivateKey = have.PrivateKey
	}
	return given, nil
}

// sameReceiver reports whether both configurations show their secrets to one party.
func sameReceiver(a, b Config) bool {
	switch {
	case a.OIDC != nil && b.OIDC != nil:
		return a.OIDC.Issuer == b.OIDC.Issuer && a.OIDC.ClientID == b.OIDC.ClientID && reflect.DeepEqual(a.OIDC.Endpoints, b.OIDC.Endpoints)
	case a.OAuth2 != nil && b.OAuth2 != nil:
		return a.OAuth2.TokenURL == b.OAuth2.TokenURL && a.OAuth2.ClientID == b.OAuth2.ClientID
	}
	return false
}
