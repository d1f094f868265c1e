// SPDX-License-Identifier: Apache-2.0

package idpmetadata

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/xmlscan"
)

// node is an element with its names resolved. encoding/xml's own mapping to structs takes
// an attribute of any namespace for one without; here a name is its namespace too.
type node struct {
	name     xml.Name
	attrs    []xml.Attr
	children []*node
	text     strings.Builder
}

func (n *node) is(space, local string) bool { return n.name.Space == space && n.name.Local == local }

// attr gives an attribute without a namespace, or nothing.
func (n *node) attr(local string) string {
	for _, a := range n.attrs {
		if a.Name.Space == "" && a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

// all gives the children of a name.
func (n *node) all(space, local string) (found []*node) {
	for _, c := range n.children {
		if c.is(space, local) {
			found = append(found, c)
		}
	}
	return found
}

// tree reads what the scan has passed: its limits are this one's.
func tree(doc xmlscan.Document) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(doc.Bytes()))
	var root *node
	var open []*node
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: t.Name, attrs: t.Copy().Attr}
			if len(open) == 0 {
				root = n
			} else {
				parent := open[len(open)-1]
				parent.children = append(parent.children, n)
			}
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text.Write(t)
			}
		}
	}
	if root == nil {
		return nil, errors.New("no element")
	}
	return root, nil
}
