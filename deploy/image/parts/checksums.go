// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// Checksums writes the digests of the files of dir into its file checksums.txt, in the form
// that "sha256sum --check" reads.
func Checksums(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for _, f := range files {
		if f.IsDir() || f.Name() == "checksums.txt" {
			continue // a layout's files are named by their digests
		}
		content, err := os.ReadFile(filepath.Join(dir, f.Name())) //nolint:gosec // just written
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(content), f.Name())
	}
	return os.WriteFile(filepath.Join(dir, "checksums.txt"), out.Bytes(), 0o644) //nolint:gosec // given away
}
