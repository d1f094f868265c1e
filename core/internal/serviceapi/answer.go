// SPDX-License-Identifier: Apache-2.0

package serviceapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dify-sso/dify-sso/core/internal/run"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

const (
	maxMessage = 500 // characters
	maxRetry   = time.Hour
)

// errSlow ends the context of a call whose runtime takes too long.
var errSlow = errors.New("the runtime has used up its time")

// refusals are the codes of a 400 that stay what they are.
var refusals = map[string]*fault.Error{
	"app_unavailable":             run.ErrAppUnavailable,
	"conversation_completed":      run.ErrConversationOver,
	"provider_not_initialize":     run.ErrNoProvider,
	"provider_quota_exceeded":     run.ErrProviderQuota,
	"model_currently_not_support": run.ErrModel,
	"completion_request_error":    run.ErrCompletion,
	"invalid_form_data":           run.ErrFormData,
	"no_file_uploaded":            run.ErrNoFile,
	"too_many_files":              run.ErrManyFiles,
	"filename_not_exists":         run.ErrNoFileName,
	"file_extension_blocked":      run.ErrFileBlocked,
}

// refused gives what an answer that is none of success means here
// (docs/specs/v1.0/server/apps.md, Runtimes). absent is what the call asks for,
// nil where a 404 tells by its words.
func (c *Client) refused(t run.Target, status int, header http.Header, content []byte, absent *fault.Error) error {
	said := refusalOf(content)
	because := func(f *fault.Error) *fault.Error {
		return f.Because(fmt.Errorf("the runtime answers %d %s", status, said.word()))
	}
	switch status {
	case http.StatusBadRequest:
		f := refusals[said.code]
		if f == nil {
			f = run.ErrRefused
		}
		if text := said.sentence(t); text != "" {
			f = f.Saying(text)
		}
		return because(f)
	case http.StatusUnauthorized, http.StatusForbidden:
		return because(run.ErrKeyRejected)
	case http.StatusNotFound:
		return because(said.missing(t, absent))
	case http.StatusPreconditionFailed:
		switch said.code {
		case "human_input_form_submitted":
			return because(run.ErrFormSubmitted)
		case "human_input_form_expired":
			return because(run.ErrFormExpired)
		}
	case http.StatusRequestEntityTooLarge:
		return because(run.ErrFileTooLarge)
	case http.StatusUnsupportedMediaType:
		return because(run.ErrFileType)
	case http.StatusTooManyRequests:
		f := run.ErrQuota
		if wait := retryAfter(header.Get("Retry-After"), c.Now()); wait > 0 {
			f = f.RetryAfter(wait)
		}
		return because(f)
	}
	return because(run.ErrUnavailable)
}

// refusal is Dify's {"code","message","status"}, as far as it is so.
type refusal struct {
	code, message string
	object        bool
}

func refusalOf(content []byte) (r refusal) {
	var members map[string]json.RawMessage
	if !utf8.Valid(content) || json.Unmarshal(content, &members) != nil || members == nil {
		return refusal{}
	}
	r.object = true
	_ = json.Unmarshal(members["code"], &r.code) // a code or message of another type is none
	_ = json.Unmarshal(members["message"], &r.message)
	return r
}

// word is the code for the log, when it is one.
func (r refusal) word() string {
	if r.code == "" || len(r.code) > 64 || strings.Trim(r.code, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "without a code"
	}
	return r.code
}

// sentence is the runtime's message as people may read it: without what moves a terminal
// or a line, cut, and empty when it tells the app's key or where its runtime is.
func (r refusal) sentence(t run.Target) string {
	if tells(r.message, t) {
		return ""
	}
	var b strings.Builder
	n := 0
	for _, c := range strings.TrimFunc(r.message, func(c rune) bool { return unicode.IsSpace(c) || moves(c) }) {
		if moves(c) {
			continue
		}
		if n++; n > maxMessage {
			break
		}
		b.WriteRune(c)
	}
	text := b.String()
	if tells(text, t) { // a key in whose midst something was that is gone now
		return ""
	}
	return text
}

// moves reports control characters, and those of format that change the order or the line.
// What joins letters and emoji stays.
func moves(c rune) bool {
	return unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) && c != '\u200c' && c != '\u200d'
}

