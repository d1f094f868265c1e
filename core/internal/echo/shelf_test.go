// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"fmt"
	"testing"
	"time"
)

func TestWhatIsKeptIsBounded(t *testing.T) {
	at := time.Unix(1000, 0)
	s := newShelf[int](3, 100, time.Hour)
	here := func(want string) {
		t.Helper()
		got := ""
		for i := range 12 {
			if v, ok := s.get(at, fmt.Sprint("k", i)); ok {
				got += fmt.Sprint(v, " ")
			}
		}
		if got != want {
			t.Errorf("%q is here, want %q", got, want)
		}
	}
	for i := range 4 {
		s.put(at, 10, i, fmt.Sprint("k", i), fmt.Sprint("also", i))
	}
	here("1 2 3 ")
	if _, ok := s.get(at, "also0"); ok {
		t.Error("the other key of what is gone is here")
	}
	s.put(at, 85, 4, "k4") // with two others it is too much
	here("3 4 ")
	s.grow(at, 10, "k4", "k5")
	here("4 4 ")
	s.grow(at, 10, "nothing", "k6")
	at = at.Add(time.Minute)
	s.put(at, 1, 7, "k7")
	if !s.drop(at, "k4") || s.drop(at, "k5") || s.drop(at, "k4") {
		t.Error("it is dropped once, by all its names")
	}
	here("7 ")
	at = at.Add(time.Hour)
	here("")
	s.put(at, 101, 8, "k8") // alone too much
	here("")
	if s.order.Len() != 0 || s.held != 0 || len(s.byKey) != 0 {
		t.Errorf("%d, %d bytes, %d keys", s.order.Len(), s.held, len(s.byKey))
	}
}
