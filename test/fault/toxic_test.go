// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxi "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// The two halves of the toxic, one for each direction. Their attribute names the socket
// that they serve, for toxiproxy makes toxics out of JSON.
type (
	asksToxic    struct{ Socket string }
	answersToxic struct{ Socket string }
)

var registerToxics = sync.OnceFunc(func() {
	toxics.Register("asks", new(asksToxic))
	toxics.Register("answers", new(answersToxic))
})

// socket is one proxy: the way of one process to one store.
type socket struct {
	tap   *tap
	store string

	mu     sync.Mutex
	halves []*link // whose other direction has not begun yet
}

var (
	sockets    sync.Map // of *socket by name
	socketName atomic.Int64
)

// link is one connection through a proxy.
type link struct {
	*socket
	tx *transaction // under the tap's lock

	mu       sync.Mutex
	wire     dialect
	withhold *plan // whose answer goes no further
	mute     bool  // the client has left, the store is still talked to
}

// newTap starts a proxy to each store. Each has an address of its own, so that its port
// stays its own while it is down.
func newTap(tb testing.TB, targets map[string]string) *tap {
	tb.Helper()
	registerToxics()
	server := toxi.NewServer(toxi.NewMetricsContainer(nil), zerolog.Nop())
	t := &tap{proxies: map[string]*toxi.Proxy{}}
	for store, target := range targets {
		name := fmt.Sprint(socketName.Add(1))
		sockets.Store(name, &socket{tap: t, store: store})
		proxy := toxi.NewProxy(server, name, freePort(tb), target)
		for toxic, direction := range map[string]stream.Direction{"asks": stream.Upstream, "answers": stream.Downstream} {
			text := fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":{"Socket":%q}}`, toxic, direction, name)
			if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
				tb.Fatal(err)
			}
		}
		if err := proxy.Start(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(proxy.Stop)
		t.proxies[store] = proxy
	}
	return t
}

// through gives an address of a store that leads through the tap.
func (t *tap) through(tb testing.TB, store, address string) string {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host = t.proxies[store].Listen
	return u.String()
}

// NewState pairs the directions of a connection: toxiproxy starts that of the client
// first and the other right after it, one connection at a time.
func (x *asksToxic) NewState() any {
	found, _ := sockets.Load(x.Socket)
	s := found.(*socket)
	l := &link{socket: s}
	if l.wire = dialect(&redisWire{}); s.store == postgres {
		l.wire = newPostgresWire()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halves = append(s.halves, l)
	return l
}

func (x *answersToxic) NewState() any {
	found, _ := sockets.Load(x.Socket)
	s := found.(*socket)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.halves[0]
	s.halves = s.halves[1:]
	return l
}

// Pipe implements toxics.Toxic for what the client sends.
func (x *asksToxic) Pipe(stub *toxics.ToxicStub) {
	pipe(stub, func(l *link, data []byte) bool {
		l.mu.Lock()
		pieces := l.wire.asked(data)
		l.mu.Unlock()
		for _, p := range pieces {
			var struck *plan
			if p.name != "" {
				struck = l.tap.arrives(l, p.name, p.data)
			}
			if struck != nil && !l.let(struck, stub.Input) {
				return false
			}
			stub.Output <- &stream.StreamChunk{Data: p.data, Timestamp: time.Now()}
			if struck != nil && struck.how == late {
				<-struck.answered
				return false
			}
		}
		return true
	})
}

// let does what a plan wants with a request, and reports whether it may go on. more is
// what the client sends on, which ends with its connection.
func (l *link) let(p *plan, more <-chan *stream.StreamChunk) bool {
	switch p.how {
	case refused:
		l.tap.down(l.store)
		close(p.hit)
		return false
	case cutBefore:
		close(p.hit)
		return false
	case heldBefore:
		close(p.hit)
		<-p.resume
		return false
	case late:
		close(p.hit)
		<-more // nobody sends more, or leaves, while there is an answer to wait for
		close(p.left)
		<-p.resume
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.withhold, l.mute = p, p.how == late
	return true
}

// Pipe implements toxics.Toxic for what the store sends.
func (x *answersToxic) Pipe(stub *toxics.ToxicStub) {
	pipe(stub, func(l *link, data []byte) bool {
		l.mu.Lock()
		ended, p, mute := l.wire.answered(data), l.withhold, l.mute
		l.mu.Unlock()
		switch {
		case mute:
			if ended && p != nil {
				close(p.answered)
				l.mu.Lock()
				l.withhold = nil
				l.mu.Unlock()
			}
		case p == nil:
			stub.Output <- &stream.StreamChunk{Data: data, Timestamp: time.Now()}
		case ended:
			close(p.hit)
			if p.how == heldAfter {
				<-p.resume
			}
		}
		return mute || p == nil || !ended
	})
}

// pipe passes on until a direction ends; do says that the connection ends by false.
func pipe(stub *toxics.ToxicStub, do func(l *link, data []byte) bool) {
	l := stub.State.(*link)
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			if do(l, c.Data) {
				continue
			}
			stub.Close()
			for c := range stub.Input { // whoever writes into it must come to its end
				_ = c
			}
			return
		}
	}
}
