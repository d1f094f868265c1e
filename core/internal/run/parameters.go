// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/dify-sso/dify-sso/core/internal/apps"
)

// Parameters says what an app takes, from its runtime's /v1/parameters.
type Parameters struct {
	// Configured is false for an app that its runtime knows and that nobody has set up
	// there.
	Configured bool
	// Body is an object with every member that clients look for. What the runtime left
	// out, or sent as something else, has the value that such an app begins with.
	Body json.RawMessage
	// form is the rows of user_input_form.
	form json.RawMessage
}

// Parameters asks an app's runtime what the app takes. Answers are remembered for
// ParametersFor; failures are not, and an app that is not set up is asked for anew, so
// that setting it up shows at once.
func (s *Service) Parameters(ctx context.Context, a apps.App) (Parameters, error) {
	p, err := s.parameters.get(ctx, parametersKeyOf(a), s.Now, func(ctx context.Context) (Parameters, error) {
		target, runtime, err := s.target(a)
		if err != nil {
			return Parameters{}, err
		}
		body, err := runtime.Parameters(ctx, target)
		if err != nil {
			return Parameters{}, err
		}
		return readParameters(body)
	})
	if errors.Is(err, ErrNotConfigured) {
		return Parameters{Body: json.RawMessage(unconfigured)}, nil
	}
	return p, err
}

// unconfigured is what clients are told of an app that is not set up: less than of others,
// for there is nothing to say.
const unconfigured = `{"opening_statement":null,"suggested_questions":[],"user_input_form":[],"file_upload":null,"system_parameters":{}}`

const (
	inputForm = "user_input_form"
	off       = `{"enabled":false}`
)

// parameterMembers are the members that clients look for, with what an app begins with.
// A default tells what the member is: a list, an object, or a text.
var parameterMembers = []struct{ name, begins string }{
	{"opening_statement", `null`},
	{"suggested_questions", `[]`},
	{"suggested_questions_after_answer", off},
	{"speech_to_text", off},
	{"text_to_speech", off},
	{"retriever_resource", off},
	{"annotation_reply", off},
	{"more_like_this", off},
	{inputForm, `[]`},
	{"sensitive_word_avoidance", `{"enabled":false,"type":"","configs":[]}`},
	{"file_upload", `{"image":{"enabled":false,"number_limits":3,"detail":"high","transfer_methods":["remote_url","local_file"]}}`},
	{"system_parameters", `{}`},
}

// maxParameters bounds what a runtime may say of an app, in bytes.
const maxParameters = 1 << 20

// readParameters brings a runtime's answer to the shape that clients know. Members that
// nobody here knows stay, after those.
func readParameters(body json.RawMessage) (Parameters, error) {
	if len(body) > maxParameters {
		return Parameters{}, ErrUnavailable.Because(errors.New("run: parameters are too long"))
	}
	var said map[string]json.RawMessage
	if err := json.Unmarshal(body, &said); err != nil || said == nil {
		return Parameters{}, ErrUnavailable.Because(errors.Join(errors.New("run: parameters are no object"), err))
	}
	p := Parameters{Configured: true}
	var out bytes.Buffer
	sign := byte('{')
	for _, m := range parameterMembers {
		value := said[m.name]
		if kindOf(value) != kindOf(json.RawMessage(m.begins)) && (m.begins != `null` || kindOf(value) != '"') {
			value = json.RawMessage(m.begins)
		}
		if m.name == inputForm {
			p.form = value
		}
		out.WriteByte(sign)
		out.WriteString(`"` + m.name + `":`)
		out.Write(value)
		delete(said, m.name)
		sign = ','
	}
	if len(said) > 0 {
		rest, err := json.Marshal(said)
		if err != nil {
			return Parameters{}, ErrUnavailable.Because(err)
		}
		out.WriteByte(',')
		out.Write(rest[1 : len(rest)-1])
	}
	out.WriteByte('}')
	p.Body = out.Bytes()
	return p, nil
}

// kindOf tells values of JSON apart by their first sign: '{', '[', '"', 'n' for null, '0' for
// a number or a truth value.
func kindOf(v json.RawMessage) byte {
	v = bytes.TrimLeft(v, " \t\r\n")
	if len(v) == 0 {
		return 0
	}
	if bytes.IndexByte([]byte(`{["n`), v[0]) >= 0 {
		return v[0]
	}
	return '0'
}
