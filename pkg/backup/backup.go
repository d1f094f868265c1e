// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/pkg/datadir"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// ErrNotEmbedded: the installation is not kept in a data directory.
var ErrNotEmbedded = fault.New(fault.Conflict, "not_embedded", "This installation is kept in Postgres, and nothing was done.").
	Hinted("Copy it with pg_dump, and its keys apart from that (docs/operating/backup.md).")

// Kind says whose copies these are and what is in them.
type Kind struct {
	// Program is the service's name, as its messages say it.
	Program string
	// Database is the name of the database's file, Keys those of the files beside it, the ones
	// it needs first. A key may be missing.
	Database string
	Keys     []string
}

// Snapshot is a copy of an installation in a directory beside it. Who has asked for it takes it
// away.
type Snapshot struct {
	Dir     string    `json:"dir"`
	Files   []string  `json:"files"`
	Schema  int64     `json:"schema"`
	Version string    `json:"version"`
	MadeAt  time.Time `json:"made_at"`
}

// Manifest is the first file of a copy and says what follows.
type Manifest struct {
	Format int `json:"format"`
	// Program has made it; copies of core's first versions do not say so.
	Program string       `json:"program,omitempty"`
	Version string       `json:"version"`
	MadeAt  time.Time    `json:"made_at"`
	Schema  int64        `json:"schema"`
	Files   []CopiedFile `json:"files"`
}

// CopiedFile is one file of a copy.
type CopiedFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Made is what a command says of a copy that it has written.
type Made struct {
	File    string    `json:"file"`
	Size    int64     `json:"bytes"`
	Schema  int64     `json:"schema"`
	Version string    `json:"version"`
	MadeAt  time.Time `json:"made_at"`
	Files   []string  `json:"files"`
}

const (
	manifestFile   = "manifest.json"
	manifestFormat = 1
	maxManifest    = 64 << 10
	maxKeyFile     = 64 << 10

	takePrefix = ".backup-" // begins the name of a directory that a copy is made in
	staleAfter = time.Hour  // what a command that was killed has left
)

// Holds reports whether a copy may hold a file of this name.
func (k Kind) Holds(name string) bool { return name == k.Database || slices.Contains(k.Keys, name) }

// Take copies the keys aside, and has database write the database to a path after them: what is
// there then opens under these keys if nobody changes them meanwhile. now is the time that the
// copy bears.
func (k Kind) Take(dir *datadir.Dir, now time.Time, database func(to string) error) (_ Snapshot, err error) {
	left, _ := filepath.Glob(dir.Path(takePrefix + "*"))
	for _, old := range left {
		if info, err := os.Stat(old); err == nil && time.Since(info.ModTime()) > staleAfter {
			_ = os.RemoveAll(old)
		}
	}
	place, err := os.MkdirTemp(dir.Path(""), takePrefix+"*") // 0700
	if err != nil {
		return Snapshot{}, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(place)
		}
	}()
	s := Snapshot{Dir: place, MadeAt: now.UTC()}
	for _, name := range k.Keys {
		content, err := os.ReadFile(dir.Path(name))
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(place, name), content, 0o600) //nolint:gosec // both names are ours
		}
		if err != nil {
			return Snapshot{}, err
		}
		s.Files = append(s.Files, name)
	}
	if err := database(filepath.Join(place, k.Database)); err != nil {
		return Snapshot{}, err
	}
	s.Files = append(s.Files, k.Database) // last: restored in this order
	return s, nil
}

// Pack writes a snapshot as one tar, its manifest first.
func (k Kind) Pack(w io.Writer, s Snapshot) error {
	m := Manifest{Format: manifestFormat, Program: k.Program, Version: s.Version, MadeAt: s.MadeAt, Schema: s.Schema}
	for _, name := range s.Files {
		size, sum, err := digestOf(filepath.Join(s.Dir, name))
		if err != nil {
			return err
		}
		m.Files = append(m.Files, CopiedFile{Name: name, Size: size, SHA256: sum})
	}
	head, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	put := func(name string, size int64, from io.Reader) error {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: m.MadeAt, Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err := io.Copy(out, from)
		return err
	}
	if err := put(manifestFile, int64(len(head)), bytes.NewReader(head)); err != nil {
		return err
	}
	for _, file := range m.Files {
		f, err := os.Open(filepath.Join(s.Dir, file.Name))
		if err != nil {
			return err
		}
		if err := errors.Join(put(file.Name, file.Size, f), f.Close()); err != nil {
			return err
		}
	}
	return out.Close()
}

// PackInto is Pack into a file of mode 0600, in one step: there is never half a copy under its
// name.
func (k Kind) PackInto(path string, s Snapshot) (made Made, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+k.Program+"-backup-*") // 0600
	if err != nil {
		return Made{}, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	made = Made{File: path, Schema: s.Schema, Version: s.Version, MadeAt: s.MadeAt, Files: s.Files}
	err = k.Pack(f, s)
	if err == nil {
		made.Size, err = f.Seek(0, io.SeekCurrent)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return Made{}, err
	}
	return made, os.Rename(f.Name(), path)
}

func digestOf(path string) (size int64, sum string, err error) {
	f, err := os.Open(path) //nolint:gosec // of a snapshot
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// named is the program that a manifest names.
func (m Manifest) named() string {
	if m.Program == "" {
		return "core" // the only one that made copies without a name
	}
	return m.Program
}
