// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"errors"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/pkg/ratelimit"
)

// Lua defines what a script needs to count; it runs nothing. A counter is a string of
// two times in microseconds: when its budget is whole again, and until when it is shut.
//
//	limit_args(ARGV, i)    reads what Args gave, as arguments i to i+3
//	limit_take(KEY, args)  is Take, limit_settle(KEY, args, failed) is Settle
//
// Both give what Result reads: five integers, the first 1 when the call is allowed.
const Lua = `
local function limit_args(argv, i)
	local l = {limit = tonumber(argv[i + 1]), emission = tonumber(argv[i + 2]), lock = tonumber(argv[i + 3])}
	l.span = l.emission * l.limit
	if argv[i] == '' then
		local t = redis.call('TIME')
		l.at, l.longer = t[1] * 1000000 + t[2], 0
	else -- the server's clock, which ends keys, goes another way than the caller's
		l.at, l.longer = tonumber(argv[i]), 60000
	end
	return l
end

-- What is not there, and what is not ours, is a whole budget. Nothing is spent further
-- ahead than span and shut longer than lock, unless the clock stepped back; a lock that
-- is over stays over then.
local function limit_load(key, l)
	local tat, locked = string.match(redis.call('GET', key) or '', '^(-?%d+) (-?%d+)$')
	local heldTat, heldLocked = tonumber(tat) or 0, tonumber(locked) or 0
	l.tat, l.locked = math.min(heldTat, l.at + l.span), math.min(heldLocked, l.at + l.lock)
	if l.locked <= l.at then l.locked = 0 end
	l.mended = l.tat ~= heldTat or l.locked ~= heldLocked
end

local function limit_store(key, l)
	local left = math.max(l.tat, l.locked) - l.at
	if left > 0 then
		redis.call('SET', key, string.format('%.0f %.0f', l.tat, l.locked), 'PX', math.ceil(left / 1000) + l.longer)
	else
		redis.call('DEL', key)
	end
end

local function limit_result(l)
	local used, shut = math.max(0, l.tat - l.at), math.max(0, l.locked - l.at)
	local room = l.span - used
	local remaining = (room - room % l.emission) / l.emission
	if shut > 0 then remaining = 0 end
	local retry = math.max(used + l.emission - l.span, shut, 0)
	return {retry == 0 and 1 or 0, remaining, math.max(used, shut), retry, shut > 0 and 1 or 0}
end

local function limit_take(key, l)
	limit_load(key, l)
	local next = math.max(l.tat, l.at) + l.emission
	if l.locked <= l.at and next - l.at <= l.span then
		l.tat = next
		limit_store(key, l)
		local r = limit_result(l)
		r[1] = 1
		return r
	end
	if l.mended then limit_store(key, l) end
	return limit_result(l)
end

local function limit_settle(key, l, failed)
	limit_load(key, l)
	if math.max(l.tat, l.locked) <= l.at then -- over since the permit was taken
		redis.call('DEL', key)
		return {1, l.limit, 0, 0, 0}
	end
	if not failed then
		l.tat = l.tat - l.emission
	elseif l.lock > 0 and limit_result(l)[2] == 0 then
		l.locked = l.at + l.lock
	end
	limit_store(key, l)
	return limit_result(l)
end
`

// Args gives what limit_args reads, for a policy that is not off. The time is now, or
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

// Result reads what limit_take and limit_settle gave.
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
