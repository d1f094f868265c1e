// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/dify-sso/dify-sso/pkg/command"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/connection"
)

// declared is a connection as a command was given it.
type declared struct {
	file                                                 string
	id, name, button, preset, issuer, client, secretFile string
	baseURL, metadataURL, metadataFile                   string
	domains, intents, scopes                             []string
	listed, isDefault                                    bool
	position                                             int

	cmd *cobra.Command
}

func (d *declared) flags(cmd *cobra.Command) {
	d.cmd = cmd
	f := cmd.Flags()
	f.StringVar(&d.file, "file", "", "YAML file with the connection; - is standard input")
	f.StringVar(&d.id, "id", "", "2 to 36 of a-z, 0-9 and -; it stands in addresses and is never used again")
	f.StringVar(&d.name, "name", "", "what people read")
	f.StringVar(&d.button, "button", "", "text of the button")
	f.StringVar(&d.preset, "preset", "", "kind of provider, such as okta-oidc, entra-oidc, keycloak-oidc, github, generic-oidc")
	f.StringVar(&d.issuer, "issuer", "", "issuer of an OpenID provider, exactly as it writes it")
	f.StringVar(&d.baseURL, "base-url", "", "address of an own server, for presets such as gitlab")
	f.StringVar(&d.client, "client-id", "", "client id that the provider gave")
	f.StringVar(&d.secretFile, "client-secret-file", "", "file with the client secret; it is read now and kept sealed")
	f.StringVar(&d.metadataURL, "metadata-url", "", "address of a SAML provider's metadata, which the bridge reads and reads again")
	f.StringVar(&d.metadataFile, "metadata-file", "", "file with a SAML provider's metadata; it is read now and never again")
	f.StringSliceVar(&d.scopes, "scopes", nil, "scopes in the preset's place")
	f.StringSliceVar(&d.domains, "domains", nil, "mail domains that this connection owns")
	f.StringSliceVar(&d.intents, "intents", nil, "device_flow, account_login or both")
	f.BoolVar(&d.listed, "listed", true, "whether people can choose it")
	f.BoolVar(&d.isDefault, "default", false, "whether it takes addresses that no connection owns")
	f.IntVar(&d.position, "position", 0, "place in the list")
}

// What is read of files, in bytes. A connection may have metadata pasted into it, and
// YAML indents each of its lines.
const (
	maxDeclared = 4 << 20
	maxMetadata = 1 << 20
)

// text gives the JSON of the shape that the connections file has. Files of secrets are
// read here: whose they are, the serving process may not read.
func (d *declared) text(stdin io.Reader) (string, error) {
	shape := map[string]any{}
	if d.file != "" {
		content, err := d.read(stdin)
		if err != nil {
			return "", err
		}
		if err := yaml.UnmarshalWithOptions(content, &shape, yaml.Strict()); err != nil || len(shape) == 0 {
			return "", command.Usage(errors.New("--file must be YAML with the members of one connection, such as preset, name and oidc"))
		}
	}
	if d.file == "" && d.preset == "" {
		return "", command.Usage(errors.New("give --file, or --preset with the other flags"))
	}
	d.override(shape)
	for _, block := range []string{"oidc", "oauth2"} {
		if b, ok := shape[block].(map[string]any); ok {
			if err := inlineSecrets(b); err != nil {
				return "", err
			}
		}
	}
	if b, ok := shape["saml"].(map[string]any); ok {
		if err := inlineMetadata(b); err != nil {
			return "", err
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // XML would grow sixfold
	err := encoder.Encode(shape)
	return text.String(), err
}

func (d *declared) read(stdin io.Reader) ([]byte, error) {
	in := stdin
	if d.file != "-" {
		f, err := os.Open(d.file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, maxDeclared+1))
	if err == nil && len(content) > maxDeclared {
		err = command.Usage(errors.New("--file is longer than 4 MiB, which no connection is"))
	}
	return content, err
}

// override puts what flags say in the place of what the file says.
func (d *declared) override(shape map[string]any) {
	given := func(flag string) bool { return d.cmd.Flags().Changed(flag) }
	set := func(flag, member string, value any) {
		if given(flag) {
			shape[member] = value
		}
	}
	set("id", "id", d.id)
	set("name", "name", d.name)
	set("button", "button", d.button)
	set("preset", "preset", d.preset)
	set("domains", "domains", d.domains)
	set("intents", "intents", d.intents)
	set("listed", "listed", d.listed)
	set("default", "default", d.isDefault)
	set("position", "position", d.position)
	block := "oidc"
	if name, ok := shape["preset"].(string); ok {
		if p, ok := connection.PresetNamed(name); ok {
			block = string(p.Defaults.Protocol)
		}
	}
	for flag, to := range map[string]struct {
		member string
		value  any
	}{"issuer": {"issuer", d.issuer}, "base-url": {"base_url", d.baseURL}, "client-id": {"client_id", d.client}, "client-secret-file": {"client_secret_file", d.secretFile}, "metadata-url": {"metadata_url", d.metadataURL}, "metadata-file": {"metadata_file", d.metadataFile}, "scopes": {"scopes", d.scopes}} {
		if !given(flag) {
			continue
		}
		inner, ok := shape[block].(map[string]any)
		if !ok {
			inner = map[string]any{}
			shape[block] = inner
		}
		inner[to.member] = to.value
	}
}

// inlineSecrets puts what files hold in their place.
func inlineSecrets(block map[string]any) error {
	for _, member := range []string{"client_secret", "private_key"} {
		path, ok := block[member+"_file"].(string)
		if !ok {
			continue
		}
		content, err := os.ReadFile(path) //nolint:gosec // who types the command names the file
		if err != nil {
			return fmt.Errorf("%s_file: %w", member, err)
		}
		delete(block, member+"_file")
		block[member] = strings.TrimRight(string(content), "\r\n")
	}
	return nil
}

// inlineMetadata puts what files hold in their place, and refuses what no process would
// take.
func inlineMetadata(block map[string]any) error {
	if path, ok := block["metadata_file"].(string); ok {
		content, err := readPublic("metadata_file", path)
		if err != nil {
			return err
		}
		delete(block, "metadata_file")
		block["metadata"] = content
	}
	if text, ok := block["metadata"].(string); ok && len(text) > maxMetadata {
		return command.Usage(errors.New("the metadata is longer than 1 MiB, and nothing was done: give that of this one provider, not of a federation"))
	}
	idp, _ := block["idp"].(map[string]any)
	paths, ok := idp["certificate_files"].([]any)
	if !ok {
		return nil
	}
	certificates, _ := idp["certificates"].([]any)
	for _, path := range paths {
		content, err := readPublic("certificate_files", fmt.Sprint(path))
		if err != nil {
			return err
		}
		certificates = append(certificates, content)
	}
	delete(idp, "certificate_files")
	idp["certificates"] = certificates
	return nil
}

// readPublic reads what is no secret; of more than metadata may have it reads a byte.
func readPublic(member, path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // who types the command names the file
	if err != nil {
		return "", fmt.Errorf("%s: %w", member, err)
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxMetadata+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", member, err)
	}
	return string(content), nil
}
