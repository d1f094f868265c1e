// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"archive/zip"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// RootsPath is where Go looks first for the certification authorities of a Linux machine.
const RootsPath = "etc/ssl/certs/ca-certificates.crt"

// ZonesPath is where Go looks first for time zones, for a zone by name and for TZ.
const ZonesPath = "usr/share/zoneinfo/"

// Roots gives Mozilla's certification authorities as PEM. They are a file of the image and
// not a part of the binary: the binary's size is bounded, and an operator can mount a file
// over this one, or point SSL_CERT_FILE at his own. An authority that Mozilla trusts for
// older certificates alone is left out, for PEM cannot say that.
func Roots() ([]byte, error) {
	var out bytes.Buffer
	n := 0
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		n++
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	if n < 100 {
		return nil, fmt.Errorf("%d certification authorities: is golang.org/x/crypto/x509roots/fallback whole?", n)
	}
	return out.Bytes(), nil
}

// Zones gives the time zones of the Go that builds, one file each: TZ is read from files
// alone, and not from an archive.
func Zones() ([]Entry, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("asking where Go is: %w", err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("the time zones that come with Go: %w", err)
	}
	defer func() { _ = archive.Close() }()
	dirs := map[string]bool{ZonesPath: true}
	var out []Entry
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		for dir := filepath.Dir(f.Name); dir != "."; dir = filepath.Dir(dir) {
			dirs[ZonesPath+dir+"/"] = true
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(r, 1<<20))
		_ = r.Close()
		if err != nil {
			return nil, err
		}
		out = append(out, Entry{Path: ZonesPath + f.Name, Mode: 0o644, Content: content})
	}
	for dir := range dirs {
		out = append(out, Entry{Path: dir, Mode: 0o755})
	}
	if !slices.ContainsFunc(out, func(e Entry) bool { return e.Path == ZonesPath+"Asia/Shanghai" }) {
		return nil, fmt.Errorf("the archive of time zones has no Asia/Shanghai")
	}
	return out, nil
}
