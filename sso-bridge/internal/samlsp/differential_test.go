// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/attacktest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// tool gives the path of a program of a Debian package. Without it the test is left out,
// which is a failure where nothing may be.
func tool(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no %s: make deps installs the package %s", name, pkg)
		}
		t.Skipf("no %s: make deps installs the package %s", name, pkg)
	}
	return path
}

// second asks programs that share no code with ours.
type second struct{ xmlsec, xmllint, dir string }

func newSecond(t *testing.T) second {
	t.Helper()
	return second{tool(t, "xmlsec1", "xmlsec1"), tool(t, "xmllint", "libxml2-utils"), t.TempDir()}
}

func (s second) write(t *testing.T, name string, content []byte) string {
	t.Helper()
	at := filepath.Join(s.dir, name)
	if err := os.WriteFile(at, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// signatures are where a signature that covers an assertion may stand, as XPath.
var signatures = []string{"/*/*[local-name()='Signature']", "/*/*[local-name()='Assertion']/*[local-name()='Signature']"}

// verify reports whether xmlsec1 finds every signature of some files good under a
// certificate; the key is ours alone, whatever KeyInfo says.
func (s second) verify(certificate, where string, files ...string) error {
	args := []string{"--verify", "--pubkey-cert-pem", certificate, "--enabled-key-data", "key-name", "--enabled-reference-uris", "same-doc",
		"--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion", "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response", "--node-xpath", where}
	if out, err := exec.Command(s.xmlsec, append(args, files...)...).CombinedOutput(); err != nil { // #nosec G204 -- a test's own files
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// nameIDs are what libxml2 finds where a NameID has to stand, one for each file.
func (s second) nameIDs(files ...string) ([]string, error) {
	const path = "string(/*[local-name()='Response' and namespace-uri()='urn:oasis:names:tc:SAML:2.0:protocol']" +
		"/*[local-name()='Assertion' and namespace-uri()='urn:oasis:names:tc:SAML:2.0:assertion']/*[local-name()='Subject' and namespace-uri()='urn:oasis:names:tc:SAML:2.0:assertion']" +
		"/*[local-name()='NameID' and namespace-uri()='urn:oasis:names:tc:SAML:2.0:assertion'])"
	out, err := exec.Command(s.xmllint, append([]string{"--nonet", "--xpath", path}, files...)...).CombinedOutput() // #nosec G204 -- a test's own files
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"), nil
}

// certificateFiles writes the certificates of some terms, each to a file of its own.
func (s second) certificateFiles(t *testing.T, terms attacktest.Terms) (files []string) {
	t.Helper()
	for _, c := range terms.Certificates {
		name := fmt.Sprintf("%s-%d.pem", c.SerialNumber, c.NotAfter.Unix())
		files = append(files, s.write(t, name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	}
	return files
}

// sample is how many messages there are for one that is refused here and shown to xmlsec1
// for the log.
const sample = 7

// What our reader takes, xmlsec1 finds signed by the same key, and xmllint reads the same
// name in it. Only what is accepted is a matter of theirs: a message that we refuse and
// they take is one of our own rules.
func TestTheReaderAgainstXmlsec(t *testing.T) {
	s := newSecond(t)
	batches := map[[2]string][]string{}
	names := map[string]string{}
	var files, ours []string
	refused, theirs := 0, 0
	for i, a := range corpus().attacks {
		got, err := read(a)
		if err != nil {
			if i%sample == 0 && failure.Of(err).Code == failure.SAMLSignatureShape && len(a.Terms.Certificates) == 1 {
				refused++
				text, _ := base64.StdEncoding.DecodeString(a.Form)
				if s.verify(s.certificateFiles(t, a.Terms)[0], signatures[1], s.write(t, "refused.xml", text)) == nil {
					theirs++
				}
			}
			continue
		}
		text, err := base64.StdEncoding.DecodeString(a.Form)
		if err != nil {
			t.Fatalf("%s: %v", a.Name, err)
		}
		file := s.write(t, fmt.Sprintf("%d.xml", i), text)
		names[file] = a.Name
		files, ours = append(files, file), append(ours, got.NameID.Value)
		_, assertion, _ := strings.Cut(string(text), "Assertion ")
		certificates := s.certificateFiles(t, a.Terms)
		for n, part := range []string{strings.TrimSuffix(string(text), assertion), assertion} {
			if !strings.Contains(part, "Signature xmlns") {
				continue
			}
			if len(certificates) == 1 { // all of one certificate at once, for a process is dear
				batch := [2]string{certificates[0], signatures[n]}
				batches[batch] = append(batches[batch], file)
				continue
			}
			if !slices.ContainsFunc(certificates, func(c string) bool { return s.verify(c, signatures[n], file) == nil }) {
				t.Errorf("%s: accepted, and xmlsec1 verifies it under none of the certificates", a.Name)
			}
		}
	}
	t.Run("SSO-57 SAML-24 xmllint finds the same NameID", func(t *testing.T) {
		theirs, err := s.nameIDs(files...)
		if err == nil && slices.Equal(theirs, ours) {
			return
		}
		for i, file := range files {
			if theirs, err := s.nameIDs(file); err != nil || len(theirs) != 1 || theirs[0] != ours[i] {
				t.Errorf("%s: %q was signed in, and xmllint says %q, %v", names[file], ours[i], theirs, err)
			}
		}
	})
	t.Run("SSO-57 SAML-24 nothing is accepted here whose signature xmlsec1 refuses", func(t *testing.T) {
		n := 0
		for batch, files := range batches {
			n += len(files)
			if s.verify(batch[0], batch[1], files...) == nil {
				continue
			}
			for _, file := range files {
				if err := s.verify(batch[0], batch[1], file); err != nil {
					t.Errorf("%s: accepted, and xmlsec1 says %v", names[file], err)
				}
			}
		}
		if len(names) < 100 || n < len(names)-10 {
			t.Errorf("%d messages and %d signatures were compared", len(names), n)
		}
		t.Logf("%d messages, %d signatures; of %d that we refuse for their shape xmlsec1 verifies %d", len(names), n, refused, theirs)
	})
}
