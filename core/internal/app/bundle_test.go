// SPDX-License-Identifier: Apache-2.0

package app

import (
	"testing"

	"github.com/dify-sso/dify-sso/pkg/bundle"
	"github.com/dify-sso/dify-sso/pkg/secret"
)

// What a bundle shows is judged by the kind of a setting and never by how its value looks.
func TestBundleShowsListedSettingsAlone(t *testing.T) {
	cfg, usual := Defaults(), Defaults()
	cfg.RedisKeyPrefix, cfg.RedisMasterName, cfg.LogLevel = "4711", "true", "debug"
	cfg.SecretKey, cfg.OAuthTTLDays = secret.New("90210"), 77
	shown := map[string]string{}
	for _, s := range bundle.Settings(&cfg, &usual) {
		shown[s.Key] = s.Value
	}
	for _, key := range []string{"REDIS_KEY_PREFIX", "REDIS_MASTER_NAME", "SECRET_KEY"} {
		if value, known := shown[key]; !known || value != "" {
			t.Errorf("%s is shown as %q", key, value)
		}
	}
	for key, want := range map[string]string{"LOG_LEVEL": "debug", "OAUTH_TTL_DAYS": "77", "REDIS_MODE": "single"} {
		if shown[key] != want {
			t.Errorf("%s is shown as %q, want %q", key, shown[key], want)
		}
	}
}
