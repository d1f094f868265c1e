// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/dify-sso/dify-sso/pkg/trace"
)

// The messages of OTLP as far as they are sent (opentelemetry/proto/trace/v1). In JSON ids are
// hexadecimal, numbers of 64 bits are texts and enumerations are numbers.
type (
	otlpRequest struct {
		ResourceSpans []otlpResourceSpans `json:"resourceSpans"`
	}
	otlpResourceSpans struct {
		Resource   otlpResource     `json:"resource"`
		ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
	}
	otlpResource struct {
		Attributes []otlpAttr `json:"attributes"`
	}
	otlpScopeSpans struct {
		Scope otlpScope  `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpScope struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	otlpSpan struct {
		TraceID    string     `json:"traceId"`
		SpanID     string     `json:"spanId"`
		Parent     string     `json:"parentSpanId,omitempty"`
		Name       string     `json:"name"`
		Kind       int        `json:"kind"`
		Start      string     `json:"startTimeUnixNano"`
		End        string     `json:"endTimeUnixNano"`
		Attributes []otlpAttr `json:"attributes,omitempty"`
		Status     otlpStatus `json:"status"`
	}
	otlpStatus struct {
		Code int `json:"code,omitempty"`
	}
	otlpAttr struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		Text *string `json:"stringValue,omitempty"`
		Int  string  `json:"intValue,omitempty"`
	}
)

// statusError is STATUS_CODE_ERROR.
const statusError = 2

// encode gives the body of a batch. Texts pass what the log's do.
func encode(batch []trace.Fragment, service, version string) []byte {
	var spans []otlpSpan
	for _, f := range batch {
		id := hex.EncodeToString(f.Trace[:])
		for _, s := range f.Spans {
			o := otlpSpan{
				TraceID: id, SpanID: hex.EncodeToString(s.ID[:]), Name: shapeless(s.Name), Kind: int(s.Kind),
				Start: nanos(s.Start), End: nanos(s.End),
			}
			if s.Parent != [8]byte{} {
				o.Parent = hex.EncodeToString(s.Parent[:])
			}
			if s.Failed {
				o.Status.Code = statusError
			}
			for _, a := range s.Attrs {
				o.Attributes = append(o.Attributes, attr(a))
			}
			spans = append(spans, o)
		}
	}
	body, _ := json.Marshal(otlpRequest{ResourceSpans: []otlpResourceSpans{{ // texts and numbers encode
		Resource: otlpResource{Attributes: []otlpAttr{
			attr(trace.String("service.name", service)), attr(trace.String("service.namespace", "dify-sso")), attr(trace.String("service.version", version)),
		}},
		ScopeSpans: []otlpScopeSpans{{Scope: otlpScope{Name: "github.com/dify-sso/dify-sso", Version: version}, Spans: spans}},
	}}})
	return body
}

func attr(a trace.Attr) otlpAttr {
	if a.Number {
		return otlpAttr{Key: a.Key, Value: otlpValue{Int: strconv.FormatInt(a.Int, 10)}}
	}
	text := shapeless(a.Text)
	return otlpAttr{Key: a.Key, Value: otlpValue{Text: &text}}
}

// shapeless is the last line of defence, as for the log.
func shapeless(s string) string {
	if suspect(s) {
		return secretShapes.ReplaceAllString(s, redacted)
	}
	return s
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }
