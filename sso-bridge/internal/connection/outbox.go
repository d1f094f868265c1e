// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/dify-sso/dify-sso/pkg/canon"
)

// revokeConnection is the one kind of message: core ends what began through a connection.
const revokeConnection = "connection.revoke"

const (
	// waitForCore is what a command waits for core's answer.
	waitForCore = 4 * time.Second
	// firstTry leaves a new message to the command that made it.
	firstTry = 2 * waitForCore
	// sendWithin bounds one delivery.
	sendWithin = 10 * time.Second
	// The time from one try to the next doubles from leastPause, within which a try ends,
	// to mostPause.
	leastPause = 15 * time.Second
	mostPause  = 5 * time.Minute
	// lookEvery is how often the worker looks for messages.
	lookEvery = 5 * time.Second
	perLook   = 20
	// reasonForCore is what core takes, in characters.
	reasonForCore = 64
)

// revocation is the payload of revokeConnection.
type revocation struct {
	Connection string `json:"connection_id"`
	Reason     string `json:"reason"`
	Actor      string `json:"actor"`
}

// forCore cuts a reason; the whole of it is in the audit stream here.
func forCore(reason string) string { return canon.Claim(reason, reasonForCore) }

// tell adds the message of an ending connection to the transaction that ends it, or
// gives nil when there is nothing to tell. It is due after a while: until then the
// command that made it delivers it.
func tell(ctx context.Context, tx Tx, now time.Time, row Connection, a Act, keepTokens bool, otherwise string) (*Entry, error) {
	if keepTokens || row.Serving == "" {
		return nil, nil //nolint:nilnil // nothing to tell is no failure
	}
	if a.Reason != "" {
		otherwise = a.Reason
	}
	payload, err := json.Marshal(revocation{Connection: row.ID, Reason: forCore(otherwise), Actor: a.Actor})
	if err != nil {
		return nil, err
	}
	e := Entry{ID: canon.NewID(), Kind: revokeConnection, Payload: string(payload), NextAt: now.Add(firstTry)}
	return &e, tx.Tell(ctx, e)
}

// settle delivers a message at once, for the one who waits for its answer.
func (s *Service) settle(ctx context.Context, e *Entry) Ended {
	if e == nil {
		return Ended{}
	}
	ctx, cancel := context.WithTimeout(ctx, waitForCore)
	defer cancel()
	ended, delivered, err := s.deliver(ctx, *e)
	if err != nil {
		s.Log.Warn("core is not told yet and will be", slog.String("message", e.Kind), slog.String("error", err.Error()))
	}
	if !delivered {
		return Ended{Pending: true}
	}
	return ended
}

// deliver sends one message if nobody else is at it.
func (s *Service) deliver(ctx context.Context, e Entry) (ended Ended, delivered bool, err error) {
	ok, err := s.Store.ClaimEntry(ctx, e, s.now().Add(pauseAfter(e.Tries)))
	if err != nil || !ok {
		return Ended{}, false, err
	}
	if e.Kind != revokeConnection {
		return Ended{}, false, errors.New("connection: a message of an unknown kind waits")
	}
	var r revocation
	if err := json.Unmarshal([]byte(e.Payload), &r); err != nil {
		return Ended{}, false, err
	}
	if ended.Tokens, ended.Sessions, err = s.Core.RevokeConnection(ctx, r.Connection, r.Reason, r.Actor); err != nil {
		return Ended{}, false, err
	}
	// Without the mark it is sent once more, which ends nothing that is not to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendWithin)
	defer cancel()
	return ended, true, s.Store.Acknowledged(ctx, e.ID, s.now())
}

func pauseAfter(tries int) time.Duration {
	pause := leastPause
	for range min(tries, 10) { // further doubling changes nothing
		pause *= 2
	}
	return min(pause, mostPause)
}

// Deliver sends the messages that are due and gives the number that core acknowledged.
// Of all replicas that find a message one sends it. The error is the first failure; the
// others were tried all the same.
func (s *Service) Deliver(ctx context.Context) (acknowledged int, err error) {
	due, err := s.Store.Due(ctx, s.now(), perLook)
	if err != nil {
		return 0, err
	}
	for _, e := range due {
		try, cancel := context.WithTimeout(ctx, sendWithin)
		_, delivered, failed := s.deliver(try, e)
		cancel()
		if delivered {
			acknowledged++
		}
		if err == nil {
			err = failed
		}
	}
	return acknowledged, err
}

// Run delivers until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := s.Deliver(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("core cannot be told that a connection has ended, and will be", slog.String("error", err.Error()))
		}
	}
}
