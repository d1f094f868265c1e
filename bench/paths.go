// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// goal is what a path should reach; zero members are not asked for.
type goal struct {
	ratio float64       // of the floor's rate
	cpu   time.Duration // of core and stores together, per act
}

// path is one thing that is measured, beside its floor.
type path struct {
	name  string
	floor string // name of the floor
	goal  goal
	// amount of acts in one sample.
	amount amount
	// prepare makes what a sample uses up; it is not measured. nil: nothing.
	prepare func(n int64) error
	act     op
}

const (
	// A path that reads lasts a time; one that leaves something behind a number.
	sampleTime   = 2 * time.Second
	floorTime    = time.Second
	codesOfOne   = 10_000
	coldOfOne    = 8000
	mintsOfOne   = 4000
	cyclesOfOne  = 2000
	pendingCodes = 1000
	// codeLife is well within the fifteen minutes of a code.
	codeLife = 10 * time.Minute
	// coldAfter is when a bearer cache has forgotten a token.
	coldAfter = 31 * time.Second
)

// floorActs are the requests of the floors.
func floorActs(base string, tokens int) map[string]op {
	get := func(path string, n int) op {
		return func(c *caller, i int64) error {
			return expect(c, path, http.StatusOK, "", http.MethodGet, base+path, "", "Authorization", "Bearer "+tokenOf(int(i)%n))
		}
	}
	var serial atomic.Int64
	post := func(path string, text func(i int64) string) op {
		return func(c *caller, i int64) error {
			return expect(c, path, http.StatusOK, "", http.MethodPost, base+path, text(i))
		}
	}
	return map[string]op{
		"json": get("/json", rotated), "get": get("/get", rotated), "select": get("/select", tokens),
		"code":   post("/code", func(int64) string { return strconv.FormatInt(serial.Add(1), 36) }),
		"poll":   post("/poll", func(i int64) string { return strconv.FormatInt(i%pendingCodes, 10) }),
		"upsert": post("/upsert", func(int64) string { return strconv.FormatInt(serial.Add(1), 10) }),
	}
}

// floorNames say what a floor is, for the table.
var floorNames = map[string]string{
	"json": "fiber, small JSON", "get": "fiber, one Redis GET", "select": "fiber, one SELECT by hash",
	"code": "fiber, pipeline of SET NX and HSET", "poll": "fiber, pipeline of HMGET and HSET", "upsert": "fiber, upsert on the partial index and commit",
}

