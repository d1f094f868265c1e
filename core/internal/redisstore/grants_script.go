// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"fmt"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/redisdb"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// The fields of a grant's hash (docs/specs/v1.0/server/device-flow.md, Store rules). All
// are there from the start; what is unset is empty.
const (
	fVersion = iota // what each poll reads comes first: Redis looks for a field from the front
	fStatus
	fClientID
	fExpiresAt
	fInterval
	fLastPoll
	fPoller // owner of the last recorded poll
	fSoon   // "1": that poll came too early
	fTold   // "1": denied, told to that poll, and gone for everybody else
	fOwner
	fLeaseUntil
	fClaimNo
	fUserMAC
	fTransition
	fCreatedAt
	fApprovedAt
	fCreatedIP
	fLabel
	fSubject
	fieldCount
)

var fieldNames = [fieldCount]string{
	"v", "status", "client_id", "expires_at", "interval", "last_poll", "poller", "soon", "told", "owner", "lease_until", "claim_no",
	"user_mac", "transition", "created_at", "approved_at", "created_ip", "label", "subject",
}

// version is the form that this program writes and reads.
const version = "1"

// beyond is how long a key outlives its grant: expiry is judged by the caller's clock,
// and Redis collects what is left.
const beyond = time.Minute

// unreadable is the result of a script whose grant does not parse.
const unreadable = -1

// constLua names numbers. Times and durations are whole microseconds; what Redis keeps
// of them is text without an exponent.
var constLua = fmt.Sprintf(`
local GRACE, STEP, LONGEST, TOLERANCE, LEASE, LIFE, BEYOND = %d, %d, %d, %d, %d, %d, %d
local UNREADABLE, UNKNOWN, OTHER_CLIENT, TOO_SOON, PENDING, DENIED, CLAIMED = %d, %d, %d, %d, %d, %d, %d
local VERSION = '%s'

local function text(n) return string.format('%%.0f', n) end

-- What is unset is nought, and what is no number nil.
local function number(s)
	if s == '' then return 0 end
	if #s <= 16 and not string.find(s, '%%D') then return tonumber(s) end
end
`, devicegrant.LeaseGrace.Microseconds(), devicegrant.IntervalStep.Microseconds(), devicegrant.MaxInterval.Microseconds(),
	devicegrant.PollTolerance.Microseconds(), devicegrant.Lease.Microseconds(), devicegrant.DecisionLife.Microseconds(), beyond.Microseconds(),
	unreadable, devicegrant.PollUnknown, devicegrant.PollOtherClient, devicegrant.PollTooSoon, devicegrant.PollPending, devicegrant.PollDenied,
	devicegrant.PollClaimed, version)

// grantLua reads a whole grant and gathers changes to it.
var grantLua = fmt.Sprintf(`
local NAMES = {'%s'}
local NUMBERS = {'created_at', 'expires_at', 'interval', 'last_poll', 'approved_at', 'lease_until', 'claim_no'}
local STATES = {['%s'] = true, ['%s'] = true, ['%s'] = true, ['%s'] = true}
local function digest(s) return #s == %d and string.find(s, '^[0-9a-f]+$') end

local raw -- the fields in the order of NAMES

-- Gives the grant, or nil and whether something is there that is none.
local function read(key)
	raw = redis.call('HMGET', key, unpack(NAMES))
	local g, some, all = {}, false, true
	for i, name in ipairs(NAMES) do
		g[name] = raw[i]
		some, all = some or raw[i], all and raw[i]
	end
	if not some then return nil, false end
	if not all or g.v ~= VERSION or not STATES[g.status] or not digest(g.user_mac) then return nil, true end
	for _, name in ipairs(NUMBERS) do
		g[name] = number(g[name])
		if not g[name] then return nil, true end
	end
	return g
end

local function expired(g, now)
	if g.told ~= '' then return true end
	return g.expires_at <= now and (g.status ~= 'redeeming' or g.lease_until + GRACE <= now)
end

local changed = {}
local function set(g, name, value)
	g[name] = value
	if type(value) == 'number' then value = text(value) end
	changed[#changed + 1] = name
	changed[#changed + 1] = value
	for i, n in ipairs(NAMES) do
		if n == name then raw[i] = value end
	end
end
local function save(key)
	if #changed > 0 then redis.call('HSET', key, unpack(changed)) end
end

local function live_at_least(key, micros)
	local ms = math.ceil(micros / 1000)
	if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end

-- Nothing but the result, or the result and the grant.
local function missing(broken) return {broken and UNREADABLE or UNKNOWN} end
local function with(result) return {result, unpack(raw)} end
`, strings.Join(fieldNames[:], "', '"),
	devicegrant.Pending, devicegrant.Approved, devicegrant.Redeeming, devicegrant.Denied, 2*len(secret.Digest{}))

