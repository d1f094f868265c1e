// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dify-sso/dify-sso/core/internal/run"
)

// seen is an event as a test compares it.
type seen struct {
	Frame, Name, Task, Run string
	Failed                 bool
}

func of(e run.Event) seen {
	return seen{string(e.Frame), e.Name, e.TaskID, e.WorkflowRunID, e.Failed}
}

// all reads a stream to its end.
func all(from io.Reader) (list []seen, err error) {
	r := newReader(from)
	defer r.release()
	for {
		e, err := r.next()
		if err != nil {
			return list, err
		}
		list = append(list, of(e))
	}
}

const pinged = "event: ping\n\n"

func TestStreamsAreReadAsServerSentEvents(t *testing.T) {
	m := func(frame string) seen { return seen{Frame: frame, Name: "m"} }
	plain := m("data: {\"event\":\"m\"}\n\n")
	for _, tc := range []struct {
		name, text string
		want       []seen
		err        error
	}{
		{"nothing", "", nil, io.EOF},
		{"API-16 an event is passed on byte for byte", "data: {\"event\":\"m\", \"x\" :\t[1.50, \"\\u00e9é\"]}\n\n", []seen{m("data: {\"event\":\"m\", \"x\" :\t[1.50, \"\\u00e9é\"]}\n\n")}, io.EOF},
		{"API-16 an event that nobody knows", "data: {\"event\":\"of_next_year\",\"task_id\":\"t\"}\n\n", []seen{{"data: {\"event\":\"of_next_year\",\"task_id\":\"t\"}\n\n", "of_next_year", "t", "", false}}, io.EOF},
		{"two", "data: {\"event\":\"m\"}\n\ndata: {\"event\":\"m\"}\n\n", []seen{plain, plain}, io.EOF},
		{"CRLF", "data: {\"event\":\"m\"}\r\n\r\ndata: {\"event\":\"m\"}\r\n\r\n", []seen{plain, plain}, io.EOF},
		{"CR", "data: {\"event\":\"m\"}\r\rdata: {\"event\":\"m\"}\r\r", []seen{plain, plain}, io.EOF},
		{"all ends of lines", "data: {\"event\":\r\ndata: \"m\"}\n\r: c\r\n\ndata: {\"event\":\"m\"}\r\n\r\n", []seen{m("data: {\"event\": \"m\"}\n\n"), plain}, io.EOF},
		{"no space", "data:{\"event\":\"m\"}\n\n", []seen{plain}, io.EOF},
		{"two spaces", "data:  {\"event\":\"m\"} \n\n", []seen{m("data:  {\"event\":\"m\"} \n\n")}, io.EOF},
		{"comments", ": hello\n:\n\ndata: {\"event\":\"m\"}\n: between\n\n:\n", []seen{plain}, io.EOF},
		{"a comment that is cut off", "data: {\"event\":\"m\"}\n\n: hel", []seen{plain}, io.EOF},
		{"id and retry", "id: 7\nretry: 10\ndata: {\"event\":\"m\"}\n\n", []seen{plain}, io.EOF},
		{"id and retry behind", "data: {\"event\":\"m\"}\nid: 7\nretry: 10\n\n", []seen{plain}, io.EOF},
		{"a field without colon", "data: {\"event\":\"m\"}\nnothing\n\n", []seen{plain}, io.EOF},
		{"several lines of data", "data: {\"event\":\ndata: \"m\"\ndata:}\n\n", []seen{m("data: {\"event\": \"m\" }\n\n")}, io.EOF},
		{"a text over two lines is none", "data: {\"event\":\"m\ndata: n\"}\n\n", nil, errNoObject},
		{"a byte order mark", "\ufeffdata: {\"event\":\"m\"}\n\n", []seen{plain}, io.EOF},
		{"and another one later is none", "\ufeff\ufeffdata: {\"event\":\"m\"}\n\n", nil, io.EOF},
		{"a field event", "event: m\ndata: {\"event\":\"m\"}\n\n", []seen{plain}, io.EOF},
		{"API-17 a field event where the data name none names nothing", "event: message_end\ndata: {}\n\n", []seen{{Frame: "data: {}\n\n"}}, io.EOF},
		{"API-17 nor where they have another type", "event: message_end\ndata: {\"event\":7}\n\n", []seen{{Frame: "data: {\"event\":7}\n\n"}}, io.EOF},
		{"a name written in escapes", "data: {\"ev\\u0065nt\":\"\\u006d\"}\n\n", []seen{m("data: {\"ev\\u0065nt\":\"\\u006d\"}\n\n")}, io.EOF},
		{"a name in other letters is another", "data: {\"Event\":\"m\"}\n\n", []seen{{Frame: "data: {\"Event\":\"m\"}\n\n"}}, io.EOF},
		{"of two names the last counts", "data: {\"event\":\"n\",\"event\":\"m\"}\n\n", []seen{m("data: {\"event\":\"n\",\"event\":\"m\"}\n\n")}, io.EOF},
		{"also when it is no text", "data: {\"event\":\"message_end\",\"event\":[]}\n\n", []seen{{Frame: "data: {\"event\":\"message_end\",\"event\":[]}\n\n"}}, io.EOF},
		{"a name below counts for nothing", "data: {\"data\":{\"event\":\"message_end\",\"task_id\":\"t\"}}\n\n", []seen{{Frame: "data: {\"data\":{\"event\":\"message_end\",\"task_id\":\"t\"}}\n\n"}}, io.EOF},
		{"ids with what a path is made of", "data: {\"event\":\"m\",\"task_id\":\"../\\u002f\",\"workflow_run_id\":\"" + strings.Repeat("r", 129) + "\"}\n\n",
			[]seen{{"data: {\"event\":\"m\",\"task_id\":\"../\\u002f\",\"workflow_run_id\":\"" + strings.Repeat("r", 129) + "\"}\n\n", "m", "..//", "", false}}, io.EOF},
		{"the data's name goes before", "event: n\ndata: {\"event\":\"m\"}\n\n", []seen{plain}, io.EOF},
		{"no name at all", "data: {}\n\n", []seen{{Frame: "data: {}\n\n"}}, io.EOF},
		{"API-16 a ping", "event: ping\n\n", []seen{{Frame: pinged, Name: "ping"}}, io.EOF},
		{"a ping as others send it", "event:ping\r\ndata:\r\n\r\n", []seen{{Frame: pinged, Name: "ping"}}, io.EOF},
		{"a ping with data", "data: {\"event\":\"ping\"}\n\n", []seen{{Frame: "data: {\"event\":\"ping\"}\n\n", Name: "ping"}}, io.EOF},
		{"an event without data", "event: m\n\ndata: {\"event\":\"m\"}\n\n", []seen{plain}, io.EOF},
		{"the field event counts once", "event: ping\n\ndata: {}\n\n", []seen{{Frame: pinged, Name: "ping"}, {Frame: "data: {}\n\n"}}, io.EOF},
		{"ids", "data: {\"event\":\"m\",\"task_id\":\"t\",\"workflow_run_id\":\"r\"}\n\n", []seen{{"data: {\"event\":\"m\",\"task_id\":\"t\",\"workflow_run_id\":\"r\"}\n\n", "m", "t", "r", false}}, io.EOF},
		{"ids that are none", "data: {\"event\":\"m\",\"task_id\":\"a b\",\"workflow_run_id\":\"\\u0000\"}\n\n", []seen{m("data: {\"event\":\"m\",\"task_id\":\"a b\",\"workflow_run_id\":\"\\u0000\"}\n\n")}, io.EOF},
		{"a failed workflow", "data: {\"event\":\"workflow_finished\",\"data\":{\"status\":\"failed\"}}\n\n", []seen{{"data: {\"event\":\"workflow_finished\",\"data\":{\"status\":\"failed\"}}\n\n", "workflow_finished", "", "", true}}, io.EOF},
		{"another status", "data: {\"event\":\"workflow_finished\",\"data\":{\"status\":\"stopped\"}}\n\n", []seen{{"data: {\"event\":\"workflow_finished\",\"data\":{\"status\":\"stopped\"}}\n\n", "workflow_finished", "", "", false}}, io.EOF},
		{"a failed node", "data: {\"event\":\"node_finished\",\"data\":{\"status\":\"failed\"}}\n\n", []seen{{"data: {\"event\":\"node_finished\",\"data\":{\"status\":\"failed\"}}\n\n", "node_finished", "", "", false}}, io.EOF},
		{"an error", "data: {\"event\":\"error\",\"status\":400}\n\n", []seen{{"data: {\"event\":\"error\",\"status\":400}\n\n", "error", "", "", true}}, io.EOF},

		{"API-17 no JSON", "data: {\"event\":\"m\"}\n\ndata: [DONE]\n\n", []seen{plain}, errNoObject},
		{"API-17 JSON that is no object", "data: \"m\"\n\n", nil, errNoObject},
		{"API-17 broken JSON", "data: {\"event\":\"m\"\n\n", nil, errNoObject},
		{"API-17 two objects", "data: {} {}\n\n", nil, errNoObject},
		{"API-17 empty data", "data\n\n", nil, errNoObject},
		{"API-17 cut off in the data", "data: {\"event\":\"m\"}\n\ndata: {\"ev", []seen{plain}, errCutOff},
		{"API-17 cut off before the blank line", "data: {\"event\":\"m\"}\n", nil, errCutOff},
		{"API-17 cut off after the field event", "event: ping\n", nil, errCutOff},
		{"API-17 cut off within a field", "da", nil, errCutOff},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for how, from := range map[string]io.Reader{
				"at once": strings.NewReader(tc.text), "byte for byte": iotest.OneByteReader(strings.NewReader(tc.text)), "with its end": iotest.DataErrReader(strings.NewReader(tc.text)),
			} {
				got, err := all(from)
				if !errors.Is(err, tc.err) || fmt.Sprint(got) != fmt.Sprint(tc.want) {
					t.Errorf("%s: %+v %v", how, got, err)
				}
			}
		})
	}
}

