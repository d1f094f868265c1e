// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"container/list"
	"sync"
	"time"
)

// shelf keeps values under one or more keys. The oldest goes where there are too many, or
// too many bytes of them, and each where it is too old.
type shelf[T any] struct {
	most  int
	bytes int
	age   time.Duration

	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // of *kept, the oldest first
	held  int        // bytes
}

type kept[T any] struct {
	value T
	keys  []string
	size  int
	at    time.Time
}

func newShelf[T any](most, bytes int, age time.Duration) *shelf[T] {
	return &shelf[T]{most: most, bytes: bytes, age: age, byKey: map[string]*list.Element{}, order: list.New()}
}

func (s *shelf[T]) put(now time.Time, size int, value T, keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.order.PushBack(&kept[T]{value: value, keys: keys, size: size, at: now})
	for _, k := range keys {
		s.byKey[k] = e
	}
	s.held += size
	s.sweep(now)
}

// grow gives a value that is here another key, and counts what it has grown by.
func (s *shelf[T]) grow(now time.Time, size int, from, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byKey[from]
	if !ok {
		return
	}
	k := e.Value.(*kept[T]) //nolint:forcetypeassert // nothing else is put in
	k.size += size
	s.held += size
	if key != "" {
		k.keys = append(k.keys, key)
		s.byKey[key] = e
	}
	s.sweep(now)
}

func (s *shelf[T]) get(now time.Time, key string) (value T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	e, ok := s.byKey[key]
	if !ok {
		return value, false
	}
	return e.Value.(*kept[T]).value, true //nolint:forcetypeassert // as above
}

// drop forgets a value and reports whether it was here.
func (s *shelf[T]) drop(now time.Time, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	e, ok := s.byKey[key]
	if ok {
		s.remove(e)
	}
	return ok
}

func (s *shelf[T]) sweep(now time.Time) {
	for e := s.order.Front(); e != nil; e = s.order.Front() {
		k := e.Value.(*kept[T]) //nolint:forcetypeassert // as above
		if s.order.Len() <= s.most && s.held <= s.bytes && now.Sub(k.at) < s.age {
			return
		}
		s.remove(e)
	}
}

func (s *shelf[T]) remove(e *list.Element) {
	k := s.order.Remove(e).(*kept[T]) //nolint:forcetypeassert // as above
	s.held -= k.size
	for _, key := range k.keys {
		delete(s.byKey, key)
	}
}
