// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// flWire stands between servers and a Redis and writes down what is sent.
type flWire struct {
	URL string // by which a server reaches Redis through it

	mu    sync.Mutex
	trips []string // what went out together, by the names of its commands
}

// flWired puts a wire before the Redis of an address.
func flWired(t testing.TB, address string) *flWire {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w, server := &flWire{}, to.Host
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c, server)
		}
	}()
	to.Host = l.Addr().String()
	w.URL = to.String()
	return w
}

func (w *flWire) serve(client net.Conn, address string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	for r := bufio.NewReaderSize(client, 1<<16); ; {
		var names []string
		var sent []byte
		for len(names) == 0 || r.Buffered() > 0 {
			name, command, err := flCommand(r)
			if err != nil {
				return
			}
			names, sent = append(names, name), append(sent, command...)
		}
		w.mu.Lock()
		w.trips = append(w.trips, strings.Join(slices.Compact(names), " "))
		w.mu.Unlock()
		if _, err := server.Write(sent); err != nil {
			return
		}
	}
}

// flCommand reads one command as clients send it: an array of texts.
func flCommand(r *bufio.Reader) (name string, raw []byte, err error) {
	number := func(kind string) (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		raw = append(raw, line...)
		if !strings.HasPrefix(line, kind) {
			return 0, errors.New("no command")
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	words, err := number("*")
	if err != nil {
		return "", nil, err
	}
	for i := range words {
		size, err := number("$")
		if err != nil {
			return "", nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(r, word); err != nil {
			return "", nil, err
		}
		raw = append(raw, word...)
		if i == 0 {
			name = strings.ToLower(string(word[:size]))
		}
	}
	return name, raw, nil
}

// during gives what was sent while do ran.
func (w *flWire) during(do func()) []string {
	w.mu.Lock()
	from := len(w.trips)
	w.mu.Unlock()
	do()
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.trips[from:]...)
}
