// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestScanner(t *testing.T) {
	for _, tc := range []struct {
		name, text               string
		event, task, run, status string
	}{
		{"nothing", `{}`, "", "", "", ""},
		{"each", `{"event":"workflow_finished","task_id":"t","workflow_run_id":"r","data":{"status":"failed"}}`, "workflow_finished", "t", "r", "failed"},
		{"in any order, with space", " {\t\"data\" : { \"x\":[1,{\"status\":\"no\"}], \"status\" : \"succeeded\" } ,\n\"event\":\"e\"} ", "e", "", "", "succeeded"},
		{"deeper ones do not count", `{"a":{"event":"x","task_id":"y","status":"z"},"b":[{"event":"x"}],"data":{"a":{"status":"z"},"event":"x"}}`, "", "", "", ""},
		{"what is no text does not count", `{"event":1,"task_id":{"a":"b"},"workflow_run_id":["a"],"data":"failed"}`, "", "", "", ""},
		{"of two the last counts", `{"event":"a","event":"b","task_id":"t","task_id":null,"data":{"status":"x"},"data":{}}`, "b", "", "", ""},
		{"after data that was an array", `{"data":[{"status":"x"}],"x":{"status":"y"}}`, "", "", "", ""},
		{"an object that comes after data", `{"data":{"status":"x"},"x":{"status":"y"}}`, "", "", "", "x"},
		{"a status of data that is no text, then one that is", `{"data":{"status":["a",{"status":"b"}],"status":"x"}}`, "", "", "", "x"},
		{"a name with escapes", `{"\u0065vent":"e","task\u005fid":"t"}`, "e", "t", "", ""},
		{"a name that is longer", `{"eventx":"e","event\"":"e"}`, "", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s scanner
			if !s.object([]byte(tc.text)) {
				t.Fatal("refused")
			}
			if string(s.event) != tc.event || string(s.task) != tc.task || string(s.run) != tc.run || string(s.status) != tc.status {
				t.Errorf("%q %q %q %q", s.event, s.task, s.run, s.status)
			}
		})
	}
}

// texts are what a scanner and encoding/json must judge alike.
var texts = []string{
	``, ` `, `{`, `}`, `{}`, ` { } `, `[]`, `"a"`, `1`, `null`, `{} {}`, `{}x`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[}`,
	`{"a":[1}`, `{"a":{]}`, `{"a":1]`, `{a:1}`, `{'a':1}`, `{"a":01}`, `{"a":-}`, `{"a":-0}`, `{"a":1.}`, `{"a":.1}`, `{"a":1e}`, `{"a":1e+}`, `{"a":1E-05}`, `{"a":-12.50e3}`,
	`{"a":+1}`, `{"a":0x1}`, `{"a":NaN}`, `{"a":tru}`, `{"a":true}`, `{"a":falsey}`, `{"a":nul}`, `{"a":null}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12G4"}`, `{"a":"\ud800"}`,
	`{"a":"\u00e9\n\/\\\""}`, `{"a":"` + "\n" + `"}`, `{"a":"` + "\x1f" + `"}`, `{"a":"` + "\x7f\x80\xff" + `"}`, "{\"a\":\"0123456\x00\"}", "{\"a\":\"é世界😀 and more of it\"}", `{"a":"12345678`,
	`{"a":"1234567\`, `{"a":"1234567\"`, "{\"a\":1\v}", "{\u00a0}", `{"a":{"b":[[],[{}],{"c":[]}]}}`, `{"a":""}`, `{"":""}`, `{"a":1}` + "\x00",
}

func TestScannerJudgesAsTheStandardDecoder(t *testing.T) {
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	for _, text := range append([]string{deep(60), deep(70), deep(depthLimit - 1), deep(depthLimit)}, texts...) {
		judge(t, text)
		for n := range len(text) { // and each of its beginnings
			if n < 200 {
				judge(t, text[:n])
			}
		}
	}
}

func judge(t *testing.T, text string) {
	t.Helper()
	want := json.Valid([]byte(text)) && strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{")
	var s scanner
	if got := s.object([]byte(text)); got != want {
		t.Errorf("%.80q: %v", text, got)
	}
}

var events = map[string]string{
	"token": `{"event":"message","task_id":"0e2c7ee5-8d4b-4a9d-9f6f-0a8d5c7d9d11","id":"5ad4cb98-f0c7-4085-b384-88c403be6290","message_id":"5ad4cb98-f0c7-4085-b384-88c403be6290","conversation_id":"45701982-8118-4bc5-8e9b-64562b4555f2","answer":" nice","created_at":1705407629}`,
	"chunk": `{"event":"text_chunk","workflow_run_id":"0e2c7ee5-8d4b-4a9d-9f6f-0a8d5c7d9d11","task_id":"5ad4cb98-f0c7-4085-b384-88c403be6290","data":{"text":"` + strings.Repeat("Some text that goes on, with a \\\"quote\\\" now and then. ", 70) + `"}}`,
	"large": `{"event":"node_finished","task_id":"t","workflow_run_id":"r","data":{"status":"succeeded","outputs":{"text":"` + strings.Repeat("0123456789abcdef", 4096) + `"}}}`,
}

func BenchmarkScan(b *testing.B) {
	for _, name := range []string{"token", "chunk", "large"} {
		text := []byte(events[name])
		b.Run(name+"/scanner", func(b *testing.B) {
			var s scanner
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if !s.object(text) {
					b.Fatal("refused")
				}
			}
		})
		b.Run(name+"/json.Valid", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if !json.Valid(text) {
					b.Fatal("refused")
				}
			}
		})
	}
}
