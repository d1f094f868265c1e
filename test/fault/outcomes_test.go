// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"path"
	"slices"
)

// expects is what the client reads first, and what becomes of the step.
type expects struct {
	// retryAfter is that of the 503; empty wants the step's success at once.
	retryAfter string
	// effect is whether the step has taken effect after the first answer.
	effect effect
	// then is what the same client reads next.
	then then
}

type effect string

const (
	none    effect = ""
	whole   effect = "whole"
	unasked effect = "unasked" // the step has none of its own
)

type then string

const (
	again then = ""      // a repeat at once succeeds
	lease then = "lease" // pending until the lease lapses, then success
	over  then = "over"  // success, or 401 for the token that is dead by now
)

// The answers of an outage.
var (
	served   = expects{effect: whole}
	tryAgain = expects{retryAfter: "2"}
	asked    = expects{retryAfter: "2", effect: unasked}
)

var (
	anyBlow   = []blow{refused, cutBefore, cutAfter, late}
	ifDown    = []blow{refused}
	ifLost    = []blow{cutBefore, cutAfter, late}
	unwritten = []blow{refused, cutBefore}
	written   = []blow{cutAfter, late}
)

// outcomes are the rules of docs/specs/v1.0/server: device-flow.md, Redeeming and
// Decisions; tokens.md, Revoke and Cache; middleware.md, Rate limits. The first row
// that fits an exchange and a blow holds. No row has a verdict about a credential.
var outcomes = []struct {
	ids, step, store, exchange string
	blows                      []blow
	want                       expects
}{
	{"OUT-01", "code", redisDB, "*", anyBlow, asked},

	{"OUT-01 DF-27", "pending poll", redisDB, "*", ifDown, asked},
	{"OUT-01 DEV-08", "pending poll", redisDB, "*", ifLost, served}, // asked again within the request

	{"OUT-01 DF-27 INV-6", "redeem", redisDB, "poll", ifDown, tryAgain},
	{"OUT-01 DEV-08", "redeem", redisDB, "*", anyBlow, served}, // the poll is asked again, the rest follows later
	{"DF-23 OUT-02", "redeem", postgres, "commit", unwritten, expects{"15", none, lease}},
	{"DF-23 OUT-02 INV-2", "redeem", postgres, "commit", written, expects{"15", whole, lease}},
	{"DF-23 OUT-02 INV-6", "redeem", postgres, "*", anyBlow, expects{retryAfter: "5"}},

	{"DF-28 OUT-02", "*", postgres, "UPDATE console_sessions.last_seen_at", []blow{cutBefore, cutAfter}, served}, // best effort
	{"DF-28 OUT-02 INV-6", "approve", postgres, "*", anyBlow, tryAgain},
	{"DF-28 OUT-02 INV-6", "deny", postgres, "*", anyBlow, tryAgain},
	{"DF-42 OUT-01", "approve", redisDB, "decide", ifLost, served},
	{"DF-42 OUT-01", "deny", redisDB, "decide", ifLost, served},
	{"OUT-01", "*", redisDB, "settle *", anyBlow, served}, // a permit stays spent
	{"DF-27 OUT-01 INV-6", "approve", redisDB, "*", anyBlow, tryAgain},
	{"DF-27 OUT-01 INV-6", "deny", redisDB, "*", anyBlow, tryAgain},

	{"TK-13 OUT-01", "resolve cold", redisDB, "*", anyBlow, served},
	{"TK-23 OUT-02", "resolve cold", postgres, "*", anyBlow, asked},
	{"TK-13 OUT-01", "resolve warm", redisDB, "*", anyBlow, served},
	{"OUT-02", "resolve warm", postgres, "*", anyBlow, asked},

	{"TK-13 OUT-01", "revoke self", redisDB, "gate *", ifLost, served},
	{"TK-11 TK-13 OUT-01", "revoke self", redisDB, "gate *", ifDown, expects{"2", whole, over}},
	{"TK-11 OUT-01", "revoke self", redisDB, "set auth x", anyBlow, expects{"2", whole, over}},
	{"OUT-02", "revoke self", postgres, "commit", unwritten, expects{retryAfter: "15"}},
	{"OUT-02", "revoke self", postgres, "commit", written, expects{"15", whole, over}},
	{"TK-24 OUT-02 OUT-06", "revoke self", postgres, "*", anyBlow, tryAgain},

	{"OUT-01", "sign-in", redisDB, "*", anyBlow, tryAgain},
	{"OUT-02", "sign-in", postgres, "commit", written, expects{retryAfter: "2", effect: whole}},
	{"OUT-02 OUT-06", "sign-in", postgres, "*", anyBlow, tryAgain},

	{"TK-20 OUT-01", "introspect", redisDB, "*", anyBlow, served},
	{"TK-20 OUT-02", "introspect", postgres, "*", anyBlow, asked},

	{"TK-11 API-31 OUT-01", "kill", redisDB, "*", anyBlow, expects{retryAfter: "2", effect: whole}},
	{"API-31 OUT-02", "kill", postgres, "commit", unwritten, expects{retryAfter: "15"}},
	{"API-31 OUT-02", "kill", postgres, "commit", written, expects{retryAfter: "15", effect: whole}},
	{"API-31 OUT-02 OUT-06", "kill", postgres, "*", anyBlow, tryAgain},

	{"TK-13 OUT-01", "list apps", redisDB, "*", anyBlow, served},
	{"OUT-02", "list apps", postgres, "*", anyBlow, asked},
	{"TK-13 OUT-01", "describe", redisDB, "*", anyBlow, served},
	{"OUT-02", "describe", postgres, "*", anyBlow, asked},

	{"TK-13 OUT-01", "run", redisDB, "gate *", ifLost, served},
	{"API-27 OUT-01", "run", redisDB, "gate *", ifDown, tryAgain}, // what counts runs is down as well
	{"API-27 OUT-01", "run", redisDB, "take a slot", anyBlow, tryAgain},
	{"API-27 OUT-01", "run", redisDB, "*", anyBlow, served}, // free after its lease
	{"API-22 OUT-02", "run", postgres, "INSERT app_runs", unwritten, expects{effect: none}},
	{"API-22 OUT-02", "run", postgres, "INSERT app_runs", written, served},
	{"OUT-02", "run", postgres, "*", anyBlow, tryAgain},

	{"DF-41 OUT-02 OUT-06", "events of requests", postgres, "*", anyBlow, served},
	{"TK-18 OUT-02", "last use", postgres, "*", anyBlow, served},
}

// outcome gives the ids and the rule of a case.
func outcome(step string, x exchange, how blow) (ids string, want expects, ok bool) {
	for _, o := range outcomes {
		known, err := path.Match(o.exchange, x.name)
		if (o.step == step || o.step == "*") && o.store == x.store && known && err == nil && slices.Contains(o.blows, how) {
			return o.ids, o.want, true
		}
	}
	return "", expects{}, false
}
