// SPDX-License-Identifier: Apache-2.0

package webui

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Asset is an embedded file that pages load.
type Asset struct {
	Content []byte
	Type    string
}

var assetTypes = map[string]string{"bridge.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml", "submit.js": "text/javascript; charset=utf-8"}

// Static gives an embedded file by its hashed name; no other name exists, so that a
// browser may keep what it has got under it.
func Static(name string) (Asset, bool) {
	for plain, kind := range assetTypes {
		if hashed, ok := hashedName(plain); ok && hashed == name {
			content, err := files.ReadFile("static/" + plain)
			return Asset{Content: content, Type: kind}, err == nil
		}
	}
	return Asset{}, false
}

// hashedName puts the digest of a file's content into its name.
func hashedName(plain string) (string, bool) {
	content, err := files.ReadFile("static/" + plain)
	if err != nil {
		return "", false
	}
	sum := sha256.Sum256(content)
	name, ending, _ := strings.Cut(plain, ".")
	return name + "-" + hex.EncodeToString(sum[:6]) + "." + ending, true
}
