// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/devicegrant"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// stored is a grant and whether its denial was told, which ends it.
type stored struct {
	devicegrant.Grant
	told bool
}

// encodeGrant gives names and values of every field.
func encodeGrant(g devicegrant.Grant) []any {
	values := [fieldCount]any{
		fVersion: version, fClientID: g.ClientID, fLabel: g.Label, fUserMAC: g.UserMAC.Hex(), fStatus: string(g.State),
		fCreatedAt: micros(g.CreatedAt), fExpiresAt: micros(g.ExpiresAt), fCreatedIP: g.CreatedIP, fInterval: g.Interval.Microseconds(),
		fLastPoll: micros(g.LastPoll), fSubject: g.Subject, fApprovedAt: micros(g.ApprovedAt), fTransition: g.Transition, fOwner: g.Owner,
		fLeaseUntil: micros(g.LeaseUntil), fClaimNo: g.ClaimNo, fPoller: "", fSoon: "", fTold: "",
	}
	out := make([]any, 0, 2*fieldCount)
	for i, v := range values {
		out = append(out, fieldNames[i], v)
	}
	return out
}

var errGrant = errors.New("redisstore: no grant")

// decodeGrant reads the values of every field, in order.
func decodeGrant(ref secret.Digest, values []any) (stored, error) {
	var f [fieldCount]string
	if len(values) != len(f) {
		return stored{}, errGrant
	}
	for i, v := range values {
		text, ok := v.(string)
		if !ok {
			return stored{}, errGrant
		}
		f[i] = text
	}
	state := devicegrant.State(f[fStatus])
	switch state {
	case devicegrant.Pending, devicegrant.Approved, devicegrant.Redeeming, devicegrant.Denied:
	default:
		return stored{}, errGrant
	}
	var bad error
	number := func(i int) int64 {
		if f[i] == "" {
			return 0
		}
		n, err := strconv.ParseUint(f[i], 10, 53) // what a script counts exactly
		if err != nil {
			bad = errGrant
		}
		return int64(n)
	}
	at := func(i int) time.Time {
		if n := number(i); n != 0 {
			return time.UnixMicro(n).UTC()
		}
		return time.Time{}
	}
	mac, err := digestFrom(f[fUserMAC])
	if err != nil || f[fVersion] != version {
		return stored{}, errGrant
	}
	g := devicegrant.Grant{
		Ref: ref, UserMAC: mac, ClientID: f[fClientID], Label: f[fLabel], State: state, CreatedAt: at(fCreatedAt), ExpiresAt: at(fExpiresAt),
		CreatedIP: f[fCreatedIP], Interval: time.Duration(number(fInterval)) * time.Microsecond, LastPoll: at(fLastPoll), ApprovedAt: at(fApprovedAt),
		Transition: f[fTransition], Owner: f[fOwner], LeaseUntil: at(fLeaseUntil), ClaimNo: number(fClaimNo),
	}
	if f[fSubject] != "" {
		g.Subject = []byte(f[fSubject])
	}
	return stored{Grant: g, told: f[fTold] != ""}, bad
}

// micros is the form of a time in a hash; the zero time is empty.
func micros(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMicro(), 10)
}

// digestFrom reads the lower-case hex form back.
func digestFrom(text string) (secret.Digest, error) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return secret.Digest{}, err
	}
	return secret.DigestFrom(b)
}
