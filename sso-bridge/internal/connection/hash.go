// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// ShownFingerprint is how much of a secret's fingerprint is shown, in characters.
const ShownFingerprint = 8

// Fingerprint stands for a secret in a revision: an HMAC, so that a guess cannot be
// tried on a dump, under a key that never changes, so that a new sealing key is no new
// revision. It is empty for no secret.
func Fingerprint(key []byte, s secret.Text) string {
	if s.IsZero() {
		return ""
	}
	return secret.MACOf(key, s.Reveal()).Hex()
}

// Hash gives the hash of a configuration with its secrets.
func Hash(fingerprintKey []byte, c Config, with Secrets) string {
	_, hash, err := encoded(fingerprinted(fingerprintKey, c, with))
	if err != nil { // a Config has nothing that does not encode
		return ""
	}
	return hash
}

// fingerprinted gives a configuration with the fingerprints of the secrets that it uses,
// whatever stood there.
func fingerprinted(key []byte, c Config, with Secrets) Config {
	c = c.clone()
	for _, f := range c.fingerprints() {
		*f = ""
	}
	client, private := c.uses()
	switch {
	case c.OIDC != nil && client:
		c.OIDC.ClientSecret = Fingerprint(key, with.ClientSecret)
	case c.OIDC != nil && private:
		c.OIDC.PrivateKey = Fingerprint(key, with.PrivateKey)
	case c.OAuth2 != nil:
		c.OAuth2.ClientSecret = Fingerprint(key, with.ClientSecret)
		if c.OAuth2.Scopes == nil {
			c.OAuth2.Scopes = []string{} // none is one content, however it was said
		}
	}
	return c
}

// encoded gives the JSON of a configuration and its hash.
func encoded(c Config) (text, hash string, err error) {
	b, err := json.Marshal(c)
	if err != nil {
		return "", "", err
	}
	return string(b), hashOf(string(b)), nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// errDamaged is a stored revision whose content is not what its hash says.
var errDamaged = errors.New("connection: a stored revision does not have its hash")

// decoded reads what encoded made.
func decoded(r Record) (c Config, err error) {
	if hashOf(r.Config) != r.Hash {
		return Config{}, errDamaged
	}
	err = json.Unmarshal([]byte(r.Config), &c)
	return c, err
}

// IsHash reports whether s has the form of a revision's hash.
func IsHash(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}

// Shown gives a configuration as it may be shown: of a secret the first characters of
// its fingerprint, which tell one from another and nothing more.
func (c Config) Shown() Config {
	c = c.clone()
	for _, f := range c.fingerprints() {
		if len(*f) > ShownFingerprint {
			*f = (*f)[:ShownFingerprint]
		}
	}
	return c
}

// fingerprints gives the places of a configuration at which one stands.
func (c Config) fingerprints() (places []*string) {
	if c.OIDC != nil {
		places = append(places, &c.OIDC.ClientSecret, &c.OIDC.PrivateKey)
	}
	if c.OAuth2 != nil {
		places = append(places, &c.OAuth2.ClientSecret)
	}
	return places
}

// clone copies what a change of fingerprints would change.
func (c Config) clone() Config {
	if c.OIDC != nil {
		o := *c.OIDC
		c.OIDC = &o
	}
	if c.OAuth2 != nil {
		o := *c.OAuth2
		c.OAuth2 = &o
	}
	return c
}
