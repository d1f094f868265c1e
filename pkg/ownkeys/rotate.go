// SPDX-License-Identifier: Apache-2.0

package ownkeys

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// PreviousLife is how long a former key of our own is kept at least. What is under way
// lives for minutes; it is pages that stay open overnight.
const PreviousLife = 24 * time.Hour

// Rotation is what became of a rotation of SECRET_KEY.
type Rotation struct {
	// Changed: the file or the canary was written. Restart: the key in use is still the
	// former one. Previous is the file that has it, where the service keeps its key itself.
	Changed  bool   `json:"changed"`
	Restart  bool   `json:"restart"`
	Previous string `json:"previous,omitempty"`
}

// NewSecretKey draws a new key of our own for the next start. The former one is put
// aside first, then the new one takes its place: whichever step a crash comes after, the
// next start finds the key of the canary as the present or the former one.
func NewSecretKey(dir *datadir.Dir, inUse secret.Text) (Rotation, error) {
	r := Rotation{Restart: true, Previous: dir.Path(datadir.PreviousKeyFile)}
	present, err := datadir.ReadPrivate(dir.Path(datadir.SecretKeyFile))
	if err != nil {
		return Rotation{}, err
	}
	if !line(present).Equal(inUse) {
		return r, nil // a second rotation would lose the canary's key
	}
	if err := dir.Replace(datadir.PreviousKeyFile, present); err != nil {
		return Rotation{}, err
	}
	if err := dir.Replace(datadir.SecretKeyFile, []byte(secret.Random()+"\n")); err != nil {
		return Rotation{}, err
	}
	r.Changed = true
	return r, nil
}

// ForgetPrevious removes the former key once nothing needs it, and gives its file's name
// if it did. The caller knows that the canary is under the present one.
func ForgetPrevious(dir *datadir.Dir, now time.Time) (removed string, err error) {
	path := dir.Path(datadir.PreviousKeyFile)
	if info, err := os.Stat(path); err != nil || now.Sub(info.ModTime()) <= PreviousLife {
		return "", nil //nolint:nilerr // there is none, or it cannot be judged: it stays
	}
	return path, os.Remove(path)
}

// NewSealingKey puts a new sealing key of our own in front and drops those that nothing
// needs: the caller has sealed everything with the first one before.
func NewSealingKey(dir *datadir.Dir, keys *seal.Keys) error {
	file, err := datadir.ReadPrivate(dir.Path(datadir.SealingKeyFile))
	if err != nil {
		return err
	}
	ids := keys.IDs()
	var former string
	for l := range strings.Lines(string(file)) {
		if strings.HasPrefix(strings.TrimSpace(l), ids[0]+":") {
			former = strings.TrimSpace(l) + "\n"
		}
	}
	content := append(seal.NewKeyFile(nextKeyID(ids)), former...)
	next, err := seal.Parse(content)
	if err != nil {
		return err
	}
	if err := dir.Replace(datadir.SealingKeyFile, content); err != nil {
		return err
	}
	keys.Become(next)
	return nil
}

// nextKeyID counts on: k1, k2, k3.
func nextKeyID(ids []string) string {
	most := 0
	for _, id := range ids {
		if n, err := strconv.Atoi(strings.TrimPrefix(id, "k")); err == nil {
			most = max(most, n)
		}
	}
	return "k" + strconv.Itoa(most+1)
}
