// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Registered are the claims that every message has (RFC 7519 section 4.1). No caller
// of Sign sets them.
type Registered struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"` // seconds since 1970
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"` // 22 characters of base64url
}

// At is the time of signing.
func (r Registered) At() time.Time { return time.Unix(r.IssuedAt, 0).UTC() }

// Until is the end of the message's life.
func (r Registered) Until() time.Time { return time.Unix(r.Expires, 0).UTC() }

// Deps is what a Codec needs. All fields are required but Owner, which an audience of
// one owner needs and every other must not have.
type Deps struct {
	Keys     *keyset.Ring
	Audience Audience
	// Issuer is the origin that signs: the iss claim that is set and expected.
	Issuer string
	// Owner is the SECRET_KEY of the service that alone signs and verifies.
	Owner secret.Text
	Now   func() time.Time
}

// Codec signs and verifies the messages of one audience. C is the struct of its
// claims: a member whose json tag lacks omitempty is required. It is safe for
// concurrent use.
type Codec[C any] struct {
	Deps
	required, known []string
}

// New checks the dependencies and the claims' names.
func New[C any](d Deps) (*Codec[C], error) {
	t, ok := d.Audience.traits()
	if !ok {
		return nil, fmt.Errorf("envelope: no audience is named %q", d.Audience)
	}
	if d.Keys == nil || d.Issuer == "" || d.Now == nil {
		return nil, errors.New("envelope: keys, issuer and clock are required")
	}
	if t.ownerOnly == d.Owner.IsZero() {
		return nil, fmt.Errorf("envelope: %s and the owner's key do not fit", d.Audience)
	}
	c := &Codec[C]{Deps: d}
	c.required, c.known = members(reflect.TypeFor[C]())
	for _, name := range registered {
		if slices.Contains(c.known, name) {
			return nil, fmt.Errorf("envelope: a claim of %s has the registered name %s", d.Audience, name)
		}
	}
	return c, nil
}

var registered = []string{"iss", "aud", "iat", "exp", "jti"}

// members gives the JSON names of a struct's fields, and which of them are required.
func members(t reflect.Type) (required, known []string) {
	for f := range fields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		known = append(known, name)
		if !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	return required, known
}

func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// header is exactly what the protected header holds, in this order.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

const algorithm = "HS256"

// Sign makes a message with the audience's full life and gives it with its registered
// claims. It fails for claims that do not encode.
func (c *Codec[C]) Sign(claims C) (string, Registered, error) {
	return c.SignFor(claims, c.Audience.Life())
}

// SignFor is Sign with a shorter life; a longer one is cut to the audience's.
func (c *Codec[C]) SignFor(claims C, life time.Duration) (string, Registered, error) {
	at := c.Now().Unix()
	r := Registered{
		Issuer: c.Issuer, Audience: string(c.Audience), IssuedAt: at, Expires: at + int64(min(life, c.Audience.Life())/time.Second), ID: newID(),
	}
	message, err := c.sign(r, claims)
	return message, r, err
}

func (c *Codec[C]) sign(r Registered, claims C) (string, error) {
	kid, key, err := c.Keys.Current().Sign(string(c.Audience), c.Owner)
	if err != nil {
		return "", err
	}
	payload, err := join(r, claims)
	if err != nil {
		return "", err
	}
	head, err := json.Marshal(header{Algorithm: algorithm, KeyID: kid, Type: c.Audience.typ()})
	if err != nil {
		return "", err
	}
	signed := b64.EncodeToString(head) + "." + b64.EncodeToString(payload)
	return signed + "." + b64.EncodeToString(mac(key, signed)), nil
}

// join puts the registered claims before the audience's.
func join(r Registered, claims any) ([]byte, error) {
	first, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	second, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	if len(second) <= len("{}") {
		return first, nil
	}
	return append(append(first[:len(first)-1], ','), second[1:]...), nil
}

var b64 = base64.RawURLEncoding.Strict()

func mac(key []byte, signed string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(signed))
	return m.Sum(nil)
}

const idBytes = 16

func newID() string {
	var b [idBytes]byte
	_, _ = rand.Read(b[:])
	return b64.EncodeToString(b[:])
}
