// SPDX-License-Identifier: Apache-2.0

package underload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/test/deploy/visitor"
)

// Routes of the mix.
const (
	accountPath    = "/openapi/v1/account"
	workspacesPath = "/openapi/v1/workspaces"
)

// load is what goes on while parts of a fleet are taken away. Each client has connections of
// its own for each request, as clients from everywhere have: what a front does to a
// connection that was kept is not what is measured.
type load struct {
	*record
	f       *fleet
	stop    context.Context //nolint:containedctx // the end of the load
	end     context.CancelFunc
	clients sync.WaitGroup
	labels  atomic.Int64
	listing string // what a bearer lists: apps, or workspaces where there are none yet
	chat    string // the app that runs; empty: none

	held sync.Mutex
	live map[string]string // labels and tokens that must work
	dead map[string]string // labels and tokens that must not
}

// How many clients there are: for "make test", and for "make ha".
const (
	devices, manyDevices = 3, 12
	bearers, manyBearers = 1, 4
	streams, manyStreams = 2, 8
	company, manyCompany = 1, 6
)

// transport keeps no connection.
func transport() *http.Transport { return &http.Transport{DisableKeepAlives: true} }

// begin starts the load on a fleet that serves, and waits until every kind of operation has
// succeeded.
func begin(t testing.TB, f *fleet) *load {
	t.Helper()
	l := &load{record: newRecord(), f: f, live: map[string]string{}, dead: map[string]string{}, listing: workspacesPath}
	l.stop, l.end = context.WithCancel(context.Background())
	t.Cleanup(func() { l.end(); l.clients.Wait() })
	if f.apps {
		l.prepare(t)
	}
	for range sized(devices, manyDevices) {
		l.clients.Go(func() { l.repeated(newAttempts(l.record), "device", l.device) })
	}
	for range sized(bearers, manyBearers) {
		l.clients.Go(func() { l.bearer(newAttempts(l.record)) })
	}
	if l.chat != "" {
		for range sized(streams, manyStreams) {
			l.clients.Go(func() { l.runs(newAttempts(l.record)) })
		}
	}
	if f.bridges != nil {
		for range sized(company, manyCompany) {
			l.clients.Go(func() { l.repeated(newAttempts(l.record), "company", l.company) })
		}
	}
	l.steady(t, sized(1, 20))
	return l
}

// prepare finds the app that runs and the list that shows it.
func (l *load) prepare(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	v := visitor.New(l.f.front.address, transport())
	if err := v.SignIn(ctx, ownerEmail, ownerPassword); err != nil {
		t.Fatal(err)
	}
	token, err := v.Login(ctx, "prepares")
	if err != nil {
		t.Fatal(err)
	}
	l.live["prepares"] = token
	type list struct {
		Data []struct {
			ID   string `json:"id"`
			Mode string `json:"mode"`
		} `json:"data"`
		Workspaces []struct {
			ID string `json:"id"`
		} `json:"workspaces"`
	}
	var spaces, found list
	if err := v.Get(ctx, token, workspacesPath, &spaces); err != nil || len(spaces.Workspaces) == 0 {
		t.Fatalf("%v: %+v", err, spaces)
	}
	l.listing = "/openapi/v1/apps?workspace_id=" + spaces.Workspaces[0].ID
	if err := v.Get(ctx, token, l.listing, &found); err != nil {
		t.Fatal(err)
	}
	for _, app := range found.Data {
		if app.Mode == "chat" {
			l.chat = app.ID
		}
	}
	if l.chat == "" {
		t.Fatalf("no app that chats in %+v", found)
	}
}

// steady waits for as many more logins, and for one more of each other operation.
func (l *load) steady(t testing.TB, logins int) {
	t.Helper()
	was, _ := l.finished()
	before := map[string]int{}
	for _, op := range operations {
		before[op] = l.successes(op)
	}
	defer func() {
		if t.Failed() {
			t.Log(l.record, l.f.state())
		}
	}()
	until(t, "the load to go on", func() bool {
		for _, op := range operations {
			if l.successes(op) == before[op] && l.does(op) {
				return false
			}
		}
		now, _ := l.finished()
		return now >= was+logins
	})
}

// does reports whether anybody does an operation.
func (l *load) does(op string) bool {
	switch op {
	case "run":
		return l.chat != ""
	case "leave", "return", "allow":
		return l.f.bridges != nil
	}
	return true
}

// over tells every client to stop after what it does, and waits for that.
func (l *load) over() {
	l.end()
	l.clients.Wait()
}

// repeated lets a device in, over and over; of its tokens the oldest ends.
func (l *load) repeated(a *attempts, kind string, login func(a *attempts, v *visitor.Visitor, label string) (token string, ok bool)) {
	var kept []string
	for l.stop.Err() == nil {
		v, label := visitor.New(l.f.front.address, transport()), fmt.Sprintf("%s-%d", kind, l.labels.Add(1))
		_, ok := login(a, v, label)
		l.login(ok)
		if !ok {
			time.Sleep(pause)
			continue
		}
		kept = append(kept, label)
		if len(kept) > 1 {
			l.logout(a, v, kept[0])
			kept = kept[1:]
		}
	}
}

