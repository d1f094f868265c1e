// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/server"
)

// Asked asks a second listener whether its process is ready; AskReady does.
type Asked func(ctx context.Context, address string) (server.Readiness, time.Time, error)

// Replicas gives the addresses of /readyz of all processes that a person has named: a host
// that resolves to several, such as a headless Service, stands for each of them.
func Replicas(ctx context.Context, given string, secure bool, resolve func(ctx context.Context, host string) ([]string, error)) ([]string, error) {
	address, err := ReadyAt(given, secure)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if resolve == nil {
		resolve = net.DefaultResolver.LookupHost
	}
	found, err := resolve(ctx, u.Hostname())
	if err != nil || len(found) < 2 {
		return []string{address}, nil //nolint:nilerr // asking says what is wrong with it
	}
	slices.Sort(found)
	var all []string
	for _, ip := range slices.Compact(found) {
		host := ip
		if port := u.Port(); port != "" {
			host = net.JoinHostPort(ip, port)
		}
		all = append(all, u.Scheme+"://"+host+u.Path)
	}
	return all, nil
}

// Processes are the checks of the processes that a person has named, or of the one whose
// second listener is at listen, this machine's own. fingerprint is that of our own key set,
// empty without one. It fails for a name that is no address.
func Processes(ctx context.Context, named []string, listen string, secure bool, fingerprint string) (checks []Check, err error) {
	var addresses []string
	for _, given := range named {
		found, err := Replicas(ctx, given, secure, nil)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, found...)
	}
	if len(named) == 0 {
		if own, err := ReadyAddress(listen, secure); err == nil {
			addresses = []string{own}
		}
	}
	for _, at := range addresses {
		checks = append(checks, Check{ID: ReplicaReady, Subject: strings.TrimSuffix(at, "/readyz"), Run: func(ctx context.Context) []Finding {
			return Replica(ctx, AskReady, at, fingerprint, len(named) > 0)
		}})
	}
	return checks, nil
}

// Replica asks one process. fingerprint is that of our own key set, empty without one;
// named is false where nobody has said that there should be one.
func Replica(ctx context.Context, ask Asked, address, fingerprint string, named bool) []Finding {
	var f finds
	before := time.Now()
	r, date, err := ask(ctx, address)
	if err != nil {
		if named {
			f.fail(ReplicaReady, "See that the process runs, and that its second listener is reached from here.", "It cannot be asked: %s.", err)
		} else {
			f.warn(ReplicaReady, "Start the service, or name its processes with --replica.", "No process can be asked at INNER_LISTEN: %s.", err)
		}
		return f
	}
	if why := Unready(r); why != "" {
		f.fail(ReplicaReady, "See the check of that name, and the log of the process.", "It is not ready: %s.", why)
	} else {
		f.ok(ReplicaReady, "It is ready.")
	}
	switch {
	case fingerprint == "" && r.Keyset == "":
	case fingerprint != r.Keyset:
		f.fail(ReplicaKeyset, "Give every process the same KEYSET_FILE, and send it SIGHUP or restart it.", "It holds another key set than KEYSET_FILE here.")
	default:
		f.ok(ReplicaKeyset, "It holds the key set of KEYSET_FILE.")
	}
	return append(f, JudgeClock("that process", date, before, time.Now(), time.Second)...)
}

// Peer compares the other service with our own key set: by what it says of its own, which
// it tells nobody from outside.
func Peer(ctx context.Context, ask Asked, address, whose, setting, fingerprint string) []Finding {
	var f finds
	before := time.Now()
	r, date, err := ask(ctx, address)
	switch {
	case err != nil:
		f.fail(KeysetPeer, "See that "+whose+" runs, and that "+setting+" is the address of its second listener.", "%s cannot be asked: %s.", whose, err)
		return f
	case r.Keyset == "":
		f.fail(KeysetPeer, "Let "+setting+" name the second listener of "+whose+", with the Enterprise Edition on.", "What answers at %s holds no key set.", setting)
	case r.Keyset != fingerprint:
		f.fail(KeysetPeer, "Give both the same KEYSET_FILE; send both SIGHUP when it has changed.", "%s holds another key set than KEYSET_FILE here: every sign-in through it is refused.", whose)
	default:
		f.ok(KeysetPeer, "%s holds the same key set.", whose)
	}
	return append(f, JudgeClock(whose, date, before, time.Now(), time.Second)...)
}

// Signed says what the other service made of a message that we have signed. status is 0
// when there was no answer, and err then says why.
func Signed(whose, setting string, status int, code string, err error) []Finding {
	var f finds
	switch {
	case err != nil:
		f.fail(KeysetSigned, "See "+setting+", and the roots that are trusted for it.", "%s was not reached with a signed message%s.", whose, because(err))
	case status == 401 || status == 403:
		f.fail(KeysetSigned, "Compare KEYSET_FILE, the public addresses of both services in the settings of both, and the clocks.", "%s refuses a message that is signed with our key set (%s).", whose, word(code))
	case status == 404:
		f.fail(KeysetSigned, "Let "+setting+" name its second listener, and set ENTERPRISE_ENABLED=true on core.", "What answers at %s does not know the route of signed messages.", setting)
	case status >= 500:
		f.fail(KeysetSigned, "See its log.", "%s answers %d to a signed message.", whose, status)
	default:
		f.ok(KeysetSigned, "%s takes a message that is signed with our key set.", whose)
	}
	return f
}

// word keeps a code that the other side has sent to the shape of ours.
func word(code string) string {
	for _, c := range code {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "no code"
		}
	}
	if code == "" || len(code) > 40 {
		return "no code"
	}
	return code
}
