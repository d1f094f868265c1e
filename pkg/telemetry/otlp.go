// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/trace"
)

// The bounds of the exporter.
const (
	// maxQueued is how many spans wait at most; what comes then is dropped and counted.
	maxQueued = 8192
	batchSize = 512
	batchTime = 2 * time.Second
	// sendLimit is what one try gets, retryLimit a batch with all of its tries, and flushLimit
	// the rest at the end of the process.
	sendLimit  = 10 * time.Second
	retryLimit = time.Minute
	flushLimit = 3 * time.Second
	firstPause = time.Second
	maxPause   = 30 * time.Second
	maxAnswer  = 64 << 10
	complain   = time.Minute
)

// OTLPOptions make an Exporter. Endpoint, Service, Version, Log and Now are required.
type OTLPOptions struct {
	// Endpoint is the base address of a collector; spans go to /v1/traces below it.
	Endpoint string
	// Headers are sent with each batch: name=value with percent encoding, as a comma list.
	Headers          secret.Text
	Service, Version string
	Log              *slog.Logger
	Now              func() time.Time
}

// Exporter sends spans to a collector by OTLP over HTTP, in JSON. It never makes a request
// wait: what does not fit into its queue is dropped and counted.
type Exporter struct {
	options OTLPOptions
	address string
	headers http.Header
	client  *http.Client

	mu      sync.Mutex
	waiting []trace.Fragment
	queued  int
	wake    chan struct{}
	sending sync.Mutex // one batch at a time
	told    time.Time  // when the log was told of a failure; under sending

	dropped atomic.Int64
}

// NewExporter checks the options and connects to nothing yet.
func NewExporter(o OTLPOptions) (*Exporter, error) {
	address, err := OTLPEndpoint(o.Endpoint)
	if err != nil {
		return nil, err
	}
	headers, err := OTLPHeaders(o.Headers)
	if err != nil {
		return nil, err
	}
	if o.Service == "" || o.Log == nil || o.Now == nil {
		return nil, errors.New("telemetry: an exporter needs a service, a log and a clock")
	}
	return &Exporter{
		options: o, address: address, headers: headers, wake: make(chan struct{}, 1),
		client: &http.Client{
			// A redirect would take the headers, which may hold a key, elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
			},
		},
	}, nil
}

// OTLPEndpoint gives the address that spans are sent to.
func OTLPEndpoint(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("must be an address such as http://collector:4318, without user information and query")
	}
	return u.Scheme + "://" + u.Host + strings.TrimSuffix(u.EscapedPath(), "/") + "/v1/traces", nil
}

// OTLPHeaders reads a list of headers. Its error does not repeat them.
func OTLPHeaders(list secret.Text) (http.Header, error) {
	h := http.Header{}
	for pair := range strings.SplitSeq(list.Reveal(), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		text, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || name == "" || strings.ContainsAny(name, " \t\r\n:") || strings.ContainsAny(text, "\r\n\x00") {
			return nil, errors.New("must be a list such as authorization=Bearer%20secret,x-tenant=a, with blanks and commas of values in percent encoding")
		}
		h.Add(name, text)
	}
	return h, nil
}

// Take queues the spans of a request.
func (e *Exporter) Take(f trace.Fragment) {
	n := len(f.Spans)
	e.mu.Lock()
	fits := e.queued+n <= maxQueued
	if fits {
		e.waiting = append(e.waiting, f)
		e.queued += n
	}
	full := e.queued >= batchSize
	e.mu.Unlock()
	lost := f.Dropped
	if !fits {
		lost += n
	}
	e.drop(lost)
	if full {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

func (e *Exporter) drop(n int) {
	e.dropped.Add(int64(n))
}

// Lost counts the spans that nobody will see.
func (e *Exporter) Lost() int64 { return e.dropped.Load() }

// Run sends what is queued until ctx ends. Flush sends the rest.
func (e *Exporter) Run(ctx context.Context) error {
	tick := time.NewTicker(batchTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-e.wake:
		}
		e.send(ctx, false)
	}
}

// Flush sends what is queued, as far as that is possible in three seconds.
func (e *Exporter) Flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	e.send(ctx, true)
	e.client.CloseIdleConnections()
}

// send empties the queue. A batch that the end of ctx stops goes back, unless it is the last.
func (e *Exporter) send(ctx context.Context, last bool) {
	e.sending.Lock()
	defer e.sending.Unlock()
	for {
		batch, n := e.take()
		if n == 0 {
			return
		}
		rejected, err := e.deliver(ctx, batch)
		switch {
		case err == nil:
			e.drop(rejected)
			continue
		case ctx.Err() != nil && !last:
			e.giveBack(batch, n)
			return
		}
		e.drop(n)
		if now := e.options.Now(); now.Sub(e.told) >= complain || last {
			e.told = now
			e.options.Log.Warn("spans are lost: OTEL_EXPORTER_OTLP_ENDPOINT does not take them", slog.String("error", err.Error()), slog.Int64("lost", e.Lost()))
		}
	}
}

func (e *Exporter) take() (batch []trace.Fragment, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := 0
	for i < len(e.waiting) && (i == 0 || n+len(e.waiting[i].Spans) <= batchSize) {
		n += len(e.waiting[i].Spans)
		i++
	}
	batch = e.waiting[:i:i]
	e.waiting = e.waiting[i:]
	e.queued -= n
	if len(e.waiting) == 0 {
		e.waiting = nil
	}
	return batch, n
}

func (e *Exporter) giveBack(batch []trace.Fragment, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = append(batch, e.waiting...)
	e.queued += n
}

// deliver sends a batch, again where the collector says so or does not answer (OTLP
// specification, OTLP/HTTP response). It gives how many spans were rejected.
func (e *Exporter) deliver(ctx context.Context, batch []trace.Fragment) (rejected int, err error) {
	body := encode(batch, e.options.Service, e.options.Version)
	ctx, cancel := context.WithTimeout(ctx, retryLimit)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		var wait time.Duration
		var again bool
		if rejected, wait, again, err = e.post(ctx, body); err == nil || !again {
			return rejected, err
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(min(max(wait, pause), maxPause)):
		}
	}
}

func (e *Exporter) post(ctx context.Context, body []byte) (rejected int, wait time.Duration, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.address, bytes.NewReader(body))
	if err != nil {
		return 0, 0, false, err
	}
	req.Header = e.headers.Clone()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "dify-sso/"+e.options.Version)
	res, err := e.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the address
		}
		return 0, 0, true, err
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return 0, retryAfter(res.Header.Get("Retry-After"), e.options.Now()), true, errors.New("the collector answers " + strconv.Itoa(res.StatusCode))
	}
	if res.StatusCode != http.StatusOK {
		return 0, 0, false, errors.New("the collector answers " + strconv.Itoa(res.StatusCode))
	}
	if err != nil { // the collector has them all the same
		return 0, 0, false, nil
	}
	return rejections(content), 0, false, nil
}

// rejections reads the number of spans that a collector refuses in an answer of success.
func rejections(content []byte) int {
	var answer struct {
		PartialSuccess struct {
			RejectedSpans json.Number `json:"rejectedSpans"` // an int64, which JSON may quote
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(content, &answer) != nil {
		return 0
	}
	n, _ := strconv.Atoi(answer.PartialSuccess.RejectedSpans.String())
	return max(0, min(n, batchSize))
}

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		return time.Duration(min(n, int(maxPause/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(now)
	}
	return 0
}
