// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dify-sso/dify-sso/sso-bridge/internal/attacktest"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
)

// inside tells a process of this test's binary which of the two it is.
const inside = "SAMLSP_TEST_INSIDE"

// The messages on which a library that decrypts panics. A process of its own reads all of
// them and a genuine one behind: what ends a process would end this one.
func TestPanicShapes(t *testing.T) {
	switch os.Getenv(inside) {
	case "reader":
		for _, a := range attacktest.PanicShapes() {
			_, err := read(a)
			fmt.Println("answer:", failure.Of(err).Code)
		}
		got, err := read(attacktest.One())
		fmt.Println("answer:", got.NameID.Value, err)
		os.Exit(0)
	case "library":
		libraryAt(t, attacktest.Now)
		for _, a := range attacktest.PanicShapes() {
			verdict, _ := alone(a)
			fmt.Println("answer:", verdict)
		}
		os.Exit(0)
	}
	run := func(t *testing.T, who string) []string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestPanicShapes$") // #nosec G204 -- this binary itself
		cmd.Env = append(os.Environ(), inside+"="+who)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("the process ended with %v:\n%s", err, out)
		}
		var answers []string
		for line := range strings.Lines(string(out)) {
			if answer, ok := strings.CutPrefix(strings.TrimSpace(line), "answer: "); ok {
				answers = append(answers, answer)
			}
		}
		return answers
	}
	t.Run("SSO-58 SAML-46 the five shapes are refused undecrypted, and the process answers on", func(t *testing.T) {
		answers := run(t, "reader")
		if len(answers) != 6 {
			t.Fatalf("the answers are %q", answers)
		}
		for _, a := range answers[:5] {
			if a != string(failure.SAMLEncryptionDisabled) {
				t.Errorf("a shape that panics was answered with %s", a)
			}
		}
		if answers[5] != attacktest.Person+" <nil>" {
			t.Errorf("the genuine message behind them: %s", answers[5])
		}
	})
	t.Run("SSO-58 SAML-46 the library panics on each", func(t *testing.T) {
		answers := run(t, "library")
		if len(answers) != 5 {
			t.Fatalf("the answers are %q", answers)
		}
		for i, a := range answers {
			if a != string(attacktest.Panics) {
				t.Errorf("the library %q on shape %d", a, i)
			}
		}
	})
}