// sized is an event whose data are n bytes.
func sized(n int) string {
	const head, tail = `{"event":"m","x":"`, `"}`
	return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
}

func TestSizesOfEvents(t *testing.T) {
	for _, n := range []int{20, smallBlock - 9, smallBlock - 8, smallBlock - 7, smallBlock, smallBlock + 1, largeBlock - 9, largeBlock - 8, largeBlock - 7, largeBlock, largeBlock + 1, 100_000, maxEvent} {
		text := "data: " + sized(n) + "\n\n"
		got, err := all(strings.NewReader(strings.Repeat(text, 3)))
		if !errors.Is(err, io.EOF) || len(got) != 3 || got[0].Frame != text || got[2].Frame != text {
			t.Errorf("%d bytes: %d events, %v", n, len(got), err)
		}
	}
	for name, text := range map[string]string{
		"one byte more":   "data: " + sized(maxEvent+1) + "\n\n",
		"in two lines":    "data: " + sized(maxEvent-1) + "\ndata: \n\n" + "data: {\"x\":\ndata: \"" + strings.Repeat("x", maxEvent) + "\"}\n\n",
		"10 MB":           "data: " + sized(10_000_000) + "\n\n",
		"without an end":  "data: {" + strings.Repeat(" ", 3*maxBlock),
		"an endless line": ":" + strings.Repeat("x", 3*maxBlock),
		"lines of data":   strings.Repeat("data: \n", 3*maxBlock/7),
		"behind the data": "data: {}\n" + strings.Repeat(": x\n", 3*maxBlock/4),
	} {
		r := newReader(strings.NewReader(text))
		var err error
		for err == nil {
			_, err = r.next()
		}
		if !errors.Is(err, errLargeEvent) || len(r.buf) > maxBlock {
			t.Errorf("%s: %v with %d bytes", name, err, len(r.buf))
		}
	}
	t.Run("what is ignored takes no room", func(t *testing.T) {
		r := newReader(strings.NewReader(strings.Repeat(": hello\n\nid: 7\r\n\r\nevent: x\n\n", 1_000_000)))
		if _, err := r.next(); !errors.Is(err, io.EOF) || len(r.buf) > largeBlock {
			t.Errorf("%v with %d bytes", err, len(r.buf))
		}
	})
}

