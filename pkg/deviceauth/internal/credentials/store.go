// SPDX-License-Identifier: Apache-2.0

// Package credentials keeps what difyauth is signed in with: the tokens in the keyring of
// the session, everything else in one file that its owner alone can read, in a folder of
// its own, replaced as a whole. Where no keyring answers the file has the tokens too.
package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/deviceauth"
)

const (
	fileName = "credentials.json"
	lockName = "credentials.lock"
	version  = 2 // 1 had every token in it
	maxSize  = 1 << 20

	lockPatience = 5 * time.Second // of what another process does in milliseconds
	lockPause    = 20 * time.Millisecond
)

// Where a token is kept.
const (
	InFile    = "file"
	InKeyring = "keyring"
)

// Entry is the sign-in on one host.
type Entry struct {
	Host        string            // origin
	Token       deviceauth.Secret // empty as it is loaded when Kept is InKeyring
	Kept        string            // InFile, InKeyring; empty in a file of version 1
	Item        string            // its name in the keyring
	TokenID     string
	SubjectType string
	Email       string
	Issuer      string // of the identity provider; empty for an account
	ExpiresAt   time.Time
	SignedInAt  time.Time
}

// File is all of it: one entry a host.
type File struct{ Entries []Entry }

// Of gives the entry of a host.
func (f File) Of(host string) (Entry, bool) {
	for _, e := range f.Entries {
		if e.Host == host {
			return e, true
		}
	}
	return Entry{}, false
}

// Latest gives the last one signed in.
func (f File) Latest() (Entry, bool) {
	var latest Entry
	for _, e := range f.Entries {
		if latest.Host == "" || !e.SignedInAt.Before(latest.SignedInAt) {
			latest = e
		}
	}
	return latest, latest.Host != ""
}

// With gives the file with e in the place of its host's entry.
func (f File) With(e Entry) File {
	out := f.Without(e.Host)
	out.Entries = append(out.Entries, e)
	return out
}

// Without gives the file without a host.
func (f File) Without(host string) (out File) {
	for _, e := range f.Entries {
		if e.Host != host {
			out.Entries = append(out.Entries, e)
		}
	}
	return out
}

// Exposed says that others on the machine can read, or replace, what is stored.
type Exposed struct {
	Path   string
	Mode   fs.FileMode
	Folder bool
}

// Error says what to do.
func (e *Exposed) Error() string {
	if e.Folder {
		return fmt.Sprintf("the folder %s is open to others on this machine (mode %04o): run chmod 700 %s, or set DIFYAUTH_CONFIG_DIR to a folder of its own", e.Path, e.Mode, strconv.Quote(e.Path))
	}
	return fmt.Sprintf("%s can be read by others on this machine (mode %04o), so its token is not used: run difyauth logout and sign in again, or, if nobody else has been on this machine, chmod 600 %s", e.Path, e.Mode, strconv.Quote(e.Path))
}

// Store is a folder.
type Store struct{ Dir string }

// Path is where the file is.
func (s Store) Path() string { return filepath.Join(s.Dir, fileName) }

// stored is the form on disk, the only place where a token is written in clear.
type stored struct {
	Version int                   `json:"version"`
	Hosts   map[string]storedHost `json:"hosts"`
}

