// SPDX-License-Identifier: Apache-2.0

package webui

import (
	"crypto/sha256"
	"encoding/hex"
)

// Asset is an embedded file that pages load.
type Asset struct {
	Content []byte
	Type    string
	ETag    string
}

var assetTypes = map[string]string{
	"app.css": "text/css; charset=utf-8", "device.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
}

// Static gives an embedded file by its fixed name; no other name exists.
func Static(name string) (Asset, bool) {
	kind, ok := assetTypes[name]
	if !ok {
		return Asset{}, false
	}
	content, err := files.ReadFile("static/" + name)
	if err != nil {
		return Asset{}, false
	}
	sum := sha256.Sum256(content)
	return Asset{Content: content, Type: kind, ETag: `"` + hex.EncodeToString(sum[:8]) + `"`}, true
}