func TestReady(t *testing.T) {
	const one = "data: {\"event\":\"m\"}\n\n"
	from := io.MultiReader(strings.NewReader(one+one+one[:10]), strings.NewReader(one[10:]+one+": x\n\n"))
	r := newReader(from)
	for i, want := range []bool{true, false, true, false} {
		e, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		before := string(e.Frame)
		if got := r.ready(); got != want || string(e.Frame) != before || before != one {
			t.Errorf("after event %d: %v %q", i, got, e.Frame)
		}
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) || r.ready() {
		t.Error(err)
	}
}

// again repeats a text until so many bytes are read.
type again struct {
	text []byte
	at   int
}

func (a *again) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		c := copy(p[n:], a.text[a.at:])
		n, a.at = n+c, (a.at+c)%len(a.text)
	}
	return n, nil
}

func TestNoEventIsPaidFor(t *testing.T) {
	for name, text := range map[string]string{
		"as we send it": "data: " + events["token"] + "\n\n" + pinged + "data: {\"event\":\"message_end\",\"task_id\":\"0e2c7ee5-8d4b-4a9d-9f6f-0a8d5c7d9d11\"}\n\n",
		"otherwise":     "event: m\r\ndata:" + events["token"] + "\r\ndata: \r\n\r\n: x\n\n",
	} {
		r := newReader(&again{text: []byte(text)})
		for range 100 {
			if _, err := r.next(); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(1000, func() { _, _ = r.next(); r.ready() }); n != 0 {
			t.Errorf("%s: %v allocations an event", name, n)
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	for _, tc := range []struct{ name, text string }{
		{"token", "data: " + events["token"] + "\n\n"},
		{"chunk", "data: " + events["chunk"] + "\n\n"},
		{"large", "data: " + events["large"] + "\n\n"},
		{"token, CRLF", "data: " + events["token"] + "\r\n\r\n"},
	} {
		b.Run(tc.name, func(b *testing.B) {
			r := newReader(&again{text: []byte(tc.text)})
			b.SetBytes(int64(len(tc.text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// slow reads a stream as the HTML standard says it, all at once.
func slow(text string) (list []seen, ok bool) {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(text, "\n")
	var data []string
	event, named := "", false
	for i, line := range lines {
		last := i == len(lines)-1 // without its end
		switch name, value, _ := strings.Cut(line, ":"); {
		case last:
			return list, line == "" && len(data) == 0 && !named || strings.HasPrefix(line, ":") && len(data) == 0 && !named
		case line == "":
			joined := strings.Join(data, "\n")
			switch {
			case event == "ping" && (len(data) == 0 || len(data) == 1 && joined == ""):
				list = append(list, seen{Frame: pinged, Name: "ping"})
			case len(data) == 0:
			case !json.Valid([]byte(joined)) || !strings.HasPrefix(strings.TrimLeft(joined, " \t\n"), "{"):
				return list, false
			default:
				list = append(list, seen{Frame: "data: " + strings.ReplaceAll(joined, "\n", " ") + "\n\n"})
			}
			data, event, named = nil, "", false
		default:
			value = strings.TrimPrefix(value, " ")
			switch name {
			case "data":
				data = append(data, value)
			case "event":
				event, named = value, true
			}
		}
	}
	return list, true
}

func FuzzStream(f *testing.F) {
	for _, text := range []string{
		"data: {\"event\":\"m\"}\n\n", "data: {\"event\":\"message\",\"task_id\":\"t\"}\r\n\r\nevent: ping\r\r", "\ufeff: c\nid: 1\ndata:{\ndata: }\n\n", "event: x\n\ndata\n\n",
		"data: {\"a\":\"\\ud83d\",\"data\":{\"status\":\"failed\"},\"event\":\"workflow_finished\"}\n\n", "event:ping\ndata\n\n", "data: {}\n", "\r\n\n\r",
	} {
		f.Add([]byte(text), byte(0))
		f.Add([]byte(text), byte(3))
	}
	for _, text := range texts {
		f.Add([]byte("data: "+text+"\n\n"), byte(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, pieces byte) {
		var from io.Reader = bytes.NewReader(text)
		if pieces > 0 { // as many bytes at a time
			from = &small{from, int(pieces)}
		}
		got, err := all(from)
		want, ok := slow(string(text))
		if ok != errors.Is(err, io.EOF) {
			t.Fatalf("%v, %v", err, ok)
		}
		if len(got) != len(want) {
			t.Fatalf("%d events, not %d", len(got), len(want))
		}
		for i, e := range got {
			if e.Frame != want[i].Frame {
				t.Fatalf("%q, not %q", e.Frame, want[i].Frame)
			}
			members(t, e)
		}
	})
}

// members compares what was seen in an event with what the standard decoder finds there.
func members(t *testing.T, e seen) {
	if e.Frame == pinged {
		return
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(strings.TrimPrefix(e.Frame, "data: ")), &m); err != nil {
		t.Fatalf("%q: %v", e.Frame, err)
	}
	for name, got := range map[string]string{"task_id": e.Task, "workflow_run_id": e.Run, "event": e.Name} {
		var want string
		text := len(m[name]) > 0 && m[name][0] == '"' && json.Unmarshal(m[name], &want) == nil
		if got != "" && got != want && (text || name != "event") { // without a text it is that of the field event
			t.Fatalf("%s is %q, not %q", name, got, want)
		}
	}
}

type small struct {
	io.Reader
	most int
}

func (s *small) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), s.most)]) }
