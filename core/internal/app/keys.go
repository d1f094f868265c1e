// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/ownkeys"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// keys are one key per purpose, all derived from SECRET_KEY, and those that seal.
type keys struct {
	userCode, csrf, entry, canary []byte
	sealing                       *seal.Keys
	// fingerprints makes what is told of apps' keys. What the former SECRET_KEY had made of
	// them is not needed: nothing keeps a fingerprint.
	fingerprints []byte
	// former are those that derive from the former SECRET_KEY, all nil without one.
	former struct{ userCode, csrf, entry, canary []byte }
	// master is SECRET_KEY, previous the one before it, and own whether core has made it
	// itself in the data directory.
	master, previous secret.Text
	own              bool
}

func keySource(s *Settings, dir *datadir.Dir) ownkeys.Source {
	return ownkeys.Source{Dir: dir, Database: DatabaseFile, SecretKey: s.SecretKey, SecretKeyPrevious: s.SecretKeyPrevious, SealingKeyFile: s.SealingKeyFile}
}

// loadKeys loads core's own keys, and refuses those that a key set holds too.
func loadKeys(s *Settings, dir *datadir.Dir) (*keys, error) {
	from := keySource(s, dir)
	own, err := from.Load()
	if err != nil {
		return nil, err
	}
	if s.sso != nil {
		file, err := from.SealingFile()
		if err != nil {
			return nil, err
		}
		var problems config.Problems
		ownkeys.Apart(s.sso.keys, own.Master, own.Previous, file, &problems)
		if err := problems.Err(); err != nil {
			return nil, err
		}
	}
	k := &keys{sealing: own.Sealing, master: own.Master, previous: own.Previous, own: own.Own}
	for purpose, key := range map[string][2]*[]byte{
		"device.user_code": {&k.userCode, &k.former.userCode}, "console.csrf": {&k.csrf, &k.former.csrf},
		"device.entry": {&k.entry, &k.former.entry}, "installation.canary": {&k.canary, &k.former.canary},
		"apps.key_fingerprint": {&k.fingerprints, new([]byte)},
	} {
		if *key[0], *key[1], err = own.Derive(purpose); err != nil {
			return nil, err
		}
	}
	return k, nil
}
