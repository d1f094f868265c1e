// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// The bounds of a stream.
const (
	maxEvent = 1 << 20 // bytes of data
	// maxBlock bounds an event with its field names, comments and what is ignored in it.
	maxBlock = maxEvent + 64<<10
	// Most events are small and come one by one: a stream of them holds no more than it needs,
	// one whose events come fast has room for many.
	smallBlock = 4 << 10
	largeBlock = 32 << 10
)

// Why a stream is none.
var (
	errLargeEvent = errors.New("an event is larger than 1 MiB")
	errNoObject   = errors.New("the data of an event are no JSON object")
	errCutOff     = errors.New("the stream ends within an event")
)

// Blocks are read into; most runs need no larger ones.
var (
	smallBlocks = sync.Pool{New: func() any { b := make([]byte, smallBlock); return &b }}
	largeBlocks = sync.Pool{New: func() any { b := make([]byte, largeBlock); return &b }}
)

// reader takes events apart as server-sent events are (HTML standard, section 9.2.6): lines
// end in LF, CR or both, comments and fields other than data and event are nothing, several
// lines of data are one text. What comes as we send it goes on as it is, byte for byte.
type reader struct {
	from  io.Reader
	block *[]byte // of the pools; nil once buf is a larger one
	buf   []byte
	// begin is where the event that is read begins, end where what was read ends.
	begin, end int
	last       int // how much came last
	// The rest are offsets from begin. line is where the line that is read begins, seen up to
	// where its end was looked for.
	line, seen int
	current    raw
	whole      bool // current is a whole event
	skipLF     bool // the last line ended in CR, of which an LF would be part
	started    bool // what may be a byte order mark was looked at
	joined     []byte
	frame      []byte
	scan       scanner
	// The texts of the last event, which the next one mostly repeats.
	name, task, run string
}

// raw is an event while its lines are read. Offsets are from begin.
type raw struct {
	lines              int // of data
	dataFrom, dataTo   int // of the first
	eventFrom, eventTo int // of the last field event; 0, 0 for none
	other              bool
	size               int // of the whole
}

func newReader(from io.Reader) *reader {
	block := smallBlocks.Get().(*[]byte)
	return &reader{from: from, block: block, buf: *block}
}

// release gives the buffer back; no event of the reader is valid any more.
func (r *reader) release() {
	r.recycle()
	r.buf, r.joined, r.frame, r.begin, r.end, r.whole = nil, nil, nil, 0, 0, false
}

func (r *reader) recycle() {
	switch {
	case r.block == nil:
		return
	case len(*r.block) == smallBlock:
		smallBlocks.Put(r.block)
	default:
		largeBlocks.Put(r.block)
	}
	r.block = nil
}

// move has the reader go on in a block of this pool, with what is still needed.
func (r *reader) move(to *sync.Pool, have []byte) {
	block := to.Get().(*[]byte)
	r.begin, r.end = 0, copy(*block, have)
	r.recycle()
	r.block, r.buf = block, *block
}

var ping = run.Event{Frame: []byte("event: ping\n\n"), Name: "ping"}

// next gives the next event, or io.EOF, an error of the reader's source, or one of the above.
func (r *reader) next() (run.Event, error) {
	for {
		for !r.advance() {
			if err := r.fill(); err != nil {
				return run.Event{}, err
			}
		}
		e, some, err := r.take()
		if some || err != nil {
			return e, err
		}
	}
}

// ready reports a whole event in the buffer.
func (r *reader) ready() bool { return r.advance() && (r.current.lines > 0 || r.isPing()) }

// fill reads more, behind what is still needed.
func (r *reader) fill() error {
	// The event that lay before begin is over: another was asked for.
	have := r.buf[r.begin:r.end]
	switch full := r.end == len(r.buf); {
	case full && len(r.buf) == smallBlock:
		r.move(&largeBlocks, have)
	case len(have) == 0:
		if len(r.buf) > smallBlock && r.last <= smallBlock/2 {
			r.move(&smallBlocks, nil)
		}
		r.begin, r.end = 0, 0
	case full && r.begin > 0:
		r.begin, r.end = 0, copy(r.buf, have)
	case full:
		if r.end >= maxBlock {
			return errLargeEvent
		}
		larger := make([]byte, min(4*len(r.buf), maxBlock))
		r.end = copy(larger, have)
		r.recycle()
		r.buf = larger
	}
	n, err := r.from.Read(r.buf[r.end:])
	r.end, r.last = r.end+n, n
	switch {
	case n > 0:
		return nil // an error comes again
	case err == io.EOF && r.inEvent(): // io.Reader returns it bare
		return errCutOff
	}
	return err
}

// inEvent reports bytes that are no whole event, and no comment.
func (r *reader) inEvent() bool {
	return r.current.lines > 0 || r.current.eventTo > 0 || r.line < r.end-r.begin && r.buf[r.begin+r.line] != ':'
}

