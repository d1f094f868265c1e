// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A dialect reads both directions of one connection to a store and finds its exchanges:
// what the client flushes and then waits for, up to the end of the answer.
type dialect interface {
	// asked takes what the client sent and gives what can be passed on.
	asked(data []byte) []piece
	// answered takes what the store sent and reports whether that ends an exchange.
	answered(data []byte) bool
}

// piece is passed on as a whole. What begins no exchange that a step could be told by
// (a handshake, a ping, the preparation of a statement) has no name.
type piece struct {
	data []byte
	name string
}

// postgresWire reads protocol 3: an exchange ends with Sync or a simple query, and its
// answer with ReadyForQuery.
type postgresWire struct {
	begun      bool
	in, out    []byte
	statements map[string]string // prepared on this connection
}

func newPostgresWire() *postgresWire { return &postgresWire{statements: map[string]string{}} }

func (w *postgresWire) asked(data []byte) (pieces []piece) {
	w.in = append(w.in, data...)
	for from, at := 0, 0; ; {
		head := 1
		if !w.begun {
			head = 0 // the first message has no type
		}
		if len(w.in) < at+head+4 {
			return pieces
		}
		end := at + head + messageLength(w.in[at+head:])
		if len(w.in) < end {
			return pieces
		}
		kind := byte(0)
		if w.begun {
			kind = w.in[at]
		}
		at = end
		if kind != 0 && kind != 'Q' && kind != 'S' && kind != 'X' && kind != 'p' {
			continue // what follows belongs to it
		}
		w.begun = true
		whole := bytes.Clone(w.in[from:at])
		name := ""
		if kind == 'Q' || kind == 'S' {
			name = w.name(whole)
		}
		pieces = append(pieces, piece{whole, name})
		w.in = w.in[at:]
		from, at = 0, 0
	}
}

// name is that of the statement that runs; one that is merely prepared has none.
func (w *postgresWire) name(messages []byte) (name string) {
	query := ""
	for len(messages) > 5 {
		end := 1 + messageLength(messages[1:])
		kind, body := messages[0], messages[5:end]
		messages = messages[end:]
		first, rest, _ := bytes.Cut(body, []byte{0})
		second, _, _ := bytes.Cut(rest, []byte{0})
		switch kind {
		case 'Q':
			name = statementName(string(first))
		case 'P':
			w.statements[string(first)] = string(second)
		case 'B':
			query = w.statements[string(second)]
		case 'E':
			name = statementName(query)
		}
	}
	return name
}

func (w *postgresWire) answered(data []byte) (ended bool) {
	w.out = append(w.out, data...)
	for len(w.out) >= 5 {
		end := 1 + messageLength(w.out[1:])
		if len(w.out) < end {
			break
		}
		ended = ended || w.out[0] == 'Z'
		w.out = w.out[end:]
	}
	return ended
}

var (
	statementTable = regexp.MustCompile(`(?i)\b(?:FROM|INTO|UPDATE)\s+([a-z_]+)`)
	firstSet       = regexp.MustCompile(`(?i)\bSET\s+([a-z_]+)`)
)

// statementName is short and stays when columns are added: the verb, the table and, of
// an UPDATE, the first column that it sets.
func statementName(sql string) string {
	verb, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	switch verb = strings.ToUpper(verb); verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE":
	case "--", ";": // pings of the driver
		return ""
	default:
		return strings.ToLower(verb)
	}
	name := verb
	if m := statementTable.FindStringSubmatch(sql); m != nil {
		name += " " + m[1]
	}
	if m := firstSet.FindStringSubmatch(sql); m != nil && verb == "UPDATE" {
		name += "." + m[1]
	}
	return name
}

// redisWire reads RESP2: an exchange is what comes in one flush, its answer as many
// replies.
type redisWire struct {
	in, out []byte
	due     int // replies
}

func (w *redisWire) asked(data []byte) []piece {
	w.in = append(w.in, data...)
	var names []string
	commands, rest := 0, w.in
	for len(rest) > 0 {
		n := respEnd(rest)
		if n == 0 {
			return nil // the rest of the flush is on its way
		}
		name := commandName(respWords(rest[:n]))
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
		commands, rest = commands+1, rest[n:]
	}
	if commands == 0 {
		return nil
	}
	p := piece{w.in, strings.Join(names, " + ")}
	w.in, w.due = nil, w.due+commands
	return []piece{p}
}

func (w *redisWire) answered(data []byte) bool {
	w.out = append(w.out, data...)
	for w.due > 0 {
		n := respEnd(w.out)
		if n == 0 {
			return false
		}
		w.out, w.due = w.out[n:], w.due-1
	}
	return true
}

// respEnd gives the length of the value that b begins with, 0 when it is not whole.
func respEnd(b []byte) int {
	line := bytes.Index(b, []byte("\r\n"))
	if line < 0 {
		return 0
	}
	end := line + 2
	n, _ := strconv.Atoi(string(b[1:line]))
	switch b[0] {
	case '$':
		if n < 0 {
			return end
		}
		if end += n + 2; len(b) < end {
			return 0
		}
	case '*':
		for range n {
			inner := respEnd(b[end:])
			if inner == 0 {
				return 0
			}
			end += inner
		}
	}
	return end
}

// respWords gives the words of a whole command.
func respWords(b []byte) (words []string) {
	past := func() int { return bytes.Index(b, []byte("\r\n")) + 2 }
	for b = b[past():]; len(b) > 0; {
		n, line := respEnd(b), past()
		words = append(words, string(b[line:n-2]))
		b = b[n:]
	}
	return words
}

// scriptNames tells the scripts apart by the kinds of their keys and the number of
// their arguments. One that is not here goes by that alone.
var scriptNames = map[string]string{
	"dg:g 3": "poll", "dg:g 4": "decide", "dg:g 1": "end of a claim", "dg:g 0": "forget poll", "dg:g 39": "write grant",
	"dg:u 3": "claim user code", "dg:u 1": "free user code", "run 5": "take a slot",
}

// commandName is short: a command and the kind of its key, or a script.
func commandName(words []string) string {
	verb := strings.ToLower(words[0])
	switch verb {
	case "hello", "auth", "select", "client", "ping", "config", "info", "command", "readonly":
		return ""
	case "eval", "evalsha":
		n, _ := strconv.Atoi(words[2])
		var kinds []string
		for _, key := range words[3 : 3+n] {
			kinds = append(kinds, keyKind(key))
		}
		args := len(words) - 3 - n
		shape := strings.Join(kinds, "+") + " " + strconv.Itoa(args)
		switch known, ok := scriptNames[shape]; {
		case ok:
			return known
		case n == 1 && strings.HasPrefix(shape, "rl:") && args == 4:
			return "take " + kinds[0][3:]
		case n == 1 && strings.HasPrefix(shape, "rl:") && args == 5:
			return "settle " + kinds[0][3:]
		case n == 2 && kinds[1] == "auth":
			return "gate " + kinds[0][3:]
		}
		return "script " + shape
	}
	if len(words) < 2 {
		return verb
	}
	name := verb + " " + keyKind(words[1])
	if verb == "set" && len(words) > 2 && len(words[2]) == 1 {
		name += " " + words[2] // a mark, not a value
	}
	return name
}

// keyKind is what stands between the prefix of the fleet and the tag.
func keyKind(key string) string {
	kind, _, _ := strings.Cut(key, ":{")
	_, kind, _ = strings.Cut(kind, ":")
	return kind
}

// messageLength reads the length that a message of Postgres tells of itself.
func messageLength(b []byte) int {
	return int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}
