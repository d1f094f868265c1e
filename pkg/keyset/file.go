// SPDX-License-Identifier: Apache-2.0

package keyset

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/wire"
)

// The bounds of the file (docs/specs/v1.0/server/sso.md, Key set).
const (
	MaxFile      = 16 << 10 // bytes
	MaxEntries   = 8
	MinSecret    = 32 // bytes
	MaxSecret    = 64
	minVariety   = 16 // distinct bytes of a secret
	privateModes = 0o640
)

var kidShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)

// published are secrets that stand in documents: whoever has read those knows them.
var published = []string{
	"pLh0c3VQm2c5Xy7Tn1b9kD4wRrJf8sGzEaHqUiOoN6M",
	"W9dTz0YfK3vQ7mXhB1nLr5uPgC8sJaE2oIiRkVtNx4U",
}

// File is the file as it is written. Its secrets are in clear.
type File struct {
	Version int     `json:"version"`
	Active  string  `json:"active"`
	Keys    []Entry `json:"keys"`
}

// Entry is one secret of the file. VerifyUntil is the end of an entry that signs no
// more; times are RFC 3339.
type Entry struct {
	KID         string  `json:"kid"`
	Secret      string  `json:"secret"`
	CreatedAt   string  `json:"created_at"`
	VerifyUntil *string `json:"verify_until,omitempty"`
}

// Decode reads the form of the file and judges none of it. Errors never repeat its
// content.
func Decode(content []byte) (File, error) {
	var f File
	if len(content) > MaxFile {
		return f, fmt.Errorf("is larger than %d bytes", MaxFile)
	}
	if err := wire.JSON(content, &f, wire.Refuse); err != nil {
		return f, fmt.Errorf("is not the JSON of a key set: %w", err)
	}
	return f, nil
}

// Parse gives the set of a file. It refuses, with every problem joined and each by the
// entry's place, whatever is not exactly a key set at now. Problems never carry a
// secret.
func Parse(content []byte, now time.Time) (*Set, error) {
	f, err := Decode(content)
	if err != nil {
		return nil, err
	}
	var problems []error
	say := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if f.Version != 1 {
		say("version must be 1")
	}
	if len(f.Keys) == 0 || len(f.Keys) > MaxEntries {
		say("keys must have 1 to %d entries", MaxEntries)
	}
	s := &Set{active: f.Active, keys: make(map[string]key, len(f.Keys))}
	secrets := map[string]int{}
	for i, e := range f.Keys {
		k, found := e.parse()
		for _, p := range found {
			say("entry %d: %w", i+1, p)
		}
		if _, dup := s.keys[e.KID]; dup {
			say("entry %d: repeats a kid", i+1)
		}
		if first, dup := secrets[string(k.secret)]; dup && len(k.secret) > 0 {
			say("entry %d: has the secret of entry %d", i+1, first)
		}
		s.keys[e.KID], secrets[string(k.secret)] = k, i+1
	}
	switch active, ok := s.keys[f.Active]; {
	case !ok:
		say("active names no entry")
	case !active.verifyUntil.IsZero() && !now.Before(active.verifyUntil):
		say("active names an entry past its verify_until")
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return s, nil
}

func (e Entry) parse() (k key, problems []error) {
	say := func(text string) { problems = append(problems, errors.New(text)) }
	if !kidShape.MatchString(e.KID) {
		say("kid must be 1 to 32 of a-z, 0-9, dot, underscore and hyphen, and begin with a letter or digit")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(e.Secret)
	switch {
	case err != nil || encode(raw) != e.Secret || len(raw) < MinSecret || len(raw) > MaxSecret:
		say(fmt.Sprintf("secret must be %d to %d bytes of unpadded base64url", MinSecret, MaxSecret))
	case variety(raw) < minVariety:
		say("secret has too few different bytes to be random")
	}
	if Published(secret.New(e.Secret)) {
		say("secret is one that stands in public documents")
	}
	k.secret = raw
	if _, err := time.Parse(time.RFC3339, e.CreatedAt); err != nil {
		say("created_at must be a time such as 2026-11-01T00:00:00Z")
	}
	if e.VerifyUntil != nil {
		if k.verifyUntil, err = time.Parse(time.RFC3339, *e.VerifyUntil); err != nil {
			say("verify_until must be a time such as 2026-11-01T00:00:00Z")
		}
	}
	return k, problems
}

// Published reports whether a secret, decoded or as it is written in a file, stands in
// public documents.
func Published(s secret.Text) bool {
	for _, known := range published {
		raw, _ := base64.RawURLEncoding.DecodeString(known)
		if s.Equal(secret.New(known)) || s.Equal(secret.New(string(raw))) {
			return true
		}
	}
	return false
}

// Problems takes apart what Parse and Load return, one problem each.
func Problems(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func variety(b []byte) int {
	seen := map[byte]bool{}
	for _, c := range b {
		seen[c] = true
	}
	return len(seen)
}

// Encode writes a file down.
func (f File) Encode() ([]byte, error) {
	out, err := json.MarshalIndent(f, "", "  ")
	return append(out, '\n'), err
}

// Read gives the content of a key-set file. It refuses one that others may read: what
// it holds is no secret any more. A group may: a mounted secret belongs to one.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&^privateModes != 0 {
		return nil, fmt.Errorf("has mode %04o: type chmod 640 %s", mode, path)
	}
	if info.Size() > MaxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, MaxFile)
	}
	return os.ReadFile(path) //nolint:gosec // the operator names the file
}

// Load reads and parses the file at path.
func Load(path string, now time.Time) (*Set, error) {
	content, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(content, now)
}
