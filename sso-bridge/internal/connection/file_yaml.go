// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document is a YAML document as JSON, with the place of each of its members, so that
// one decoder reads the file and an administrator's order, and still names lines.
type document struct {
	json   []byte
	places map[string]spot
}

type spot struct{ line, column int }

// readDocument reads one document of plain mappings, lists and values. Anchors, aliases,
// merge keys and tags are refused: they spread one value over places where nobody looks
// for it, and a few lines of them can grow without bound.
func readDocument(content []byte) (document, error) {
	if !shallow(content) {
		return document{}, FileError{{Text: "is nested too deep"}}
	}
	parsed, err := parser.ParseBytes(content, 0)
	if err != nil {
		return document{}, FileError{unreadable(err)}
	}
	if len(parsed.Docs) > 1 {
		return document{}, FileError{{Text: "holds more than one document"}}
	}
	if len(parsed.Docs) == 0 || parsed.Docs[0].Body == nil {
		return document{}, FileError{{Text: "is empty"}}
	}
	r := yamlReader{places: map[string]spot{}}
	value := r.value(parsed.Docs[0].Body, nil)
	if len(r.problems) > 0 {
		return document{}, r.problems
	}
	body, err := json.Marshal(value)
	if err != nil {
		return document{}, FileError{{Text: "holds a number that is none"}}
	}
	return document{json: body, places: r.places}, nil
}

// The nesting that a connections file may have by brackets and by dashes, far above its
// own. The parser takes a time that grows with the square of it.
const (
	maxBrackets = 100
	maxDashes   = 32
)

// shallow bounds the nesting before anything is parsed; brackets in a text count too.
func shallow(content []byte) bool {
	open := 0
	for line := range bytes.Lines(content) {
		if dashes := len(line) - len(bytes.TrimLeft(line, "- \t?")); bytes.Count(line[:dashes], []byte("-"))+bytes.Count(line[:dashes], []byte("?")) > maxDashes {
			return false
		}
		for _, b := range line {
			switch b {
			case '[', '{':
				if open++; open > maxBrackets {
					return false
				}
			case ']', '}':
				open = max(open-1, 0)
			}
		}
	}
	return true
}

// unreadable says where a file is wrong and not what stands there: the parser's own
// words repeat parts of it, which may be a secret.
func unreadable(err error) FileProblem {
	p := FileProblem{Text: "cannot be read as YAML; each key may stand once"}
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil && e.GetToken().Position != nil {
		p.Line, p.Column = e.GetToken().Position.Line, e.GetToken().Position.Column
	}
	return p
}

const maxYAMLDepth = 64

type yamlReader struct {
	places   map[string]spot
	problems FileError
}

func (r *yamlReader) say(text string, t *token.Token, loc []any) {
	p := FileProblem{Path: pathOf(loc), Text: text}
	if t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	r.problems = append(r.problems, p)
}

func (r *yamlReader) at(t *token.Token, loc []any) {
	if t != nil && t.Position != nil {
		r.places[pathOf(loc)] = spot{t.Position.Line, t.Position.Column}
	}
}

func (r *yamlReader) value(n ast.Node, loc []any) any {
	if len(loc) > maxYAMLDepth {
		r.say("is nested too deep", n.GetToken(), loc[:1])
		return nil
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		return r.mapping(n.Values, loc)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, loc)
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, item := range n.Values {
			at := slices.Concat(loc, []any{i})
			if item != nil {
				r.at(item.GetToken(), at)
			}
			list[i] = r.value(item, at)
		}
		return list
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		if n.Value == nil {
			return ""
		}
		return n.Value.Value
	case *ast.IntegerNode:
		return n.Value
	case *ast.FloatNode:
		return n.Value
	case *ast.BoolNode:
		return n.Value
	case *ast.CommentGroupNode:
		return nil
	}
	r.say("is written in a way that this file does not take: no anchors, aliases, merge keys or tags", n.GetToken(), loc)
	return nil
}

func (r *yamlReader) mapping(values []*ast.MappingValueNode, loc []any) any {
	m := make(map[string]any, len(values))
	for _, v := range values {
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			r.say("has a key that is no plain text", v.Key.GetToken(), loc)
			continue
		}
		at := slices.Concat(loc, []any{key.Value})
		if _, twice := m[key.Value]; twice {
			r.say("has a key twice", key.GetToken(), loc)
			continue
		}
		r.at(key.GetToken(), at)
		m[key.Value] = r.value(v.Value, at)
	}
	return m
}
