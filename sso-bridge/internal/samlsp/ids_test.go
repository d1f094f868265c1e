// SPDX-License-Identifier: Apache-2.0

package samlsp_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// elsewhere are the ids of docs/specs/v1.0/server/security.md that are about no message
// alone, and the package whose tests prove them.
var elsewhere = map[string]string{
	"SAML-29": "login: one store tells that an assertion came before, in this process and in another",
	"SAML-30": "login: fifty posts at once, one of which is taken",
	"SAML-33": "login: RelayState belongs to one attempt, and is asked before the message is read",
	"SAML-34": "login: RelayState is never an address",
	"SAML-52": "idpsource and idpmetadata: what is fetched, and what of it is believed",
	"SAML-55": "httpapi: there is no address for logout",
	"SAML-56": "samlsp: our metadata, in the tests of requests",
	"SAML-57": "httpapi: one page for every refusal",
	"SAML-58": "samlsp: requests, their ids and signatures",
}

const lastID = 58

// Every id is proven here or there, and none in a place that nobody named.
func TestEveryIDOfTheReaderHasARow(t *testing.T) {
	rows := map[string]int{}
	names := map[string]bool{}
	for _, a := range corpus().attacks {
		if names[a.Name] {
			t.Errorf("two rows are %q", a.Name)
		}
		names[a.Name] = true
		for _, word := range strings.Fields(a.Name) {
			if !regexp.MustCompile(`^(SAML|SSO)-\d+$`).MatchString(word) {
				break
			}
			rows[word]++
		}
	}
	for n := 1; n <= lastID; n++ {
		id := fmt.Sprintf("SAML-%02d", n)
		switch place, there := elsewhere[id]; {
		case there && rows[id] > 0:
			t.Errorf("%s has rows here, and is said to be proven in %s", id, place)
		case !there && rows[id] == 0:
			t.Errorf("%s has no row, and nobody says where it is proven", id)
		}
		delete(rows, id)
	}
	for id := range rows {
		if !strings.HasPrefix(id, "SSO-") {
			t.Errorf("%s is no id of the corpus", id)
		}
	}
	t.Logf("%d messages", len(names))
}

// unescaped is a NameID of the tables as a parser reads it.
func unescaped(s string) string { return strings.ReplaceAll(s, "&amp;", "&") }
