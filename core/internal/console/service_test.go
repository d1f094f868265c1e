// SPDX-License-Identifier: Apache-2.0

package console_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/dify-sso/dify-sso/core/internal/account"
	"github.com/dify-sso/dify-sso/core/internal/console"
	"github.com/dify-sso/dify-sso/core/internal/storetest"
	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// room is the service on SQLite that fails when it is told to.
type room struct {
	*storetest.World
	*console.Service
	t        *testing.T
	sessions storetest.Faults
	accounts storetest.Faults
	ada      account.Account
}

const (
	idle     = time.Hour
	longest  = 24 * time.Hour
	password = "correct horse battery"
)

func newRoom(t *testing.T) *room {
	t.Helper()
	r := &room{World: storetest.NewWorld(t), t: t}
	s, err := console.New(console.Deps{
		Store: storetest.FaultyConsole(r.Console, &r.sessions), Accounts: storetest.FaultyAccounts(r.World.Accounts, &r.accounts),
		Passwords: account.NewPasswords(8), Recorder: r.Recorder, Now: r.Clock.Now, CSRFKey: []byte(strings.Repeat("k", secret.KeySize)), Idle: idle, Max: longest,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Service, r.ada = s, r.AddActive(t, "ada@example.com")
	return r
}

// begin starts a session without hashing a password.
func (r *room) begin(b console.Browser) console.Issued {
	r.t.Helper()
	i, err := r.Begin(r.t.Context(), r.ada, console.HowPassword, b)
	if err != nil {
		r.t.Fatal("begin: ", err)
	}
	return i
}

func (r *room) is(value secret.Text, want error) {
	r.t.Helper()
	if s, err := r.Authenticate(r.t.Context(), value); !errors.Is(err, want) || (want == nil) != (s.Account.ID == r.ada.ID) {
		r.t.Fatalf("authenticate: %v, want %v", err, want)
	}
}

func unavailable(t *testing.T, err error) {
	t.Helper()
	if err == nil || fault.Of(err).Kind() != fault.Unavailable {
		t.Fatalf("%v, want a 503", err)
	}
}

func TestExpiry(t *testing.T) {
	t.Run("W-12 a session that was not seen for the idle time is over, a remembered one is not", func(t *testing.T) {
		r := newRoom(t)
		plain, remembered := r.begin(console.Browser{}), r.begin(console.Browser{Remember: true})
		r.Clock.Advance(idle - time.Microsecond)
		r.is(plain.Cookie, nil) // and is seen by that
		r.Clock.Advance(idle - time.Microsecond)
		r.is(plain.Cookie, nil)
		r.Clock.Advance(idle)
		r.is(plain.Cookie, console.ErrUnauthorized)
		r.is(remembered.Cookie, nil)
	})

	t.Run("W-12 every session ends at its longest, however often it is seen", func(t *testing.T) {
		r := newRoom(t)
		sessions := []console.Issued{r.begin(console.Browser{}), r.begin(console.Browser{Remember: true})}
		const step = idle / 2
		for waited := time.Duration(0); waited < longest-step; waited += step {
			r.Clock.Advance(step)
			for _, s := range sessions {
				r.is(s.Cookie, nil)
			}
		}
		r.Clock.Advance(step - time.Microsecond)
		for _, s := range sessions {
			r.is(s.Cookie, nil)
		}
		r.Clock.Advance(time.Microsecond)
		for _, s := range sessions {
			r.is(s.Cookie, console.ErrUnauthorized)
		}
	})

	t.Run("a sight is written at most once a minute, and its failure signs nobody out", func(t *testing.T) {
		r := newRoom(t)
		s := r.begin(console.Browser{})
		for _, c := range []struct {
			after  time.Duration
			writes int
		}{{0, 0}, {time.Minute - time.Microsecond, 0}, {time.Microsecond, 1}, {time.Second, 1}, {time.Minute, 2}} {
			r.Clock.Advance(c.after)
			r.is(s.Cookie, nil)
			if got := r.sessions.Calls("Touch"); got != c.writes {
				t.Fatalf("%d writes, want %d", got, c.writes)
			}
		}
		r.sessions.Plan(storetest.Fault{Method: "Touch"})
		r.Clock.Advance(2 * time.Minute)
		r.is(s.Cookie, nil)
	})

	t.Run("the list shows what is live, newest first", func(t *testing.T) {
		r := newRoom(t)
		r.begin(console.Browser{})
		r.Clock.Advance(idle)
		remembered := r.begin(console.Browser{Remember: true})
		r.Clock.Advance(idle / 2)
		fresh := r.begin(console.Browser{})
		list, err := r.List(t.Context(), r.ada.ID)
		if err != nil || len(list) != 2 || list[0].ID != fresh.Session.ID || list[1].ID != remembered.Session.ID {
			t.Fatalf("%+v, %v", list, err)
		}
	})
}

func TestAuthenticate(t *testing.T) {
	t.Run("what has not the length of a value asks no store", func(t *testing.T) {
		r := newRoom(t)
		for _, v := range []string{"", "x", strings.Repeat("x", 42), strings.Repeat("x", 44), strings.Repeat("x", 4096)} {
			r.is(secret.New(v), console.ErrUnauthorized)
		}
		if r.sessions.Total() != 0 {
			t.Fatal("the store was asked")
		}
		r.is(secret.New(strings.Repeat("x", 43)), console.ErrUnauthorized)
	})

	t.Run("W-11 an account that is not active is signed out", func(t *testing.T) {
		r := newRoom(t)
		s := r.begin(console.Browser{Remember: true})
		for _, status := range []account.Status{account.Banned, account.Closed, account.Pending} {
			r.SetStatus(t, r.ada.ID, status)
			r.is(s.Cookie, console.ErrUnauthorized)
		}
		r.SetStatus(t, r.ada.ID, account.Active)
		r.is(s.Cookie, nil)
		r.RemoveAccount(t, r.ada.ID)
		r.is(s.Cookie, console.ErrUnauthorized)
	})

	t.Run("INV-6 an outage never reads signed out", func(t *testing.T) {
		r := newRoom(t)
		s := r.begin(console.Browser{})
		r.sessions.Plan(storetest.Fault{Method: "ByDigest", On: 1})
		_, err := r.Authenticate(t.Context(), s.Cookie)
		unavailable(t, err)
		if errors.Is(err, console.ErrUnauthorized) {
			t.Fatal(err)
		}
		r.is(s.Cookie, nil)
	})
}

func TestBegin(t *testing.T) {
	t.Run("W-12 PPL-04 the value is new and the one that came along is over", func(t *testing.T) {
		r := newRoom(t)
		first := r.begin(console.Browser{})
		second := r.begin(console.Browser{Presented: first.Cookie, IP: "192.0.2.1", UserAgent: strings.Repeat("爱", 300)})
		if second.Cookie.Equal(first.Cookie) || second.Session.ID == first.Session.ID {
			t.Fatal("the value was taken over")
		}
		r.is(first.Cookie, console.ErrUnauthorized)
		r.is(second.Cookie, nil)
		if n := len([]rune(second.Session.UserAgent)); n != audit.MaxUserAgent {
			t.Errorf("%d characters of User-Agent", n)
		}
		if r.Count(t, `SELECT count(*) FROM console_sessions`) != 1 {
			t.Error("the former row is there")
		}
	})

	t.Run("INV-7 the store holds a digest of the value", func(t *testing.T) {
		r := newRoom(t)
		s := r.begin(console.Browser{})
		if s.Session.TokenHash != secret.DigestOf(s.Cookie.Reveal()) || len(s.Cookie.Reveal()) != 43 {
			t.Fatal("another hash")
		}
	})

	t.Run("OUT-06 a session whose event cannot be written does not begin", func(t *testing.T) {
		r := newRoom(t)
		r.sessions.Plan(storetest.Fault{Method: "Begin"})
		_, err := r.Begin(t.Context(), r.ada, console.HowSetup, console.Browser{})
		unavailable(t, err)
		if r.Count(t, `SELECT count(*) FROM console_sessions`) != 0 {
			t.Fatal("it began")
		}
	})
}

func TestSignIn(t *testing.T) {
	r := newRoom(t)
	passwords := account.NewPasswords(8)
	hash, err := passwords.Hash(t.Context(), secret.New(password))
	if err != nil {
		t.Fatal(err)
	}
	person := func(email string, hash string, s account.Status) account.Account {
		now := r.Clock.Now()
		return r.AddAccount(t, account.Account{ID: canon.NewID(), Email: email, Name: "x", PasswordHash: hash, Status: s, CreatedAt: now, UpdatedAt: now})
	}
	bob := person("bob@example.com", hash, account.Active)
	banned := person("banned@example.com", hash, account.Banned)
	pending := person("pending@example.com", "", account.Pending)
	try := func(email, word string) (console.Issued, error) {
		return r.SignIn(t.Context(), console.SignIn{Email: email, Password: secret.New(word), IP: "192.0.2.1"})
	}

	t.Run("W-12 the right password, whatever the case of the e-mail", func(t *testing.T) {
		i, err := try(" BOB@Example.com ", password)
		if err != nil || i.Account.ID != bob.ID || i.Session.How != console.HowPassword {
			t.Fatalf("%+v, %v", i.Session, err)
		}
		events := r.Recorded(t, "account.signed_in")
		if len(events) != 1 || events[0].Actor != audit.Account(bob.ID) {
			t.Fatalf("events %+v", events)
		}
	})

	t.Run("W-11 LOG-03 every refusal is the same, its cause is on record and the e-mail is not", func(t *testing.T) {
		for _, c := range []struct{ email, word, cause, id string }{
			{"nobody@example.com", password, "unknown", ""},
			{"no address", password, "unknown", ""},
			{"bob@example.com", "wrong", "password", bob.ID},
			{"bob@example.com", "", "password", bob.ID},
			{"banned@example.com", password, "status", banned.ID},
			{"banned@example.com", "wrong", "password", banned.ID},
			{"pending@example.com", password, "password", pending.ID},
		} {
			before := len(r.Recorded(t, "account.sign_in_failed"))
			_, err := try(c.email, c.word)
			if !errors.Is(err, console.ErrInvalidCredentials) || err.Error() != console.ErrInvalidCredentials.Error() {
				t.Errorf("%s: %v", c.email, err)
			}
			events := r.Recorded(t, "account.sign_in_failed")
			if len(events) != before+1 {
				t.Fatalf("%s: %d events", c.email, len(events)-before)
			}
			e := events[before]
			var own struct {
				AccountID string `json:"account_id"`
				Cause     string
			}
			if err := json.Unmarshal(e.Fields, &own); err != nil || own.Cause != c.cause || own.AccountID != c.id {
				t.Errorf("%s: %s", c.email, e.Fields)
			}
			if strings.Contains(string(e.Fields), "@") {
				t.Errorf("the event names the e-mail: %s", e.Fields)
			}
		}
	})

	t.Run("OUT-02 a store that cannot be asked is no wrong password", func(t *testing.T) {
		r.accounts.Plan(storetest.Fault{Method: "ByEmail", On: r.accounts.Calls("ByEmail") + 1})
		_, err := try("bob@example.com", password)
		unavailable(t, err)
		if errors.Is(err, console.ErrInvalidCredentials) {
			t.Fatal(err)
		}
	})

	t.Run("a hash of other parameters is made anew at sign-in, and its failure does not matter", func(t *testing.T) {
		salt := []byte("somesaltsomesalt")
		weakHash := "$argon2id$v=19$m=64,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" +
			base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte("password"), salt, 1, 64, 1, 32))
		carol := person("carol@example.com", weakHash, account.Active)
		r.accounts.Plan(storetest.Fault{Method: "SetPasswordHash", On: r.accounts.Calls("SetPasswordHash") + 1})
		for i, want := range []bool{false, true} { // whether it was replaced
			if _, err := try(carol.Email, "password"); err != nil {
				t.Fatalf("sign-in %d: %v", i+1, err)
			}
			got, err := r.World.Accounts.ByID(t.Context(), carol.ID)
			if err != nil || (got.PasswordHash != weakHash) != want {
				t.Fatalf("sign-in %d: replaced %t, %v", i+1, got.PasswordHash != weakHash, err)
			}
		}
	})

	t.Run("LIM-13 an account is known where it signed in last and where it has a live session", func(t *testing.T) {
		r := newRoom(t)
		r.begin(console.Browser{IP: "192.0.2.1", Remember: true})
		r.begin(console.Browser{IP: "192.0.2.2"})
		r.begin(console.Browser{IP: "192.0.2.3", Remember: true})
		r.Clock.Advance(idle)
		for ip, want := range map[string]bool{"192.0.2.1": true, "192.0.2.2": false, "192.0.2.3": true, "192.0.2.4": false} {
			if got, err := r.KnownAt(t.Context(), r.ada.Email, ip); err != nil || got != want {
				t.Errorf("%s: known %t, %v", ip, got, err)
			}
		}
		if got, err := r.KnownAt(t.Context(), "nobody@example.com", "192.0.2.1"); err != nil || got {
			t.Errorf("nobody: known %t, %v", got, err)
		}
		r.accounts.Plan(storetest.Fault{Method: "ByEmail"})
		_, err := r.KnownAt(t.Context(), r.ada.Email, "192.0.2.1")
		unavailable(t, err)
	})
}

func TestNewChecksWhatItNeeds(t *testing.T) {
	whole := newRoom(t).Deps
	for name, drop := range map[string]func(*console.Deps){
		"store": func(d *console.Deps) { d.Store = nil }, "accounts": func(d *console.Deps) { d.Accounts = nil }, "passwords": func(d *console.Deps) { d.Passwords = nil },
		"recorder": func(d *console.Deps) { d.Recorder = nil }, "clock": func(d *console.Deps) { d.Now = nil }, "key": func(d *console.Deps) { d.CSRFKey = d.CSRFKey[1:] },
		"idle": func(d *console.Deps) { d.Idle = 0 }, "max": func(d *console.Deps) { d.Max = 0 },
	} {
		d := whole
		drop(&d)
		if _, err := console.New(d); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}
