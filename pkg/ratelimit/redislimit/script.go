// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"errors"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

// The parts of a script that counts. Each begins a script: KEYS[1] is the counter, and
// Args are the first arguments. They leave in locals what Reply gives: allowed,
// remaining, reset, retry and shut. They define no function and gather nothing in a
// table, which a script would pay for at each run.
//
// A counter is a string: the time in microseconds when its budget is whole again, and
// after a space, where it was shut, until when.
const (
	// Take is Take of ratelimit.Memory.
	Take = load + take + result + `if passed then allowed = 1 end
`
	// settle is Settle of ratelimit.Memory; the fifth argument is 1 for a failure.
	settle = load + settled + result
	// Reply is what Result reads.
	Reply = `allowed, remaining, reset, retry, shut`
)

// What is not there, and what is not ours, is a whole budget. Nothing is spent further
// ahead than span and shut longer than lock, unless the clock stepped back; a lock that
// is over stays over then.
const load = `
local key, at, limit, emission, lock, longer = KEYS[1], ARGV[1], ARGV[2] + 0, ARGV[3] + 0, ARGV[4] + 0, 0
if at == '' then
	at = redis.call('TIME')
	at = at[1] * 1000000 + at[2]
else -- the server's clock, which ends keys, goes another way than the caller's
	at, longer = at + 0, 60000
end
local span = emission * limit
local tat, locked, mended = 0, 0, false
local held = redis.call('GET', key)
if held then
	tat = tonumber(held)
	if not tat then
		local first, second = string.match(held, '^(%d+) (%d+)$')
		tat, locked = tonumber(first) or 0, tonumber(second) or 0
	elseif tat ~= tat then
		tat = 0
	end
	if tat > at + span then tat, mended = at + span, true end
	if locked > at + lock then locked, mended = at + lock, true end
	if locked > 0 and locked <= at then locked, mended = 0, true end
end
`

const store = `
	local left = (tat > locked and tat or locked) - at
	if left > 0 then
		local text = string.format('%.0f', tat)
		if locked > 0 then text = text .. string.format(' %.0f', locked) end
		redis.call('SET', key, text, 'PX', math.ceil(left / 1000) + longer)
	else
		redis.call('DEL', key)
	end
`

const take = `
local next = (tat > at and tat or at) + emission
local passed = locked <= at and next - at <= span
if passed then tat = next end
if passed or mended then` + store + `end
`

const settled = `
if tat <= at and locked <= at then -- over since the permit was taken
	redis.call('DEL', key)
	tat, locked = at, 0
else
	if ARGV[5] ~= '1' then
		tat = tat - emission
	elseif lock > 0 and (locked > at or span - (tat - at) < emission) then
		locked = at + lock
	end` + store + `end
`

const result = `
local reset, shut = tat - at, 0
if reset < 0 then reset = 0 end
local remaining, retry = (span - reset) / emission, reset + emission - span
if retry < 0 then retry = 0 end
if locked > at then
	shut, remaining = 1, 0
	if locked - at > reset then reset = locked - at end
	if locked - at > retry then retry = locked - at end
end
local allowed = retry == 0 and 1 or 0
`

// Args are the first arguments of a script that counts, for a policy that is not off. The time is now, or
// with a zero now the server's.
func Args(p ratelimit.Policy, now time.Time) []any {
	at := ""
	if !now.IsZero() {
		at = strconv.FormatInt(now.UnixMicro(), 10)
	}
	return []any{at, p.Limit, p.Emission(), p.Lock.Microseconds()}
}

// errReply is a reply of another shape than the script's.
var errReply = errors.New("redislimit: the script's reply cannot be read")

// ResultSize is how many integers Result reads.
const ResultSize = 5

// Result reads what Reply gave.
func Result(p ratelimit.Policy, reply []any) (ratelimit.Result, error) {
	var n [ResultSize]int64
	if len(reply) != len(n) {
		return ratelimit.Result{}, errReply
	}
	for i, v := range reply {
		var ok bool
		if n[i], ok = v.(int64); !ok {
			return ratelimit.Result{}, errReply
		}
	}
	return ratelimit.Result{
		Allowed: n[0] == 1, Limit: p.Limit, Remaining: int(n[1]), Reset: micros(n[2]), RetryAfter: micros(n[3]), Locked: n[4] == 1,
	}, nil
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
