// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// keys are one key per purpose, all derived from SECRET_KEY, and those that seal.
type keys struct {
	userCode, csrf, entry, canary []byte
	sealing                       *seal.Keys
	// former are those that derive from the former SECRET_KEY, all nil without one.
	former struct{ userCode, csrf, entry, canary []byte }
	// master is SECRET_KEY, previous the one before it, and own whether core has made it
	// itself in the data directory.
	master, previous secret.Text
	own              bool
}

// sealingKeyID names the key that an embedded installation makes for itself.
const sealingKeyID = "k1"

// loadKeys reads the keys, making in the data directory, where there is one, those that
// were not given. A database without its keys is refused: a new key would make what it
// holds useless.
func loadKeys(s *Settings, dir *datadir.Dir) (*keys, error) {
	var problems config.Problems
	orphan := dir != nil && dir.Has(DatabaseFile)

	master, previous, own := s.SecretKey, s.SecretKeyPrevious, s.SecretKey.IsZero()
	if master.IsZero() {
		if dir == nil {
			problems.Add("SECRET_KEY", "%s", errNotGiven)
		} else if orphan && !dir.Has(datadir.SecretKeyFile) {
			problems.Add("SECRET_KEY", "is missing: %s exists, but the key it was made with does not; restore %s", dir.Path(DatabaseFile), dir.Path(datadir.SecretKeyFile))
		} else if text, err := dir.Once(datadir.SecretKeyFile, func() []byte { return []byte(secret.Random() + "\n") }); err != nil {
			problems.Add("SECRET_KEY", "%s", err)
		} else {
			master = secret.New(strings.TrimRight(string(text), "\r\n"))
			if previous, err = formerKey(dir, master); err != nil {
				problems.Add("SECRET_KEY_PREVIOUS", "%s", err)
			}
		}
	}
	var sealing *seal.Keys
	file, err := readSealing(s, dir, orphan)
	if err == nil {
		sealing, err = seal.Parse(file)
	}
	if err != nil {
		problems.Add("SEALING_KEY_FILE", "%s", err)
	}
	if s.sso != nil {
		judgeApart(s.sso.keys, []namedSecret{{"SECRET_KEY", master}, {"SECRET_KEY_PREVIOUS", previous}}, file, &problems)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}

	k := &keys{sealing: sealing, master: master, previous: previous, own: own}
	for purpose, key := range map[string][2]*[]byte{
		"device.user_code": {&k.userCode, &k.former.userCode}, "console.csrf": {&k.csrf, &k.former.csrf},
		"device.entry": {&k.entry, &k.former.entry}, "installation.canary": {&k.canary, &k.former.canary},
	} {
		if *key[0], err = secret.Derive(master, purpose); err != nil {
			return nil, fmt.Errorf("SECRET_KEY: %w", err)
		}
		if previous.IsZero() {
			continue
		}
		if *key[1], err = secret.Derive(previous, purpose); err != nil {
			return nil, fmt.Errorf("SECRET_KEY_PREVIOUS: %w", err)
		}
	}
	return k, nil
}

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
	former := secret.New(strings.TrimRight(string(text), "\r\n"))
	if former.Equal(present) {
		return secret.Text{}, nil
	}
	return former, nil
}

// errNotGiven: nothing is made where several processes must have the same.
var errNotGiven = errors.New("is required with DATABASE_URL")

func readSealing(s *Settings, dir *datadir.Dir, orphan bool) ([]byte, error) {
	if s.SealingKeyFile != "" {
		return os.ReadFile(s.SealingKeyFile) // its mode is the operator's: a mounted secret belongs to a group
	}
	if dir == nil {
		return nil, errNotGiven
	}
	if orphan && !dir.Has(datadir.SealingKeyFile) {
		return nil, fmt.Errorf("is missing: %s exists, but the key it was made with does not; restore %s", dir.Path(DatabaseFile), dir.Path(datadir.SealingKeyFile))
	}
	return dir.Once(datadir.SealingKeyFile, func() []byte { return seal.NewKeyFile(sealingKeyID) })
}
