// SPDX-License-Identifier: Apache-2.0

// Package rootfs holds every file of an image: nothing is in one that is not in this list.
package rootfs

import (
	"archive/tar"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// User is the numeric user and group of both services; a number, so that a cluster sees
// without a passwd file that it is not root.
const User = 65532

// Entry is one file or directory.
type Entry struct {
	Path    string // without a slash in front; a directory ends with one
	Mode    int64
	Owner   int // user and group
	Content []byte
}

// Base gives what every image holds beside its program, in order of paths. Root owns all of
// it but the directory of data: a container without a read-only root cannot change it either.
func Base() ([]Entry, error) {
	roots, err := Roots()
	if err != nil {
		return nil, err
	}
	zones, err := Zones()
	if err != nil {
		return nil, err
	}
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return nil, err
	}
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		return nil, err
	}
	entries := []Entry{
		// An empty volume of Docker takes the owner of the directory that it covers: without
		// this one the service could not write to a volume at its default DATA_DIR.
		{Path: "data/", Mode: 0o700, Owner: User},
		{Path: "etc/", Mode: 0o755},
		{Path: "etc/passwd", Mode: 0o644, Content: fmt.Appendf(nil, "dify-sso:x:%d:%d::/data:/nonexistent\n", User, User)},
		{Path: "etc/ssl/", Mode: 0o755},
		{Path: "etc/ssl/certs/", Mode: 0o755},
		{Path: RootsPath, Mode: 0o644, Content: roots},
		{Path: "licenses/", Mode: 0o755},
		{Path: "licenses/LICENSE", Mode: 0o644, Content: licence},
		{Path: "licenses/NOTICE", Mode: 0o644, Content: notice},
		{Path: "tmp/", Mode: 0o1777},
		{Path: "usr/", Mode: 0o755},
		{Path: "usr/share/", Mode: 0o755},
	}
	entries = append(entries, zones...)
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	return entries, nil
}

// Program is the one executable of an image.
func Program(name, binary string) (Entry, error) {
	content, err := os.ReadFile(binary) //nolint:gosec // just built
	if err != nil {
		return Entry{}, err
	}
	return Entry{Path: name, Mode: 0o755, Content: content}, nil
}

// Tar writes entries as a layer. Each is dated 1970, so that a layer changes when a file does.
func Tar(w io.Writer, entries []Entry) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.Path, Mode: e.Mode, Uid: e.Owner, Gid: e.Owner, Size: int64(len(e.Content)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if strings.HasSuffix(e.Path, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(e.Content); err != nil {
			return err
		}
	}
	return t.Close()
}

// Write lays the entries out below dir, for a Dockerfile to copy; owners stay as the
// Dockerfile says.
func Write(dir string, entries []Entry) error {
	for _, e := range entries {
		path := filepath.Join(dir, filepath.FromSlash(e.Path))
		if strings.HasSuffix(e.Path, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // as in the image
				return err
			}
		} else if err := os.WriteFile(path, e.Content, 0o644); err != nil { //nolint:gosec // as in the image
			return err
		}
		if err := chmod(path, e.Mode); err != nil {
			return err
		}
	}
	return nil
}

func chmod(path string, mode int64) error {
	m := os.FileMode(mode & 0o777)
	if mode&0o1000 != 0 {
		m |= os.ModeSticky
	}
	return os.Chmod(path, m)
}
