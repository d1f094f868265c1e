// SPDX-License-Identifier: Apache-2.0

package ownkeys

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/keyset"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Source says where the keys are.
type Source struct {
	// Dir is the data directory, nil in a fleet; Database the name of the file in it that
	// would be useless under new keys.
	Dir      *datadir.Dir
	Database string

	SecretKey         secret.Text
	SecretKeyPrevious secret.Text
	SealingKeyFile    string
}

// Keys are the keys of a service.
type Keys struct {
	// Master is SECRET_KEY, Previous the one before it, zero without one.
	Master, Previous secret.Text
	// Own says that Master is kept in the data directory, by the service itself.
	Own     bool
	Sealing *seal.Keys
}

// Files are the files in which a service keeps the keys that it makes itself, those first that the
// database needs.
var Files = []string{datadir.SecretKeyFile, datadir.PreviousKeyFile, datadir.SealingKeyFile}

// firstSealingKey names the key that an embedded installation makes for itself.
const firstSealingKey = "k1"

// errNotGiven: nothing is made where several processes must have the same.
var errNotGiven = errors.New("is required with DATABASE_URL")

func (s Source) orphan() bool { return s.Dir != nil && s.Dir.Has(s.Database) }

// Load reads the keys, making in the data directory those that were not given. A database
// without its keys is refused: a new key would make what it holds useless. It returns
// config.Problems.
func (s Source) Load() (*Keys, error) {
	var problems config.Problems
	k := &Keys{Master: s.SecretKey, Previous: s.SecretKeyPrevious, Own: s.SecretKey.IsZero()}
	if k.Own {
		s.loadOwn(k, &problems)
	}
	file, err := s.SealingFile()
	if err == nil {
		k.Sealing, err = seal.Parse(file)
	}
	if err != nil {
		problems.Add("SEALING_KEY_FILE", "%s", err)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return k, nil
}

func (s Source) loadOwn(k *Keys, problems *config.Problems) {
	if s.Dir == nil {
		problems.Add("SECRET_KEY", "%s", errNotGiven)
		return
	}
	if s.orphan() && !s.Dir.Has(datadir.SecretKeyFile) {
		problems.Add("SECRET_KEY", "is missing: %s exists, but the key it was made with does not; restore %s", s.Dir.Path(s.Database), s.Dir.Path(datadir.SecretKeyFile))
		return
	}
	text, err := s.Dir.Once(datadir.SecretKeyFile, func() []byte { return []byte(secret.Random() + "\n") })
	if err != nil {
		problems.Add("SECRET_KEY", "%s", err)
		return
	}
	k.Master = line(text)
	if k.Previous, err = formerKey(s.Dir, k.Master); err != nil {
		problems.Add("SECRET_KEY_PREVIOUS", "%s", err)
	}
}

func line(text []byte) secret.Text { return secret.New(strings.TrimRight(string(text), "\r\n")) }

// formerKey reads the key that a rotation has left beside the present one. The two are
// equal where the rotation was cut short before it came to the new key.
func formerKey(dir *datadir.Dir, present secret.Text) (secret.Text, error) {
	if !dir.Has(datadir.PreviousKeyFile) {
		return secret.Text{}, nil
	}
	text, err := datadir.ReadPrivate(dir.Path(datadir.PreviousKeyFile))
	if err != nil {
		return secret.Text{}, err
	}
	if former := line(text); !former.Equal(present) {
		return former, nil
	}
	return secret.Text{}, nil
}

// SealingFile gives the content of the sealing keys' file, making it where Load would.
func (s Source) SealingFile() ([]byte, error) {
	if s.SealingKeyFile != "" {
		return os.ReadFile(s.SealingKeyFile) // its mode is the operator's: a mounted secret belongs to a group
	}
	if s.Dir == nil {
		return nil, errNotGiven
	}
	if s.orphan() && !s.Dir.Has(datadir.SealingKeyFile) {
		return nil, fmt.Errorf("is missing: %s exists, but the key it was made with does not; restore %s", s.Dir.Path(s.Database), s.Dir.Path(datadir.SealingKeyFile))
	}
	return s.Dir.Once(datadir.SealingKeyFile, func() []byte { return seal.NewKeyFile(firstSealingKey) })
}

// Derive gives the key of one purpose, and the one that derives from the former
// SECRET_KEY, nil without one.
func (k *Keys) Derive(purpose string) (present, former []byte, err error) {
	if present, err = secret.Derive(k.Master, purpose); err != nil {
		return nil, nil, fmt.Errorf("SECRET_KEY: %w", err)
	}
	if k.Previous.IsZero() {
		return present, nil, nil
	}
	if former, err = secret.Derive(k.Previous, purpose); err != nil {
		return nil, nil, fmt.Errorf("SECRET_KEY_PREVIOUS: %w", err)
	}
	return present, former, nil
}

// Apart refuses a secret of the service's own that a set which it shares with another
// holds too: the other could then make what this service alone may, and the reverse.
// Secrets that stand in documents are refused as well. set may be nil.
func Apart(set *keyset.Set, present, previous secret.Text, sealingFile []byte, problems *config.Problems) {
	type named struct {
		key   string
		value secret.Text
	}
	own := []named{{"SECRET_KEY", present}, {"SECRET_KEY_PREVIOUS", previous}}
	for _, key := range seal.Values(sealingFile) {
		own = append(own, named{"SEALING_KEY_FILE", key})
	}
	for _, s := range own {
		switch {
		case s.value.IsZero():
		case set != nil && set.Holds(s.value):
			problems.Add(s.key, "must differ from every secret of KEYSET_FILE")
		case keyset.Published(s.value):
			problems.Add(s.key, "must not be a secret that stands in public documents")
		}
	}
}