// device is one login by RFC 8628 of somebody with an account: a code, a poll that finds it
// waiting, the approval in a session of the console, and polls at the interval until the token is
// there and works.
func (l *load) device(a *attempts, v *visitor.Visitor, label string) (token string, ok bool) {
	if !a.do("sign-in", nil, func(ctx context.Context) error { return v.SignIn(ctx, ownerEmail, ownerPassword) }) {
		return "", false
	}
	return l.granted(a, v, label, func(userCode string) bool {
		return a.do("approve", nil, func(ctx context.Context) error { return v.Allow(ctx, userCode) })
	})
}

// granted is the part of a login that the device sees, with a person who allows it meanwhile.
func (l *load) granted(a *attempts, v *visitor.Visitor, label string, allow func(userCode string) bool) (token string, ok bool) {
	var code visitor.Code
	if !a.do("code", nil, func(ctx context.Context) (err error) { code, err = v.Begin(ctx, label); return err }) {
		return "", false
	}
	interval := time.Duration(code.Interval) * time.Second
	for approved := false; token == ""; {
		slower := false
		waits := func(err error) bool {
			refused, told := errors.AsType[*visitor.Refusal](err)
			if !told || refused.Status != http.StatusBadRequest {
				return false
			}
			slower = strings.Contains(refused.Body, `"slow_down"`)
			return slower || strings.Contains(refused.Body, `"authorization_pending"`)
		}
		if !a.do("poll", waits, func(ctx context.Context) (err error) { token, err = v.Poll(ctx, code); return err }) {
			return "", false
		}
		polled := time.Now()
		if slower {
			interval += 5 * time.Second // RFC 8628, section 3.5
		}
		if !approved {
			if approved = allow(code.UserCode); !approved {
				return "", false
			}
		}
		if token == "" {
			time.Sleep(time.Until(polled.Add(interval)))
		}
	}
	l.held.Lock()
	l.live[label] = token
	l.held.Unlock()
	return token, l.works(a, v, "account", accountPath, label, token)
}

// works uses a token that must: nobody may tell its owner that it is none.
func (l *load) works(a *attempts, v *visitor.Visitor, op, path, label, token string) bool {
	return a.do(op, nil, func(ctx context.Context) error {
		err := v.Get(ctx, token, path, nil)
		if statusOf(err) == http.StatusUnauthorized {
			l.violated("a live token (%s) is refused: %v", label, err)
		}
		return err
	})
}

// logout ends a token; from its answer on no replica takes it.
func (l *load) logout(a *attempts, v *visitor.Visitor, label string) {
	l.held.Lock()
	token := l.live[label]
	delete(l.live, label) // until the answer it is neither
	l.held.Unlock()
	tries := 0
	dead := func(err error) bool { return tries > 1 && statusOf(err) == http.StatusUnauthorized } // by an earlier try, whose answer was lost
	if !a.do("logout", dead, func(ctx context.Context) error { tries++; return v.Logout(ctx, token) }) {
		return
	}
	ended := time.Now()
	l.held.Lock()
	l.dead[label] = token
	l.held.Unlock()
	for _, public := range l.f.front.rotation() {
		l.refused(a, public, label, token, ended)
	}
}

// tombstones is for how long a token may pass whose tombstone was lost with a server of
// Redis: the life of what is remembered of it.
const tombstones = 30 * time.Second

// refused asks one replica for itself. One that has left meanwhile is not asked.
func (l *load) refused(a *attempts, public, label, token string, ended time.Time) {
	at := visitor.New("http://"+public, transport())
	a.do("dead", func(err error) bool {
		return statusOf(err) == http.StatusUnauthorized || (err != nil && statusOf(err) == 0)
	}, func(ctx context.Context) error {
		for {
			err := at.Get(ctx, token, accountPath, nil)
			if err != nil {
				return err
			}
			if since := time.Since(ended); !l.f.stores.lossy || since > tombstones {
				l.violated("a token (%s) is taken by %s %s after its end was acknowledged", label, public, since)
				return nil
			}
			l.late(label)
			time.Sleep(pause)
		}
	})
}

// bearer uses one token all the time.
func (l *load) bearer(a *attempts) {
	v, label := visitor.New(l.f.front.address, transport()), fmt.Sprintf("bearer-%d", l.labels.Add(1))
	token, ok := l.device(a, v, label)
	l.login(ok)
	for ok && l.stop.Err() == nil {
		l.works(a, v, "account", accountPath, label, token)
		l.works(a, v, "list", l.listing, label, token)
		time.Sleep(50 * time.Millisecond)
	}
}
