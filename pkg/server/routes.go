// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"

	"github.com/gofiber/fiber/v2"
)

// Address is what a request is routed by.
type Address struct{ Method, Path string }

// Compare finds mounted routes that a table does not have, entries of it that are not
// mounted, and those that stand twice. A service that starts only when there are none
// has no route without its guards.
func Compare(mounted []fiber.Route, table []Address) error {
	want := map[Address]int{}
	for _, a := range table {
		want[a]++
	}
	var problems []error
	say := func(what string, a Address) {
		problems = append(problems, fmt.Errorf("server: route %s %s %s", a.Method, a.Path, what))
	}
	have := map[Address]bool{}
	for _, r := range mounted {
		a := Address{r.Method, r.Path}
		if want[a] == 0 {
			say("has no row", a)
		}
		have[a] = true
	}
	for a, n := range want {
		if n > 1 {
			say("has more than one row", a)
		}
		if !have[a] {
			say("is not mounted", a)
		}
	}
	return errors.Join(problems...)
}
