// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Options say where settings come from.
type Options struct {
	// YAML is the content of the configuration file, whose keys are those of the
	// environment in lower case; YAMLName stands in messages.
	YAML     []byte
	YAMLName string
	Environ  []string // as os.Environ gives it
	Flags    map[string]string
	// ReadFile reads what a KEY_FILE names.
	ReadFile func(string) ([]byte, error)
	// Unsetenv takes secrets out of the environment; nil leaves them there.
	Unsetenv func(string) error
}

// Problem is one setting that is wrong. Text never holds the value of a secret.
type Problem struct{ Key, Text string }

// Problems are all that is wrong, in the order of their keys.
type Problems []Problem

// Error gives one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.Key + ": " + x.Text
	}
	return strings.Join(lines, "\n")
}

// Add notes a problem.
func (p *Problems) Add(key, format string, args ...any) {
	*p = append(*p, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

// Err gives the problems in order, or nil when there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	sort.SliceStable(p, func(i, j int) bool { return p[i].Key < p[j].Key })
	return p
}

const fileSuffix = "_FILE"

// Load fills dst, a pointer to a struct whose fields carry env tags. It returns
// Problems.
func Load(dst any, o Options) error {
	var problems Problems
	fields := fieldsOf(dst)
	values := map[string]string{}
	readYAML(o, fields, values, &problems)
	environ := map[string]string{}
	for _, pair := range o.Environ {
		key, value, _ := strings.Cut(pair, "=")
		environ[key] = value
	}
	for _, f := range fields {
		if v, ok := environ[f.key]; ok {
			values[f.key] = v
			if f.secret() && o.Unsetenv != nil {
				_ = o.Unsetenv(f.key)
			}
		}
		if f.secret() {
			readSecretFile(o, f.key, environ, values, &problems)
		}
		if v, ok := o.Flags[f.key]; ok {
			values[f.key] = v
		}
		if v, ok := values[f.key]; ok {
			if err := f.set(v); err != nil {
				problems.Add(f.key, "%s", err.Error())
			}
		}
	}
	return problems.Err()
}

// readYAML takes a flat mapping; an unknown key is a problem, for it is a misspelt
// one.
func readYAML(o Options, fields []field, values map[string]string, problems *Problems) {
	if len(o.YAML) == 0 {
		return
	}
	// The decoder passes any bytes through; an address or name of them fits nothing.
	if !utf8.Valid(o.YAML) {
		problems.Add(o.YAMLName, "is not UTF-8")
		return
	}
	var raw map[string]any
	file := yaml.NewDecoder(bytes.NewReader(o.YAML), yaml.Strict())
	if err := file.Decode(&raw); err != nil && !errors.Is(err, io.EOF) {
		problems.Add(o.YAMLName, "is not a mapping of keys to values: %s", yamlProblem(err))
		return
	}
	// What stands behind a second "---" would be passed over without a word.
	if err := file.Decode(new(any)); !errors.Is(err, io.EOF) {
		problems.Add(o.YAMLName, "holds more than one document")
		return
	}
	known := map[string]field{}
	for _, f := range fields {
		known[strings.ToLower(f.key)] = f
	}
	for name, v := range raw {
		f, ok := known[name]
		file, isFile := known[strings.TrimSuffix(name, "_file")]
		switch {
		case ok:
			text, err := scalar(v)
			if err != nil {
				problems.Add(f.key, "in %s: %s", o.YAMLName, err)
				continue
			}
			values[f.key] = text
		case isFile && strings.HasSuffix(name, "_file") && file.secret():
			text, _ := scalar(v)
			values[file.key+fileSuffix] = text
		default:
			if !keyShape.MatchString(name) { // a secret in the wrong place, perhaps
				name = "a key of another shape"
			}
			problems.Add(name, "in %s is not a setting; \"core config print\" lists them", o.YAMLName)
		}
	}
}

// scalar gives a YAML value as the environment would spell it; a list becomes a comma
// list.
func scalar(v any) (string, error) {
	switch x := v.(type) {
	case nil:
		return "", nil
	case []any:
		parts := make([]string, len(x))
		for i, e := range x {
			text, err := scalar(e)
			if err != nil {
				return "", err
			}
			parts[i] = text
		}
		return strings.Join(parts, ","), nil
	case map[string]any:
		return "", errors.New("is a mapping where a value is expected")
	default:
		return fmt.Sprint(x), nil
	}
}

// readSecretFile reads KEY_FILE; KEY beside it would leave open which one counts.
func readSecretFile(o Options, key string, environ, values map[string]string, problems *Problems) {
	path, ok := environ[key+fileSuffix]
	if !ok {
		path, ok = values[key+fileSuffix]
	}
	if !ok || path == "" {
		return
	}
	if values[key] != "" {
		problems.Add(key, "and %s%s are both set; keep one", key, fileSuffix)
		return
	}
	content, err := o.ReadFile(path)
	if err != nil {
		problems.Add(key+fileSuffix, "cannot be read: %s", err)
		return
	}
	values[key] = strings.TrimRight(string(content), "\r\n")
}

var keyShape = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// yamlProblem says where a file is wrong and not what stands there: the decoder's own
// words repeat parts of it, which may be a secret.
func yamlProblem(err error) string {
	e, ok := errors.AsType[yaml.Error](err)
	if !ok || e.GetToken() == nil || e.GetToken().Position == nil {
		return "it cannot be read as YAML"
	}
	at := e.GetToken().Position
	return fmt.Sprintf("it cannot be read as YAML at line %d, column %d; each key may stand once", at.Line, at.Column)
}

// field is one setting of a struct.
type field struct {
	key   string
	doc   string
	value reflect.Value
}

func fieldsOf(dst any) []field {
	v := reflect.ValueOf(dst).Elem()
	var out []field
	for i := range v.NumField() {
		t := v.Type().Field(i)
		if key := t.Tag.Get("env"); key != "" {
			out = append(out, field{key: key, doc: t.Tag.Get("doc"), value: v.Field(i)})
		}
	}
	return out
}

func (f field) secret() bool { _, ok := f.value.Interface().(secret.Text); return ok }

// set parses a value by the field's type. Its errors say what is expected and do not
// repeat what was given.
func (f field) set(s string) error {
	var parsed any
	var err error
	switch f.value.Interface().(type) {
	case secret.Text:
		parsed = secret.New(s)
	case string:
		parsed = s
	case bool:
		if parsed, err = strconv.ParseBool(s); err != nil {
			err = errors.New("must be true or false")
		}
	case int:
		if parsed, err = strconv.Atoi(s); err != nil {
			err = errors.New("must be a whole number")
		}
	case time.Duration:
		if parsed, err = time.ParseDuration(s); err != nil {
			err = errors.New("must be a duration such as 20s or 5m")
		}
	case []string:
		parsed = list(s)
	case []netip.Prefix:
		parsed, err = prefixes(s)
	default:
		err = fmt.Errorf("has a type that the loader does not know: %s", f.value.Type())
	}
	if err != nil {
		return err
	}
	f.value.Set(reflect.ValueOf(parsed))
	return nil
}

func list(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func prefixes(s string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, part := range list(s) {
		if a, err := netip.ParseAddr(part); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, errors.New("must be a comma list of networks such as 10.0.0.0/8")
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
