// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Scanner looks for secrets in what a server leaves behind: those it was told of by
// name, and everything that has the shape of a bearer token, a device code or a key that Dify gives an app. It sees
// them plain and in base64 of either alphabet, in hex and percent-encoded.
type Scanner struct {
	needles []needle
}

type needle struct{ name, value string }

// minNeedle keeps out values that turn up by chance, in bytes.
const minNeedle = 8

// Add tells the scanner of secrets. An empty one is a mistake of the caller and
// panics: a scan for nothing would always pass.
func (s *Scanner) Add(name string, values ...string) {
	for _, v := range values {
		if len(v) < minNeedle {
			panic(fmt.Sprintf("apitest: %s has %d bytes, too few to look for", name, len(v)))
		}
		s.needles = append(s.needles, needle{name, v})
	}
}

// AddUserCode tells of a user code with and without its hyphen, in both letter cases.
func (s *Scanner) AddUserCode(code string) {
	for _, c := range []string{code, strings.ReplaceAll(code, "-", "")} {
		s.Add("user code", c, strings.ToLower(c))
	}
}

// Names lists what the scanner was told of, each kind once.
func (s *Scanner) Names() []string {
	var names []string
	for _, n := range s.needles {
		names = append(names, n.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Without gives a scanner that does not know the secrets of these names.
func (s *Scanner) Without(names ...string) *Scanner {
	less := &Scanner{}
	for _, n := range s.needles {
		if !slices.Contains(names, n.name) {
			less.needles = append(less.needles, n)
		}
	}
	return less
}

var (
	tokenShape = regexp.MustCompile(`(?:df(?:oa|oe)|dc)_[A-Za-z0-9_-]{43}|app-[A-Za-z0-9]{24}`)
	base64Run  = regexp.MustCompile(`[A-Za-z0-9+/_-]{11,}`)
	hexRun     = regexp.MustCompile(`[0-9A-Fa-f]{16,}`)
	percent    = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	toStd      = strings.NewReplacer("-", "+", "_", "/")
)

// Find names every secret in the content, with the form it is in. The secrets
// themselves are not in the answer.
func (s *Scanner) Find(content []byte) []string {
	found := s.find(content, "plain", nil)
	for _, run := range base64Run.FindAll(content, -1) {
		// A run may begin anywhere within a group of four: what stands before it is not
		// always a separator.
		for shift := range 4 {
			found = s.find(decodeBase64(run[min(shift, len(run)):]), "base64", found)
		}
	}
	for _, run := range hexRun.FindAll(content, -1) {
		for shift := range 2 {
			part := run[shift:]
			decoded := make([]byte, len(part)/2)
			if n, err := hex.Decode(decoded, part[:len(part)/2*2]); err == nil {
				found = s.find(decoded[:n], "hex", found)
			}
		}
	}
	if percent.Match(content) {
		found = s.find(percent.ReplaceAllFunc(content, func(b []byte) []byte {
			v, _ := hex.DecodeString(string(b[1:]))
			return v
		}), "percent", found)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (s *Scanner) find(content []byte, form string, found []string) []string {
	for _, n := range s.needles {
		if bytes.Contains(content, []byte(n.value)) {
			found = append(found, n.name+" ("+form+")")
		}
	}
	if tokenShape.Match(content) {
		found = append(found, "shape of a token ("+form+")")
	}
	return found
}

func decodeBase64(run []byte) []byte {
	text := toStd.Replace(string(run))
	if len(text)%4 == 1 { // the last symbol alone is no byte
		text = text[:len(text)-1]
	}
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return decoded
}
