// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/secret"
)

// Field describes a setting for help and reference.
type Field struct {
	Key    string
	Doc    string
	Type   string
	Value  string // of the given struct; secrets as [redacted] or empty
	Secret bool
}

// Fields lists the settings of a struct in its order.
func Fields(dst any) []Field {
	var out []Field
	for _, f := range fieldsOf(dst) {
		out = append(out, Field{Key: f.key, Doc: f.doc, Type: typeName(f.value.Interface()), Value: show(f.value.Interface()), Secret: f.secret()})
	}
	return out
}

// Print writes KEY=value lines; a secret as [redacted], or empty when it is unset.
func Print(w io.Writer, dst any) error {
	for _, f := range Fields(dst) {
		if _, err := fmt.Fprintf(w, "%s=%s\n", f.Key, f.Value); err != nil {
			return err
		}
	}
	return nil
}

func show(v any) string {
	switch x := v.(type) {
	case secret.Text:
		if x.IsZero() {
			return ""
		}
		return x.String()
	case []string:
		return strings.Join(x, ",")
	case []netip.Prefix:
		parts := make([]string, len(x))
		for i, p := range x {
			parts[i] = p.String()
		}
		return strings.Join(parts, ",")
	default:
		return fmt.Sprint(v)
	}
}

func typeName(v any) string {
	switch v.(type) {
	case secret.Text:
		return "secret"
	case []string:
		return "list"
	case []netip.Prefix:
		return "networks"
	default:
		return strings.TrimPrefix(fmt.Sprintf("%T", v), "time.")
	}
}
