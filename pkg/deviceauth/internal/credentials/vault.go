// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/keyring"
)

// Auto is the Vault's own choice: the keyring, or the file where none answers.
const Auto = "auto"

// Vault is the file and the keyring together.
type Vault struct {
	Store
	Ring keyring.Keyring
	Mode string // Auto, InKeyring, InFile: where the next token is kept
}

// Locked says that a token is in a keyring that does not answer.
type Locked struct {
	Host string
	Err  error
}

// Error gives one line.
func (e *Locked) Error() string { return fmt.Sprintf("the token of %s: %v", e.Host, e.Err) }

// Unwrap gives the cause.
func (e *Locked) Unwrap() error { return e.Err }

// itemOf names a token in the keyring. A later login of the same device keeps its session
// and so the name, wherever its file is: the older token is dead by then.
func itemOf(e Entry) string {
	if e.TokenID != "" {
		return e.Host + " " + e.TokenID
	}
	return e.Host + " " + rand.Text()
}

// place puts the token where Mode says. The error says why a keyring that was wanted has
// not got it; then the entry is one for the file.
func (v Vault) place(e Entry) (Entry, error) {
	e.Kept, e.Item = InFile, ""
	if v.Mode == InFile {
		return e, nil
	}
	item := itemOf(e)
	err := v.Ring.Set(item, e.Token.Reveal())
	if err == nil { // some keyrings take it and forget it
		var back string
		if back, err = v.Ring.Get(item); err == nil && back != e.Token.Reveal() {
			err = fmt.Errorf("%w: it gives something else back", keyring.ErrUnavailable)
		}
	}
	if err != nil {
		return e, err
	}
	e.Kept, e.Item = InKeyring, item
	return e, nil
}

// Keep stores a sign-in and gives it as it is kept, with the one of its host that it
// replaces. Under Mode InKeyring a keyring that does not answer is an error, under Auto it
// is not.
func (v Vault) Keep(e Entry) (kept, before Entry, err error) {
	// Under the lock the keyring too: its item may be that of an older token.
	err = v.Update(false, func(f File) (File, error) {
		before, _ = f.Of(e.Host)
		var unkept error
		if kept, unkept = v.place(e); unkept != nil && v.Mode == InKeyring {
			return f, unkept
		}
		return f.With(kept), nil
	})
	if err != nil {
		_ = v.drop(kept)
		return kept, Entry{}, err
	}
	if before.Kept == InKeyring && before.Item != kept.Item {
		if secret, err := v.Ring.Get(before.Item); err == nil {
			before.Token = deviceauth.NewSecret(secret)
		}
		_ = v.drop(before)
	}
	return kept, before, nil
}

// drop takes a token out of the keyring, where it may be also when the file has it: a
// keyring can finish what it was asked for after nobody waits any more.
func (v Vault) drop(e Entry) error {
	item := e.Item
	if item == "" && e.TokenID != "" {
		item = itemOf(e)
	}
	if item == "" {
		return nil
	}
	err := v.Ring.Delete(item)
	if errors.Is(err, keyring.ErrAbsent) || e.Kept != InKeyring {
		return nil
	}
	return err
}

// Open gives an entry with its token. One that an earlier version left in the file moves
// to the keyring, as does one that Mode InKeyring wants there; then moved is true. The
// error is *Locked: it wraps keyring.ErrAbsent when the keyring has lost the token.
func (v Vault) Open(e Entry) (opened Entry, moved bool, err error) {
	if e.Kept == InKeyring {
		secret, err := v.Ring.Get(e.Item)
		if err != nil {
			return e, false, &Locked{Host: e.Host, Err: err}
		}
		e.Token = deviceauth.NewSecret(secret)
		return e, false, nil
	}
	if v.Mode != InKeyring && (v.Mode != Auto || e.Kept != "") {
		return e, false, nil
	}
	to := e
	err = v.Update(false, func(f File) (File, error) {
		now, ok := f.Of(e.Host)
		if !ok || !same(now, e) {
			return f, errElsewhere
		}
		to, _ = v.place(e)
		return f.With(to), nil
	})
	if err != nil { // the file still has it, and that is enough to go on
		if to.Kept == InKeyring {
			_ = v.drop(to)
		}
		return e, false, nil
	}
	return to, to.Kept == InKeyring, nil
}

// errElsewhere says that somebody signed in or out meanwhile.
var errElsewhere = errors.New("the sign-in is another one by now")

// same tells whether two entries are one sign-in.
func same(a, b Entry) bool { return a.TokenID == b.TokenID && a.SignedInAt.Equal(b.SignedInAt) }

// Forget removes a sign-in from the keyring and the file, unless another has taken its
// place there. The keyring's error does not keep the file from being changed.
func (v Vault) Forget(e Entry, exposed bool) (inKeyring, inFile error) {
	inKeyring = v.drop(e)
	inFile = v.Update(exposed, func(f File) (File, error) {
		if now, ok := f.Of(e.Host); ok && same(now, e) {
			return f.Without(e.Host), nil
		}
		return f, nil
	})
	return inKeyring, inFile
}