// advance reads lines until an event is whole; false asks for more bytes.
func (r *reader) advance() bool {
	if r.whole {
		return true
	}
	if !r.started {
		const mark = "\xef\xbb\xbf"
		have := r.buf[r.begin:r.end]
		if len(have) < len(mark) && string(have) == mark[:len(have)] {
			return false
		}
		r.started = true
		if bytes.HasPrefix(have, []byte(mark)) {
			r.begin += len(mark)
		}
	}
	for {
		from := r.begin + r.line
		if r.skipLF {
			if from == r.end {
				return false
			}
			r.skipLF = false
			if r.buf[from] == '\n' {
				r.current.other = true
				r.line++
				r.seen = max(r.seen, r.line)
				if r.current.lines == 0 && r.current.eventTo == 0 {
					r.restart(r.line)
				}
				continue
			}
		}
		look := r.buf[r.begin+r.seen : r.end]
		at := bytes.IndexByte(look, '\n')
		if at >= 0 {
			look = look[:at]
		}
		if cr := bytes.IndexByte(look, '\r'); cr >= 0 {
			at = cr
		}
		if at < 0 {
			r.seen = r.end - r.begin
			return false
		}
		to := r.seen + at
		if r.buf[r.begin+to] == '\r' {
			r.skipLF, r.current.other = true, true
		}
		line := r.buf[from : r.begin+to]
		r.line = to + 1
		r.seen = r.line
		if len(line) == 0 {
			r.whole, r.current.size = true, r.line
			return true
		}
		r.field(line, from-r.begin)
		if r.current.lines == 0 && r.current.eventTo == 0 {
			r.restart(r.line) // what is ignored takes no room
		}
	}
}

// restart begins an event n bytes further on.
func (r *reader) restart(n int) {
	r.begin += n
	r.line, r.seen, r.current, r.whole = 0, max(0, r.seen-n), raw{}, false
}

// field looks at a line that begins at the offset at.
func (r *reader) field(line []byte, at int) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	skip := len(name) + 1
	if len(value) > 0 && value[0] == ' ' {
		value, skip = value[1:], skip+1
	}
	from, to := min(at+skip, at+len(line)), at+len(line)
	c := &r.current
	switch string(name) {
	case "data":
		if c.lines++; c.lines == 1 {
			c.dataFrom, c.dataTo = from, to
			c.other = c.other || at != 0 || skip != len("data: ")
			return
		}
		if c.other = true; c.lines == 2 {
			r.joined = append(r.joined[:0], r.buf[r.begin+c.dataFrom:r.begin+c.dataTo]...)
		}
		// A line break stands between tokens of JSON, where a space does as well; within a text
		// it makes it none, and the space must not hide that.
		r.joined = append(append(r.joined, '\n'), value...)
	case "event":
		c.eventFrom, c.eventTo, c.other = from, to, true
	default:
		c.other = true
	}
}

func (r *reader) isPing() bool {
	c := &r.current
	return string(r.buf[r.begin+c.eventFrom:r.begin+c.eventTo]) == "ping" && (c.lines == 0 || c.lines == 1 && c.dataFrom == c.dataTo)
}

// take gives the whole event and begins another. Without data it is none, but for a ping.
func (r *reader) take() (e run.Event, some bool, err error) {
	c := r.current
	defer r.restart(c.size)
	if r.isPing() {
		return ping, true, nil
	}
	if c.lines == 0 {
		return run.Event{}, false, nil
	}
	data := r.buf[r.begin+c.dataFrom : r.begin+c.dataTo]
	if c.lines > 1 {
		data = r.joined
	}
	if len(data) > maxEvent {
		return run.Event{}, false, errLargeEvent
	}
	if !r.scan.object(data) {
		return run.Event{}, false, errNoObject
	}
	if c.other {
		r.frame = append(append(append(r.frame[:0], "data: "...), data...), "\n\n"...)
		for i := len("data: "); i < len(r.frame)-2; i++ {
			if r.frame[i] == '\n' {
				r.frame[i] = ' '
			}
		}
		e.Frame = r.frame
	} else {
		e.Frame = r.buf[r.begin : r.begin+c.size : r.begin+c.size]
	}
	// The field event names nothing: clients do not see it, and an end that they do not see is
	// none.
	e.Name = kept(&r.name, r.scan.event, maxName)
	e.TaskID, e.WorkflowRunID = kept(&r.task, r.scan.task, maxID), kept(&r.run, r.scan.run, maxID)
	e.Failed = e.Name == "error" || e.Name == "workflow_finished" && string(r.scan.status) == "failed"
	return e, true, nil
}

// The longest names of events and ids that are looked at.
const (
	maxName = 64
	maxID   = 128
)

// kept gives the text of a member, without allocating when it is the last one's. What no id
// or name of an event is made of counts as absent: it may reach a database, a log, a path.
func kept(last *string, inside []byte, most int) string {
	if string(inside) == *last {
		return *last
	}
	if known, ok := names[string(inside)]; ok {
		return known
	}
	text := string(inside)
	if bytes.IndexByte(inside, '\\') >= 0 {
		text = unquoted(inside)
	}
	if len(text) > most {
		return ""
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	if len(text) == len(inside) { // no escapes
		*last = text
	}
	return text
}

// names are the events that are known, so that two which alternate are not made anew.
var names = map[string]string{}

func init() {
	for _, n := range []string{
		"message", "agent_message", "agent_thought", "message_end", "message_replace", "message_file", "tts_message", "tts_message_end", "text_chunk", "text_replace",
		"agent_log", "workflow_started", "workflow_paused", "workflow_finished", "node_started", "node_finished", "node_retry", "iteration_started", "iteration_next",
		"iteration_completed", "loop_started", "loop_next", "loop_completed", "human_input_required", "human_input_form_filled", "human_input_form_timeout", "error", "ping",
	} {
		names[n] = n
	}
}