// expect sends a request and refuses every answer but the one that is measured.
func expect(c *caller, what string, status int, word, method, url, body string, headers ...string) error {
	got, answer, err := c.send(method, url, body, headers...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if got != status || word != "" && !strings.Contains(string(answer), word) {
		return unexpected(what, got, answer)
	}
	return nil
}

const api = "/openapi/v1"

func (p *product) verify(c *caller, token string) error {
	return expect(c, "verify", http.StatusOK, "", http.MethodGet, p.inner+"/inner/api/auth/verify", "", "Authorization", "Bearer "+token, "X-Inner-Api-Key", forwardKey)
}

func (p *product) account(c *caller, token string) error {
	return expect(c, "account", http.StatusOK, "@example.com", http.MethodGet, p.public+api+"/account", "", "Authorization", "Bearer "+token)
}

func (p *product) introspect(c *caller, token string) error {
	return expect(c, "introspect", http.StatusOK, `"active":true`, http.MethodPost, p.public+api+"/oauth/introspect", "token="+token,
		"Content-Type", "application/x-www-form-urlencoded", "Authorization", p.introspector)
}

// codes are what a client holds while it waits.
type codes struct {
	Device string `json:"device_code"`
	User   string `json:"user_code"`
}

func (p *product) code(c *caller, label string) (codes, error) {
	var got codes
	err := expect(c, "code", http.StatusOK, "user_code", http.MethodPost, p.public+api+"/oauth/device/code",
		fmt.Sprintf(`{"client_id":"difyctl","device_label":%q}`, label), "Content-Type", "application/json")
	if err == nil {
		err = json.Unmarshal(c.res.Body(), &got)
	}
	return got, err
}

func (p *product) approve(c *caller, user string, person int) error {
	return expect(c, "approve", http.StatusOK, "approved", http.MethodPost, p.public+api+"/oauth/device/approve", fmt.Sprintf(`{"user_code":%q}`, user),
		"Content-Type", "application/json", "Cookie", p.cookie(person), "Origin", p.public, "X-CSRF-Token", p.csrf[person])
}

// wait polls a code that nobody has decided, in time or too early.
func (p *product) wait(c *caller, device string) error {
	err := p.poll(c, device, http.StatusBadRequest, `"error"`)
	if answer := string(c.res.Body()); err == nil && !strings.Contains(answer, "slow_down") && !strings.Contains(answer, "authorization_pending") {
		err = unexpected("token", http.StatusBadRequest, []byte(answer))
	}
	return err
}

func (p *product) poll(c *caller, device string, status int, word string) error {
	return expect(c, "token", status, word, http.MethodPost, p.public+api+"/oauth/device/token",
		fmt.Sprintf(`{"client_id":"difyctl","device_code":%q}`, device), "Content-Type", "application/json")
}

// ready is an approved login of a person's one device that the next poll redeems.
func (p *product) ready(c *caller, person int64) (codes, error) {
	got, err := p.code(c, "device")
	if err == nil {
		err = p.approve(c, got.User, int(person%people))
	}
	return got, err
}

// paths gives what this build of core can be measured at; servers says that it stands
// on Postgres and Redis, where the goals with floors of their own hold.
func (p *product) paths(l *load, tokens int, servers bool) (list []path) {
	on := func(floor string) string {
		if servers {
			return floor
		}
		return "json"
	}
	only := func(inServers bool, g goal) goal {
		if inServers == servers {
			return g
		}
		return goal{}
	}
	read := amount{last: sampleTime}
	add := func(c path) { list = append(list, c) }
	type ask = func(c *caller, token string) error
	warm := func(name, floor string, g goal, ask ask) path {
		act := func(c *caller, i int64) error { return ask(c, tokenOf(int(i)%rotated)) }
		// What a token costs once a minute must not be paid within the two seconds of each
		// sample: a round before puts all into the cache and their last use on record.
		return path{name: name, floor: on(floor), goal: g, amount: read, act: act, prepare: func(int64) error {
			_, _, err := l.drive(l.some(rotated), act)
			return err
		}}
	}
	fresh := newColdTokens(rotated, tokens)
	cold := func(name string, g goal, ask ask) path {
		if p.forget == nil { // the cache is in the process: tokens that it has never met
			return path{name: name + ", first use of a token", floor: on("select"), amount: amount{count: coldOfOne}, prepare: fresh.prepare,
				act: func(c *caller, _ int64) error { return ask(c, tokenOf(fresh.next())) }}
		}
		act := func(c *caller, i int64) error { return ask(c, tokenOf(rotated+int(i)%coldOfOne)) }
		return path{name: name + ", not cached", floor: on("select"), goal: g, amount: amount{count: coldOfOne}, act: act, prepare: func(n int64) error {
			if _, _, err := l.drive(amount{count: n}, act); err != nil {
				return err
			}
			return p.forget()
		}}
	}
	one := newCaller()
	if err := p.verify(one, tokenOf(0)); err == nil {
		g := goal{ratio: 0.55}
		if servers {
			g.ratio = 0.70
		}
		add(warm("identity by forward-auth, cached", "get", g, p.verify))
		add(cold("identity by forward-auth", goal{ratio: 0.60}, p.verify))
	} else {
		p.lacks = append(p.lacks, "forward-auth")
	}
	add(warm("`GET /account`, cached", "get", goal{}, p.account))
	add(cold("`GET /account`", goal{}, p.account))
	if err := p.introspect(one, tokenOf(0)); err == nil {
		add(warm("introspection, cached", "get", only(true, goal{cpu: 115 * time.Microsecond}), p.introspect))
	} else {
		p.lacks = append(p.lacks, "introspection")
	}
	add(path{name: "device code", floor: on("code"), goal: only(true, goal{ratio: 0.40}), amount: amount{count: codesOfOne}, act: func(c *caller, _ int64) error {
		_, err := p.code(c, "bench")
		return err
	}})
	add(p.pending(l, on("poll"), only(true, goal{ratio: 0.50}), read))
	add(p.mint(l, on("upsert"), only(true, goal{ratio: 0.60})))
	add(path{name: "whole login: code, approve, poll", floor: on("upsert"), goal: goal{cpu: 1500 * time.Microsecond}, amount: amount{count: cyclesOfOne}, act: func(c *caller, i int64) error {
		got, err := p.ready(c, i)
		if err != nil {
			return err
		}
		return p.poll(c, got.Device, http.StatusOK, "access_token")
	}})
	return list
}

// pending polls codes that nobody decides. All but the first poll of each come too
// early, as those of an impatient client do.
func (p *product) pending(l *load, floor string, g goal, a amount) path {
	var open []codes
	var since time.Time
	return path{name: "pending poll", floor: floor, goal: g, amount: a, prepare: func(int64) error {
		if time.Since(since) < codeLife {
			return nil
		}
		since, open = time.Now(), make([]codes, l.some(pendingCodes).count)
		_, _, err := l.drive(l.some(pendingCodes), func(c *caller, i int64) (err error) {
			if open[i], err = p.code(c, "pending"); err != nil {
				return err
			}
			return p.wait(c, open[i].Device)
		})
		return err
	}, act: func(c *caller, i int64) error {
		return p.wait(c, open[i%int64(len(open))].Device)
	}}
}

// mint redeems logins that were approved before; their devices log in again and again,
// so that rows are rotated.
func (p *product) mint(l *load, floor string, g goal) path {
	approved := make([]codes, mintsOfOne)
	return path{name: "mint: the poll that redeems", floor: floor, goal: g, amount: amount{count: mintsOfOne}, prepare: func(n int64) error {
		_, _, err := l.drive(amount{count: n}, func(c *caller, i int64) (err error) {
			approved[i], err = p.ready(c, i)
			return err
		})
		return err
	}, act: func(c *caller, i int64) error { return p.poll(c, approved[i].Device, http.StatusOK, "access_token") }}
}

// coldTokens hands out tokens that no cache holds, around a ring.
type coldTokens struct {
	from, n int
	given   atomic.Int64
}

func newColdTokens(from, to int) *coldTokens {
	return &coldTokens{from: from, n: to - from}
}

func (t *coldTokens) next() int { return t.from + int((t.given.Add(1)-1)%int64(t.n)) }

// prepare waits at the ring's end until what it began with is forgotten.
func (t *coldTokens) prepare(n int64) error {
	if t.given.Load()+n > int64(t.n) {
		time.Sleep(coldAfter)
		t.given.Store(0)
	}
	return nil
}
