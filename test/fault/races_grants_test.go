// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestRacesOfGrants(t *testing.T) {
	d := newDuo(t)
	who, bob := d.a.owner(), d.another("bob@example.com")

	t.Run("DF-18 DEV-06 INV-2 a hundred pollers of one approval", func(t *testing.T) {
		for round := range rounds(1000) {
			label := fmt.Sprintf("polled %d", round%3) // some rounds rotate a row, some make one
			g := d.approved(who, label)
			var won []answer
			for _, a := range atOnce(100, func(i int) answer { return d.of(i).poll(g) }) {
				switch {
				case a.Status == http.StatusOK:
					won = append(won, a)
				case a.Status != http.StatusBadRequest || !slices.Contains([]string{"slow_down", "authorization_pending", "expired_token"}, a.refusal()):
					t.Fatalf("round %d: %d %s %v", round, a.Status, a.Body, a.Err)
				}
			}
			if len(won) != 1 {
				t.Fatalf("round %d: %d pollers got a token", round, len(won))
			}
			d.device(label, won[0].text("token"))
			if left := d.grant(g); len(left) != 0 {
				t.Fatalf("round %d: the grant is still %s", round, left["status"])
			}
			if round%50 == 0 {
				d.works(won[0].text("token"))
			}
		}
		d.whole()
	})

	t.Run("DF-19 DEV-07 INV-1 INV-3 INV-4 approvals, a denial and the end of the code", func(t *testing.T) {
		deciders := []struct {
			who         person
			email, what string
		}{{who, ownerEmail, "approve"}, {bob, "bob@example.com", "approve"}, {bob, "bob@example.com", "deny"}}
		for round := range rounds(1000) {
			label := fmt.Sprintf("decided %d", round)
			g := d.of(round).mustCode(label)
			late := round%2 == 1 // the code ends about when they decide
			if late {
				d.change(g, "expires_at", time.Now().Add(time.Duration(round%16)*500*time.Microsecond).UnixMicro())
			}
			winner := -1
			for i, a := range atOnce(len(deciders), func(i int) answer { return d.of(i+round).decide(deciders[i].who, deciders[i].what, g) }) {
				switch {
				case a.Status == http.StatusOK && winner < 0:
					winner = i
				case a.Status == http.StatusOK:
					t.Fatalf("round %d: %d and %d have both decided", round, winner, i)
				case a.Status == http.StatusConflict && a.refusal() == "already_resolved":
				case late && a.Status == http.StatusNotFound && a.refusal() == "expired_or_unknown":
				default:
					t.Fatalf("round %d: %d %s %v", round, a.Status, a.Body, a.Err)
				}
			}
			if winner < 0 && !late {
				t.Fatalf("round %d: nobody has decided", round)
			}
			d.device(label, "")
			d.decided(t, g, winner >= 0)
			a := d.of(round + 1).poll(g)
			switch {
			case winner < 0 && a.refusal() == "expired_token":
			case winner >= 0 && deciders[winner].what == "deny" && a.refusal() == "access_denied":
			case winner >= 0 && a.Status == http.StatusOK:
				if email := d.a.identity(a.text("token")).text("subject_email"); email != deciders[winner].email {
					t.Fatalf("round %d: decider %d won and %s got the token", round, winner, email)
				}
			default:
				t.Fatalf("round %d, won by %d: %d %s %v", round, winner, a.Status, a.Body, a.Err)
			}
		}
		d.whole()
	})

	t.Run("DF-25 DF-43 DF-44 DEV-08 a claim that was held past its lease", func(t *testing.T) { d.held(t, who) })
}

// decided wants a grant that has left pending with its decision, or one that has not.
func (d *duo) decided(t *testing.T, g codes, moved bool) {
	t.Helper()
	left := d.grant(g)
	if (left["status"] != "pending") != moved || (left["transition"] != "") != moved || (left["approved_at"] != "") != moved {
		t.Fatalf("moved %v, and the grant is %s by %q", moved, left["status"], left["transition"])
	}
}

// held stops a process between its claim of grant A and the mint until the lease is
// over and the grant was claimed and redeemed at the other process. Whatever happened
// to that session meanwhile, the slow mint changes nothing.
func (d *duo) held(t *testing.T, who person) {
	for round := range rounds(1000) {
		label := fmt.Sprintf("held %d", round%5)
		g := d.approved(who, label)
		kept := d.grant(g)
		slow := d.hold(t, round, g)
		fast := d.b.poll(g)
		if fast.Status != http.StatusOK {
			t.Fatalf("round %d: the second claim: %d %s %v", round, fast.Status, fast.Body, fast.Err)
		}
		alive := fast.text("token")
		switch round % 4 {
		case 1: // another login on its label
			later, id := d.b.login(who, label)
			if id != fast.text("token_id") {
				t.Fatalf("round %d: the later login has made another row", round)
			}
			alive = later
		case 2: // its session was ended
			if a := d.b.logout(alive); a.Status != http.StatusOK {
				t.Fatalf("round %d: %d %s %v", round, a.Status, a.Body, a.Err)
			}
			alive = ""
		case 3: // the deleted grant is back, as after a failover
			d.change(g, flat(kept)...)
		}
		if a := slow(); a.Status != http.StatusBadRequest || a.refusal() != "expired_token" {
			t.Fatalf("round %d: the slow claim: %d %s %v", round, a.Status, a.Body, a.Err)
		}
		d.device(label, alive)
		if a := d.of(round / 4).poll(g); a.Status != http.StatusBadRequest || a.refusal() != "expired_token" {
			t.Fatalf("round %d: a poll afterwards: %d %s %v", round, a.Status, a.Body, a.Err)
		}
		d.device(label, alive)
		if alive != fast.text("token") {
			d.refused(fast.text("token"))
		}
		if alive != "" {
			d.works(alive)
		}
	}
	d.whole()
}

// hold lets process a claim a grant, stops it before it mints, and lets the lease
// lapse. What it gives lets the process go on and waits for the answer.
func (d *duo) hold(t *testing.T, round int, g codes) (goOn func() answer) {
	t.Helper()
	ctx := context.Background()
	// The mint begins with a look at the person's workspaces.
	gate, err := d.sql.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gate.Rollback(ctx) }()
	if _, err := gate.Exec(ctx, `LOCK TABLE memberships IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	slow := make(chan answer, 1)
	go func() { slow <- d.a.poll(g) }()
	untilSo(t, fmt.Sprintf("round %d: a claim", round), func() bool { return d.grant(g)["status"] == "redeeming" })
	d.a.halt()
	d.lapse(g)
	return func() answer { d.a.goOn(); return <-slow }
}

func flat(fields map[string]string) (list []any) {
	for k, v := range fields {
		list = append(list, k, v)
	}
	return list
}