// tells reports a text with the app's key in it, or where its runtime is: its host, which
// counts as a word of language when it has no dot and no port.
func tells(text string, t run.Target) bool {
	key := t.Key.Reveal()
	if key != "" && strings.Contains(text, key) {
		return true
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" {
		return false
	}
	text = strings.ToLower(text)
	if host := strings.ToLower(u.Hostname()); strings.ContainsAny(host, ".:") && strings.Contains(text, host) {
		return true
	}
	return strings.Contains(text, "//"+strings.ToLower(u.Host)) || u.Port() != "" && strings.Contains(text, strings.ToLower(u.Host))
}

// missing tells what a 404 is about. One that is no JSON of a runtime's comes from something
// else at its address, and one about the address from a runtime that has no such route: where
// nobody said that it has forms for people, it need not.
func (r refusal) missing(t run.Target, absent *fault.Error) *fault.Error {
	said := strings.ToLower(r.code + " " + r.message)
	noRoute := r.object && strings.Contains(said, "requested url was not found")
	switch {
	case noRoute && absent == run.ErrFormNotFound && !t.Features.HumanInput:
		return run.ErrUnsupported
	case !r.object, noRoute:
		return run.ErrUnavailable
	case absent != nil:
		return absent
	case strings.Contains(said, "conversation"):
		return run.ErrNoConversation
	case strings.Contains(said, "workflow"):
		return run.ErrNoWorkflowRun
	}
	return run.ErrUnavailable
}

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3), at most an hour.
func retryAfter(value string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(value, 10, 63); err == nil {
		return min(time.Duration(min(n, uint64(maxRetry/time.Second)))*time.Second, maxRetry)
	} else if errors.Is(err, strconv.ErrRange) {
		return maxRetry
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, at.Sub(now)), maxRetry)
	}
	return 0
}

// failure gives what a call that broke means here.
func failure(ctx context.Context, t run.Target, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		switch _, ours := errors.AsType[*fault.Error](cause); {
		case ours:
			return cause
		case errors.Is(cause, errSlow), errors.Is(cause, context.DeadlineExceeded):
			return run.ErrTimeout.Because(scrubbed(t, cause))
		default:
			return cause
		}
	}
	if _, ours := errors.AsType[*fault.Error](err); ours {
		return err
	}
	err = unrepeated(err)
	if e, ok := errors.AsType[*egress.Error](err); ok && e.Phase == egress.Refused {
		err = fmt.Errorf("%w: %s", err, advice(err))
	} else if ok && e.Phase == egress.Timeout {
		return run.ErrTimeout.Because(scrubbed(t, err))
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return run.ErrTimeout.Because(scrubbed(t, err))
	}
	return run.ErrUnavailable.Because(scrubbed(t, err))
}

// errNoHTTP stands for what net/http says of bytes that it cannot read, and repeats.
var errNoHTTP = errors.New("what the runtime sends is no HTTP")

// unrepeated is an error for the log that repeats nothing of what a runtime has sent: that
// may be what somebody has asked of it. net/http quotes it, net/textproto adds it.
func unrepeated(err error) error {
	if e, ok := errors.AsType[*egress.Error](err); ok && e.Phase != egress.Connect {
		return err
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok || strings.ContainsAny(err.Error(), "\"\\") {
		return errNoHTTP
	}
	return err
}

// scrubbed is a cause for the log. Libraries repeat what a peer sends, which may be the key
// that it was sent; such a cause is another one.
func scrubbed(t run.Target, err error) error {
	text, key := err.Error(), t.Key.Reveal()
	quoted := strconv.Quote(key)
	if key != "" && (strings.Contains(text, key) || strings.Contains(text, quoted[1:len(quoted)-1])) {
		return errors.New("serviceapi: the runtime sends the app's key back; what it says is not shown")
	}
	return err
}

var errLarge = errors.New("the answer is larger than it may be")

// within reads at most so many bytes.
func within(from io.Reader, length int64, most int64) ([]byte, error) {
	if length > most {
		return nil, errLarge
	}
	content, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(content)) > most {
		err = errLarge
	}
	return content, err
}
