// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/deviceauth/internal/api"
)

// maxGiven bounds what is read from a file or from stdin: a server takes no larger body.
const maxGiven = 1 << 20

// inputs puts together what --inputs and -i give.
func (c *command) inputs(from string, pairs []string) (map[string]any, error) {
	all := map[string]any{}
	if from != "" {
		text, err := c.read(from)
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // as it was written
		if err := d.Decode(&all); err != nil || all == nil || d.More() {
			return nil, usagef("--inputs takes one JSON object, such as {\"city\":\"Turin\"}")
		}
	}
	for _, p := range pairs {
		key, value, ok := strings.Cut(p, "=")
		if !ok || key == "" {
			return nil, usagef("-i takes key=text or key:=JSON, not %q", p)
		}
		all[key] = value
		if name, ok := strings.CutSuffix(key, ":"); ok {
			delete(all, key)
			if !json.Valid([]byte(value)) || name == "" {
				return nil, usagef("what stands after %s= is no JSON", key)
			}
			all[name] = json.RawMessage(value)
		}
	}
	return all, nil
}

// read reads a file, or stdin for -.
func (c *command) read(from string) ([]byte, error) {
	if from == "-" {
		return c.stdin("--inputs")
	}
	f, err := os.Open(from) //nolint:gosec // of the person who asks
	if err != nil {
		return nil, unreadable(from, err)
	}
	defer func() { _ = f.Close() }()
	return bounded(f, from)
}

func (c *command) stdin(what string) ([]byte, error) { return bounded(c.Stdin, what) }

func bounded(r io.Reader, what string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxGiven+1))
	switch {
	case err != nil:
		return nil, unreadable(what, err)
	case len(text) > maxGiven:
		return nil, usagef("%s is longer than 1 MiB", what)
	}
	return text, nil
}

func unreadable(what string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // the path is known
	}
	return told{code: "unreadable", text: fmt.Sprintf("%s cannot be read (%s): check its name and whether you may read it", plain(what), plain(err.Error()))}
}

// attachment is one file of -f.
type attachment struct{ key, path, url string }

// attachments reads -f, and refuses what cannot be read before anything is sent.
func attachments(given []string) ([]attachment, error) {
	list := make([]attachment, 0, len(given))
	for _, g := range given {
		var at attachment
		rest := g
		if !strings.HasPrefix(g, "@") && !address(g) {
			var ok bool
			if at.key, rest, ok = strings.Cut(g, "="); !ok || at.key == "" {
				return nil, usagef("-f takes key=@path or key=https://…, or @path for a file of the message, not %q", g)
			}
		}
		switch name, local := strings.CutPrefix(rest, "@"); {
		case local && name != "":
			if info, err := os.Stat(name); err != nil {
				return nil, unreadable(name, err)
			} else if !info.Mode().IsRegular() {
				return nil, usagef("%s is no file", name)
			}
			at.path = name
		case address(rest):
			at.url = rest
		case !local && rest != "":
			return nil, usagef("a file's path begins with @: -f %s", word(strings.TrimSuffix(g, rest)+"@"+rest))
		default:
			return nil, usagef("-f takes @path or https://…, not %q", rest)
		}
		list = append(list, at)
	}
	return list, nil
}

func address(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// attach uploads the files and names them in the run.
func attach(ctx context.Context, a *api.API, app string, files []attachment, r *api.Run) error {
	byKey := map[string][]map[string]any{}
	var keys []string
	for _, f := range files {
		v, err := upload(ctx, a, app, f)
		if err != nil {
			return err
		}
		if f.key == "" {
			r.Files = append(r.Files, v)
			continue
		}
		if !slices.Contains(keys, f.key) {
			keys = append(keys, f.key)
		}
		byKey[f.key] = append(byKey[f.key], v)
	}
	for _, key := range keys {
		if r.Inputs[key] = byKey[key]; len(byKey[key]) == 1 {
			r.Inputs[key] = byKey[key][0]
		}
	}
	return nil
}

func upload(ctx context.Context, a *api.API, app string, f attachment) (map[string]any, error) {
	if f.url != "" {
		u, err := url.Parse(f.url)
		if err != nil {
			return nil, usagef("%q is no address", f.url)
		}
		return map[string]any{"type": fileKind(path.Ext(u.Path)), "transfer_method": "remote_url", "url": f.url}, nil
	}
	in, err := os.Open(f.path) // of the person who asks
	if err != nil {
		return nil, unreadable(f.path, err)
	}
	defer func() { _ = in.Close() }()
	id, err := a.Upload(ctx, app, filepath.Base(f.path), in)
	var at *fs.PathError
	switch {
	case errors.As(err, &at):
		return nil, unreadable(f.path, err)
	case err != nil:
		return nil, err
	}
	return map[string]any{"type": fileKind(filepath.Ext(f.path)), "transfer_method": "local_file", "upload_file_id": id}, nil
}

// fileKind is how apps sort files, by extension.
func fileKind(ext string) string {
	switch strings.ToLower(strings.TrimPrefix(ext, ".")) {
	case "jpg", "jpeg", "png", "webp", "gif", "svg":
		return "image"
	case "mp3", "m4a", "wav", "amr", "mpga":
		return "audio"
	case "mp4", "mov", "mpeg", "webm":
		return "video"
	case "":
		return "custom"
	}
	return "document"
}
