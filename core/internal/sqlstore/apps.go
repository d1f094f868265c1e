// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/dify-sso/dify-sso/core/internal/apps"
	"github.com/dify-sso/dify-sso/core/internal/workspace"
	"github.com/dify-sso/dify-sso/pkg/sqldb"
)

// Apps implements apps.RegistryStore.
type Apps struct{ DB sqldb.DB }

var _ apps.RegistryStore = Apps{}

const appColumns = `p.id, p.workspace_id, p.name, p.description, p.mode, p.tags, p.author, p.runtime, p.runtime_url, p.runtime_key_sealed, p.runtime_config,
	p.runtime_features, p.api_enabled, p.access_mode, p.max_active, p.status, p.created_by, p.created_at, p.updated_at`

// features is the form of runtime_features.
type features struct {
	DSL        bool `json:"dsl,omitempty"`
	HumanInput bool `json:"human_input,omitempty"`
}

// scanApp reads appColumns and what follows them.
func scanApp(row sqldb.Row, rest ...any) (a apps.App, err error) {
	err = scanAppInto(&a, row, rest...)
	return a, err
}

func scanAppInto(a *apps.App, row sqldb.Row, rest ...any) error {
	var tags, offers string
	if err := row.Scan(append([]any{&a.ID, &a.WorkspaceID, &a.Name, &a.Description, &a.Mode, &tags, &a.Author, &a.Runtime, &a.RuntimeURL, text{&a.SealedKey},
		text{&a.RuntimeConfig}, &offers, &a.APIEnabled, &a.Access, &a.MaxActive, &a.Status, text{&a.CreatedBy}, &a.CreatedAt, &a.UpdatedAt}, rest...)...); err != nil {
		return err
	}
	var f features
	if err := errors.Join(json.Unmarshal([]byte(tags), &a.Tags), json.Unmarshal([]byte(offers), &f)); err != nil {
		return err
	}
	a.Features = apps.Features(f)
	return nil
}

// Place implements apps.Store.
func (s Apps) Place(ctx context.Context, appID, accountID string) (*apps.Place, error) {
	var role, listed string
	p := &apps.Place{}
	w := &p.Workspace
	err := scanAppInto(&p.App, s.DB.QueryRow(ctx, `SELECT `+appColumns+`, w.id, w.name, w.status, w.created_at, w.updated_at, m.role, x.account_id
		FROM apps p JOIN workspaces w ON w.id = p.workspace_id
		LEFT JOIN memberships m ON m.workspace_id = p.workspace_id AND m.account_id = $2
		LEFT JOIN app_access x ON x.app_id = p.id AND x.account_id = $2
		WHERE p.id = $1`, appID, accountID), &w.ID, &w.Name, &w.Status, &w.CreatedAt, &w.UpdatedAt, text{&role}, text{&listed})
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, apps.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	p.Role, p.Listed = workspace.Role(role), listed != ""
	return p, nil
}

// The parts of a search. A name is sought without LIKE, whose rules for case and for its
// signs differ by engine: what the replacement changes has the text in it. Tags are a JSON
// array of texts without quotes and backslashes, so a whole one is found with its quotes.
const searched = ` AND ($2 = '' OR p.mode = $2) AND ($3 = '' OR p.id = $3)
	AND ($4 = '' OR replace(p.name_folded, $4, '') <> p.name_folded) AND ($5 = '' OR replace(p.tags, $5, '') <> p.tags)`

func searchArgs(first string, s apps.Search) []any {
	tag := ""
	if s.Tag != "" {
		tag = `"` + norm.NFC.String(s.Tag) + `"`
	}
	return []any{first, string(s.Mode), s.ID, s.Folded, tag}
}

// findable reports whether a search can find anything. A NUL is in no text, and Postgres
// takes none. What stands between tags is in none, and would be found between them.
func findable(s apps.Search) bool {
	if strings.ContainsAny(s.Tag, apps.NoTag) {
		return false
	}
	for _, sought := range []string{string(s.Mode), s.ID, s.Folded, s.Tag} {
		if strings.ContainsRune(sought, 0) || !utf8.ValidString(sought) {
			return false
		}
	}
	return true
}

// Usable implements apps.Store.
func (s Apps) Usable(ctx context.Context, workspaceID, accountID string, q apps.Search) ([]apps.Summary, int, error) {
	const from = summaries + `
		WHERE p.workspace_id = $1 AND w.status = 'normal' AND p.status = 'normal' AND p.api_enabled = $7 AND (p.access_mode IN ('public', 'sso_verified', 'internal_all')
		OR p.access_mode = 'internal' AND (EXISTS (SELECT 1 FROM app_access x WHERE x.app_id = p.id AND x.account_id = $6)
			OR EXISTS (SELECT 1 FROM memberships m WHERE m.workspace_id = p.workspace_id AND m.account_id = $6 AND m.role IN ('owner', 'admin'))))` + searched
	return s.page(ctx, from, append(searchArgs(workspaceID, q), accountID, true), q)
}

// Permitted implements apps.Store.
func (s Apps) Permitted(ctx context.Context, q apps.Search) ([]apps.Summary, int, error) {
	const from = summaries + `
		WHERE w.status = $1 AND p.status = 'normal' AND p.api_enabled = $6 AND p.access_mode IN ('public', 'sso_verified')` + searched
	return s.page(ctx, from, append(searchArgs("normal", q), true), q)
}

// page counts and reads under one condition.
func (s Apps) page(ctx context.Context, from string, args []any, q apps.Search) (list []apps.Summary, total int, err error) {
	if !findable(q) {
		return nil, 0, nil
	}
	if err := s.DB.QueryRow(ctx, `SELECT count(*)`+from, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	n := len(args)
	rows, err := s.DB.Query(ctx, `SELECT `+appColumns+`, w.name, c.name`+from+` ORDER BY p.updated_at DESC, p.id LIMIT `+`$`+strconv.Itoa(n+1)+` OFFSET `+`$`+strconv.Itoa(n+2),
		append(args, q.Limit, q.Offset)...)
	list, err = collect(rows, err, scanSummary)
	return list, total, err
}

// Insert implements apps.RegistryStore.
func (s Apps) Insert(ctx context.Context, a apps.App) error { return insertApp(ctx, s.DB, a) }

func insertApp(ctx context.Context, q sqldb.Querier, a apps.App) error {
	tags, offers, err := encodeApp(a)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `INSERT INTO apps (id, workspace_id, name, name_folded, description, mode, tags, author, runtime, runtime_url, runtime_key_sealed,
		runtime_config, runtime_features, api_enabled, access_mode, max_active, status, created_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		a.ID, a.WorkspaceID, a.Name, apps.Fold(a.Name), a.Description, string(a.Mode), tags, a.Author, string(a.Runtime), a.RuntimeURL, null(a.SealedKey),
		null(a.RuntimeConfig), offers, a.APIEnabled, string(a.Access), a.MaxActive, string(a.Status), null(a.CreatedBy), a.CreatedAt, a.UpdatedAt)
	return err
}

// encodeApp gives the members that are kept as JSON.
func encodeApp(a apps.App) (tags, offers string, err error) {
	list := a.Tags
	if list == nil {
		list = []string{}
	}
	if tags, err = plainJSON(list); err != nil {
		return "", "", err
	}
	offers, err = plainJSON(features(a.Features))
	return tags, offers, err
}

// plainJSON encodes without the escapes that HTML asks for: a tag is sought as it is.
func plainJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