// pollScript: client, owner, now. A poll that has to wait is judged by some of the
// fields and comes no further than that: most polls are of that kind.
var pollScript = redisdb.NewScript(constLua + `
local key, client, owner, now = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local hot = redis.call('HMGET', key, 'v', 'status', 'client_id', 'expires_at', 'interval', 'last_poll', 'poller', 'soon', 'told', 'owner', 'lease_until')
if not hot[1] then return {redis.call('EXISTS', key) == 1 and UNREADABLE or UNKNOWN} end
for i = 2, 11 do
	if not hot[i] then return {UNREADABLE} end
end
local status, poller, soon, told, holder = hot[2], hot[7], hot[8], hot[9], hot[10]
local expires, interval, last, lease = number(hot[4]), number(hot[5]), number(hot[6]), number(hot[11])
if hot[1] ~= VERSION or not (expires and interval and last and lease) then return {UNREADABLE} end

if told ~= '' then -- gone for all but the poll that was told
	if poller ~= owner then return {UNKNOWN} end
elseif expires <= now and (status ~= 'redeeming' or lease + GRACE <= now) then
	return {UNKNOWN}
end
if hot[3] ~= client then return {OTHER_CLIENT} end

-- A repeat of the last poll, whose reply was lost, is no second poll.
local fresh = poller ~= owner or last == 0
if fresh then
	soon = last > 0 and now - last < interval - TOLERANCE and '1' or ''
end
if soon ~= '' then
	if fresh then
		redis.call('HSET', key, 'last_poll', ARGV[3], 'poller', owner, 'soon', soon, 'interval', text(math.min(interval + STEP, LONGEST)))
	end
	return {TOO_SOON}
end
local leased = status == 'redeeming' and lease > now
if status == 'pending' or (leased and holder ~= owner) then
	if fresh then redis.call('HSET', key, 'last_poll', ARGV[3], 'poller', owner, 'soon', soon) end
	return {PENDING}
end
` + grantLua + `
local g = read(key)
if not g then return {UNREADABLE} end
if fresh then
	set(g, 'last_poll', now)
	set(g, 'poller', owner)
	set(g, 'soon', soon)
end
if status == 'denied' then
	set(g, 'told', '1')
	save(key)
	redis.call('PEXPIRE', key, BEYOND / 1000)
	return with(DENIED)
end
if not leased then
	set(g, 'status', 'redeeming')
	set(g, 'owner', owner)
	set(g, 'lease_until', now + LEASE)
	set(g, 'claim_no', g.claim_no + 1)
	save(key)
	live_at_least(key, LEASE + BEYOND)
end
return with(CLAIMED)
`).Named("poll")

// The results of decideScript.
const (
	decideGone     = 0
	decideDone     = 1
	decideResolved = 2
)

// decideScript: state, subject, transition, now.
var decideScript = redisdb.NewScript(constLua + grantLua + `
local key, to, subject, transition, now = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local g, broken = read(key)
if not g then return missing(broken) end
if expired(g, now) then return {0} end
if g.status ~= 'pending' then
	return {g.transition == transition and 1 or 2}
end
set(g, 'status', to)
set(g, 'transition', transition)
set(g, 'subject', subject)
set(g, 'approved_at', now)
if g.expires_at < now + LIFE then set(g, 'expires_at', now + LIFE) end
save(key)
live_at_least(key, g.expires_at - now + BEYOND)
return {1}
`).Named("decide")

// releaseScript: owner.
var releaseScript = redisdb.NewScript(constLua + grantLua + `
local g, broken = read(KEYS[1])
if not g then return missing(broken) end
if g.status == 'redeeming' and g.owner == ARGV[1] then
	set(g, 'status', 'approved')
	set(g, 'owner', '')
	set(g, 'lease_until', '')
	save(KEYS[1])
end
return {UNKNOWN}
`).Named("release")

// deleteScript: owner. The grant comes back when it was deleted.
var deleteScript = redisdb.NewScript(constLua + grantLua + `
local g, broken = read(KEYS[1])
if not g then return missing(broken) end
if g.status ~= 'redeeming' or g.owner ~= ARGV[1] then return {UNKNOWN} end
redis.call('DEL', KEYS[1])
return with(CLAIMED)
`).Named("delete")

// forgetScript forgets the last poll; the one that was told of a denial stays.
var forgetScript = redisdb.NewScript(constLua + grantLua + `
local g, broken = read(KEYS[1])
if not g then return missing(broken) end
if g.told == '' and g.last_poll > 0 then
	set(g, 'last_poll', '')
	set(g, 'poller', '')
	set(g, 'soon', '')
	save(KEYS[1])
end
return {UNKNOWN}
`).Named("forget")

// writeScript: life in milliseconds, then fields and values, all of them. Nothing is
// deleted before: a script that has written once may go on when Redis is full.
var writeScript = redisdb.NewScript(`
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
`).Named("write")

// claimScript takes a user code for a grant: ref, life. It gives the ref of the grant
// that holds it. A third argument is a grant whose hold is over.
var claimScript = redisdb.NewScript(`
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[3] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`).Named("claim")

// freeScript gives a user code free if this grant holds it: ref.
var freeScript = redisdb.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`).Named("free")
