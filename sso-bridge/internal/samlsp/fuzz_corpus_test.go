// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/attacktest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/samlsp"
)

// FuzzReaderCorpus mutates the texts of the corpus: whatever is made of them, nobody
// signs in under a name that the provider did not sign. A fuzzer has no key, so that the
// names of the accepted messages are all there are.
func FuzzReaderCorpus(f *testing.F) {
	terms := attacktest.One().Terms
	var signed []string
	for i, a := range corpus().attacks {
		if strings.Contains(a.Name, " at ") && i%5 != 0 {
			continue // one offset stands for its neighbours
		}
		text, err := base64.StdEncoding.DecodeString(a.Form)
		if err != nil || len(text) > 64<<10 {
			continue
		}
		f.Add(text)
		if got, err := read(a); err == nil {
			signed = append(signed, got.NameID.Value)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var was, is runtime.MemStats
		runtime.ReadMemStats(&was)
		got, err := samlsp.Read(base64.StdEncoding.EncodeToString(text), expected(terms), terms.Now, &login.Trace{})
		runtime.ReadMemStats(&is)
		if used := is.TotalAlloc - was.TotalAlloc; used > budget {
			t.Errorf("%d bytes were allocated", used)
		}
		if err != nil {
			return
		}
		if !slices.Contains(signed, got.NameID.Value) {
			t.Fatalf("%q was signed in", got.NameID.Value)
		}
		if !stands(text, got.NameID.Value) {
			t.Fatalf("%q stands in no NameID of the message", got.NameID.Value)
		}
	})
}

// stands reports whether the standard decoder, which shares no code with the reader's
// tree, finds a text as the NameID of the assertion.
func stands(text []byte, name string) bool {
	d := xml.NewDecoder(bytes.NewReader(text))
	var path []string
	var found strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return found.String() == name
		}
		switch x := token.(type) {
		case xml.StartElement:
			path = append(path, x.Name.Space+" "+x.Name.Local)
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if len(path) == 4 && path[3] == "urn:oasis:names:tc:SAML:2.0:assertion NameID" {
				found.Write(x)
			}
		}
	}
}
