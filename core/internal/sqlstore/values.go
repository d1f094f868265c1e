// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"github.com/dify-sso/dify-sso/pkg/secret"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// null stores an empty string as NULL: columns that may be absent are.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// text reads a column that may be NULL.
type text struct{ to *string }

// Scan implements sql.Scanner.
func (t text) Scan(src any) error {
	switch v := src.(type) {
	case string:
		*t.to = v
	case []byte:
		*t.to = string(v)
	default:
		*t.to = ""
	}
	return nil
}

// digest reads a column of 32 bytes that may be NULL.
type digest struct{ to *secret.Digest }

// Scan implements sql.Scanner.
func (d digest) Scan(src any) (err error) {
	if b, ok := src.([]byte); ok {
		*d.to, err = secret.DigestFrom(b)
		return err
	}
	*d.to = secret.Digest{}
	return nil
}

// collect scans every row with scan and closes rows.
func collect[T any](rows sqldb.Rows, err error, scan func(sqldb.Row) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
