// SPDX-License-Identifier: Apache-2.0

package attacktest

import (
	"encoding/base64"
	"strings"
)

// Encode gives a text as the form field carries it.
func Encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

type edit = func(string) string

// all makes one edit after another.
func all(edits ...edit) edit {
	return func(x string) string {
		for _, e := range edits {
			x = e(x)
		}
		return x
	}
}

// swap puts a text in the place of the first old one, which has to be there: an edit that
// does nothing would be an attack that was never made.
func swap(old, text string) edit {
	return func(x string) string {
		if !strings.Contains(x, old) {
			panic("attacktest: there is no " + old)
		}
		return strings.Replace(x, old, text, 1)
	}
}

// swapAll puts it in the place of every old one, swapLast of the last.
func swapAll(old, text string) edit {
	return func(x string) string {
		_ = swap(old, "")(x)
		return strings.ReplaceAll(x, old, text)
	}
}

func swapLast(old, text string) edit {
	return func(x string) string {
		_ = swap(old, "")(x)
		at := strings.LastIndex(x, old)
		return x[:at] + text + x[at+len(old):]
	}
}

func before(mark, text string) edit { return swap(mark, text+mark) }
func after(mark, text string) edit  { return swap(mark, mark+text) }

// span gives where the n-th element of a name begins and ends, counted from 0; an element
// of the same name within it is part of it.
func span(x, name string, n int) (from, to int) {
	at := 0
	for {
		i := opening(x[at:], name)
		if i < 0 {
			panic("attacktest: there is no element " + name)
		}
		from = at + i
		if n == 0 {
			break
		}
		n, at = n-1, from+1
	}
	if end := strings.IndexByte(x[from:], '>'); x[from+end-1] == '/' {
		return from, from + end + 1
	}
	depth, at := 1, from+1
	for {
		closing := strings.Index(x[at:], "</"+name+">")
		if closing < 0 {
			panic("attacktest: the element " + name + " has no end")
		}
		if open := opening(x[at:at+closing], name); open >= 0 {
			rest := x[at+open:]
			if end := strings.IndexByte(rest, '>'); rest[end-1] != '/' {
				depth++
			}
			at += open + 1
			continue
		}
		at += closing + len(name) + 3
		if depth--; depth == 0 {
			return from, at
		}
	}
}

func opening(x, name string) int {
	at := 0
	for {
		i := strings.Index(x[at:], "<"+name)
		if i < 0 {
			return -1
		}
		if next := x[at+i+len(name)+1]; next == ' ' || next == '>' || next == '/' {
			return at + i
		}
		at += i + 1
	}
}

// piece gives the n-th element of a name as text.
func piece(x, name string, n int) string {
	from, to := span(x, name, n)
	return x[from:to]
}

// without takes the n-th element of a name out, twice puts it there a second time, around
// puts text before and behind it, and instead puts text there.
func without(name string, n int) edit { return instead(name, n, func(string) string { return "" }) }
func twice(name string, n int) edit   { return instead(name, n, func(e string) string { return e + e }) }

func instead(name string, n int, text edit) edit {
	return func(x string) string {
		from, to := span(x, name, n)
		return x[:from] + text(x[from:to]) + x[to:]
	}
}

// The elements of the genuine message, of which several have the name.
const (
	ofResponse  = 0
	ofAssertion = 1
)

// set gives an attribute of the n-th element of a name another value, or gives it that
// attribute; unset takes it away.
func set(name string, n int, attribute, value string) edit {
	return head(name, n, attribute, ` `+attribute+`="`+value+`"`)
}

func unset(name string, n int, attribute string) edit { return head(name, n, attribute, "") }

func head(name string, n int, attribute, text string) edit {
	return func(x string) string {
		from, _ := span(x, name, n)
		end := from + strings.IndexByte(x[from:], '>')
		if x[end-1] == '/' {
			end--
		}
		tag := x[from:end]
		if at := strings.Index(tag, " "+attribute+`="`); at >= 0 {
			value := at + len(attribute) + 3
			tag = tag[:at] + text + tag[value+strings.IndexByte(tag[value:], '"')+1:]
		} else {
			tag += text
		}
		return x[:from] + tag + x[end:]
	}
}
