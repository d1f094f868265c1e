// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// MinClientSecret is the least length of a client's secret in bytes. A longer one that
// was drawn at random needs no slow hash.
const MinClientSecret = 32

// maxClientSecret bounds what is hashed of a stranger's header.
const maxClientSecret = 1024

var clientID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// ErrClients says what is wrong with a list of clients, by the place of an entry and
// never by its text.
var ErrClients = errors.New(`authz: a client reads "id:" and the SHA-256 of its secret in 64 hex digits`)

// Clients are services that authenticate by HTTP Basic (RFC 7617). They are known by the
// digests of their secrets. It is immutable.
type Clients struct{ byID map[string]secret.Digest }

// NewClients reads entries of the form id:hex, where hex is the SHA-256 of the client's
// secret. It returns ErrClients.
func NewClients(entries []string) (*Clients, error) {
	c := &Clients{byID: make(map[string]secret.Digest, len(entries))}
	for i, entry := range entries {
		id, digits, _ := strings.Cut(entry, ":")
		raw, err := hex.DecodeString(digits)
		digest, size := secret.DigestFrom(raw)
		if err != nil || size != nil || !clientID.MatchString(id) {
			return nil, fmt.Errorf("%w: entry %d does not", ErrClients, i+1)
		}
		if _, twice := c.byID[id]; twice {
			return nil, fmt.Errorf("%w: entry %d has the id of another", ErrClients, i+1)
		}
		c.byID[id] = digest
	}
	return c, nil
}

// Authenticate gives the client whose credentials stand in the Authorization header. It
// takes every header line of that name: more than one is ErrAmbiguous, and ok is false
// for none, for another scheme and for wrong credentials alike.
func (c *Clients) Authenticate(headers []string) (id string, ok bool, err error) {
	if len(headers) > 1 {
		return "", false, ErrAmbiguous
	}
	if len(headers) == 0 {
		return "", false, nil
	}
	id, password, ok := basic(headers[0])
	if !ok {
		return "", false, nil
	}
	want, known := c.byID[id]
	// Clients of RFC 6749 section 2.3.1 encode the secret once more, others do not. No
	// secret is another's encoding by chance: 32 random bytes are behind each.
	right := matches(want, password)
	if decoded, err := url.QueryUnescape(password); err == nil && decoded != password {
		right |= matches(want, decoded)
	}
	if !known || right != 1 {
		return "", false, nil
	}
	return id, true, nil
}

func matches(want secret.Digest, password string) int {
	if len(password) < MinClientSecret || len(password) > maxClientSecret {
		return 0
	}
	got := secret.DigestOf(password)
	return subtle.ConstantTimeCompare(got[:], want[:])
}

// basic takes user and password out of a Basic header (RFC 7617 section 2). The user may
// not hold a colon, the password may.
func basic(header string) (user, password string, ok bool) {
	scheme, value, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Basic") || len(value) > 4*maxClientSecret {
		return "", "", false
	}
	// The decoder skips line ends, which no header value holds and no client sends.
	raw, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil || strings.ContainsAny(value, "\r\n") {
		return "", "", false
	}
	return strings.Cut(string(raw), ":")
}
