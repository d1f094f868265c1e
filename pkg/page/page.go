// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// The languages of every page, as they stand in the lang attribute.
const (
	English = "en"
	Chinese = "zh-Hans"
)

var matcher = language.NewMatcher([]language.Tag{language.English, language.SimplifiedChinese})

// Language chooses by the lang parameter, then the cookie, then Accept-Language.
// What names neither language is passed over; English is the last resort.
func Language(query, cookie, accept string) string {
	for _, wish := range []string{query, cookie} {
		if wish == English || wish == Chinese {
			return wish
		}
	}
	const longest = 200 // bytes; a longer header is no browser's
	if len(accept) > longest {
		return English
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return English
	}
	if _, i, confidence := matcher.Match(tags...); confidence > language.No && i == 1 {
		return Chinese
	}
	return English
}

// Catalogue holds the messages of every language, read on first use.
type Catalogue struct {
	files fs.FS
	dir   string

	once       sync.Once
	err        error
	localizers map[string]*i18n.Localizer
}

// NewCatalogue takes a folder of <language>.json files: key to text, or to plural
// forms. Placeholders are {{.name}}.
func NewCatalogue(files fs.FS, dir string) *Catalogue { return &Catalogue{files: files, dir: dir} }

func (c *Catalogue) load() {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	c.localizers = map[string]*i18n.Localizer{}
	for _, lang := range []string{English, Chinese} {
		raw, err := fs.ReadFile(c.files, path.Join(c.dir, lang+".json"))
		if err == nil {
			_, err = bundle.ParseMessageFileBytes(raw, lang+".json")
		}
		if err != nil {
			c.err = fmt.Errorf("page: catalogue %s: %w", lang, err)
			return
		}
		c.localizers[lang] = i18n.NewLocalizer(bundle, lang)
	}
}

// Text gives a message. args are name, value, name, value; one named count also
// chooses the plural form. A key that is missing is an error, never an empty text.
func (c *Catalogue) Text(lang, key string, args ...any) (string, error) {
	c.once.Do(c.load)
	if c.err != nil {
		return "", c.err
	}
	localizer, ok := c.localizers[lang]
	if !ok {
		return "", fmt.Errorf("page: no catalogue for %q", lang)
	}
	config := &i18n.LocalizeConfig{MessageID: key}
	data := map[string]any{}
	for i := 0; i+1 < len(args); i += 2 {
		name, _ := args[i].(string)
		data[name] = args[i+1]
		if name == "count" {
			config.PluralCount = args[i+1]
		}
	}
	config.TemplateData = data
	text, tag, err := localizer.LocalizeWithTag(config)
	if err != nil {
		return "", fmt.Errorf("page: message %s in %s: %w", key, lang, err)
	}
	if base, _ := tag.Base(); !strings.HasPrefix(lang, base.String()) {
		return "", fmt.Errorf("page: message %s is missing in %s", key, lang)
	}
	return text, nil
}

// Keys lists a language's message keys in order.
func (c *Catalogue) Keys(lang string) ([]string, error) {
	raw, err := fs.ReadFile(c.files, path.Join(c.dir, lang+".json"))
	if err != nil {
		return nil, err
	}
	var messages map[string]json.RawMessage
	if err := json.Unmarshal(raw, &messages); err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(messages))
	for k := range messages {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys, nil
}