type storedHost struct {
	Kept        string     `json:"kept"`
	Token       string     `json:"token,omitempty"`
	Item        string     `json:"keyring_item,omitempty"`
	TokenID     string     `json:"token_id,omitempty"`
	SubjectType string     `json:"subject_type,omitempty"`
	Email       string     `json:"email,omitempty"`
	Issuer      string     `json:"issuer,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	SignedInAt  time.Time  `json:"signed_in_at"`
}

// Load reads the file; one that is not there is empty. The error is *Exposed when others
// can read it.
func (s Store) Load() (File, error) {
	if err := s.private(); err != nil {
		return File{}, err
	}
	return s.read(true)
}

// LoadExposed reads it even then: a token that others may have is one to end.
func (s Store) LoadExposed() (File, error) { return s.read(false) }

// private refuses a folder that is open to others. One that is not there is fine.
func (s Store) private() error {
	info, err := os.Stat(s.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no folder: set DIFYAUTH_CONFIG_DIR to one", s.Dir)
	case loose(info.Mode()):
		return &Exposed{Path: s.Dir, Mode: info.Mode().Perm(), Folder: true}
	}
	return nil
}

// loose tells whether anybody but the owner is let in. Windows has no such modes: there
// the profile's own access list keeps others out.
func loose(m fs.FileMode) bool { return m.Perm()&0o077 != 0 && runtime.GOOS != "windows" }

func (s Store) read(strict bool) (File, error) {
	f, err := os.Open(s.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, nil
	}
	if err != nil {
		return File{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat() // of what was opened, not of what the name stands for by now
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is no file: remove it and sign in again", s.Path())
	}
	if strict && loose(info.Mode()) {
		return File{}, &Exposed{Path: s.Path(), Mode: info.Mode().Perm()}
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return File{}, err
	}
	var in stored
	// Without the decoder's error, which may quote what it read.
	if json.Unmarshal(content, &in) != nil || in.Version < 1 {
		return File{}, fmt.Errorf("%s is damaged: remove it and sign in again", s.Path())
	}
	if in.Version > version {
		return File{}, fmt.Errorf("%s was written by a newer difyauth: use that one, or remove the file and sign in again", s.Path())
	}
	var out File
	for host, v := range in.Hosts {
		e := Entry{Host: host, Token: deviceauth.NewSecret(v.Token), Kept: v.Kept, Item: v.Item, TokenID: v.TokenID, SubjectType: v.SubjectType, Email: v.Email, Issuer: v.Issuer, SignedInAt: v.SignedInAt}
		if v.ExpiresAt != nil {
			e.ExpiresAt = *v.ExpiresAt
		}
		out.Entries = append(out.Entries, e)
	}
	slices.SortFunc(out.Entries, func(a, b Entry) int { return strings.Compare(a.Host, b.Host) })
	return out, nil
}

// Update changes the file in one step under a lock: of two processes at once neither
// loses what the other wrote, readers see the old file or the new one, and a process that
// dies leaves the old one. An empty File removes it. With exposed, it is changed even when
// others can read it. An error of change leaves it as it is.
func (s Store) Update(exposed bool, change func(File) (File, error)) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	if err := s.private(); err != nil && !exposed {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	f, err := s.read(!exposed)
	if err != nil {
		return err
	}
	if f, err = change(f); err != nil {
		return err
	}
	return s.save(f)
}

// lock waits for the lock of the folder. Its file stays: removing it would give one lock
// to those who opened the old file and another to those who open the new one.
func (s Store) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.Dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		ok, err := tryLock(f)
		if ok {
			return func() { _ = f.Close() }, nil
		}
		if err == nil && time.Now().After(until) {
			err = fmt.Errorf("another difyauth has held %s for %s: try again when it has ended", f.Name(), lockPatience)
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
	}
}

// Writable tells whether a sign-in could be stored, and leaves nothing behind: a person is
// not asked for a decision that cannot be kept.
func (s Store) Writable() error {
	dir := s.Dir
	for {
		info, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		if errors.Is(err, fs.ErrNotExist) && parent != dir {
			dir = parent
			continue
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is no folder: set DIFYAUTH_CONFIG_DIR to one", dir)
		}
		break
	}
	f, err := os.CreateTemp(dir, ".difyauth.*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096)) // a full disk still makes empty files
	if e := f.Close(); err == nil {
		err = e
	}
	if e := os.Remove(f.Name()); err == nil {
		err = e
	}
	return err
}

func (s Store) save(f File) error {
	if len(f.Entries) == 0 {
		if err := os.Remove(s.Path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	out := stored{Version: version, Hosts: map[string]storedHost{}}
	for _, e := range f.Entries {
		v := storedHost{Kept: e.Kept, Item: e.Item, TokenID: e.TokenID, SubjectType: e.SubjectType, Email: e.Email, Issuer: e.Issuer, SignedInAt: e.SignedInAt.UTC()}
		if e.Kept != InKeyring {
			v.Token = e.Token.Reveal()
		}
		if !e.ExpiresAt.IsZero() {
			at := e.ExpiresAt.UTC().Truncate(time.Second)
			v.ExpiresAt = &at
		}
		out.Hosts[e.Host] = v
	}
	content, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return s.replace(append(content, '\n'))
}

func (s Store) replace(content []byte) (err error) {
	tmp, err := os.CreateTemp(s.Dir, "."+fileName+".*") // 0600 whatever the umask
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), s.Path())
}
