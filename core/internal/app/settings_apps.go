// SPDX-License-Identifier: Apache-2.0

package app

import (
	"strings"
	"time"

	"github.com/dify-sso/dify-sso/pkg/config"
	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/pkg/settings"
)

// judgeApps checks what says how apps run.
func (s *Settings) judgeApps(problems *config.Problems) {
	for key, d := range map[string]time.Duration{
		"RUNTIME_CONNECT_TIMEOUT": s.RuntimeConnectTimeout, "RUNTIME_HEADER_TIMEOUT": s.RuntimeHeaderTimeout, "RUNTIME_IDLE_TIMEOUT": s.RuntimeIdleTimeout,
		"RUN_MAX_DURATION": s.RunMaxDuration, "RUN_BLOCKING_TIMEOUT": s.RunBlockingTimeout,
	} {
		if d <= 0 {
			problems.Add(key, "must be above zero")
		}
	}
	if err := egress.RuntimeHosts(s.RuntimeAllowedHosts); err != nil {
		problems.Add("RUNTIME_ALLOWED_HOSTS", "must be a comma list of hosts, addresses and CIDRs, each of the first two with a port or without")
	}
	settings.Within(problems, "RUN_RETENTION_DAYS", s.RunRetentionDays, 1, 3650)
	settings.Within(problems, "APP_DEFAULT_ACTIVE_REQUESTS", s.DefaultActiveRequests, 0, 1_000_000)
	settings.Within(problems, "APP_MAX_ACTIVE_REQUESTS", s.MaxActiveRequests, 0, 1_000_000)
	for key, n := range map[string]int{
		"UPLOAD_FILE_SIZE_LIMIT": s.UploadFileLimit, "UPLOAD_IMAGE_FILE_SIZE_LIMIT": s.UploadImageLimit,
		"UPLOAD_AUDIO_FILE_SIZE_LIMIT": s.UploadAudioLimit, "UPLOAD_VIDEO_FILE_SIZE_LIMIT": s.UploadVideoLimit,
	} {
		settings.Within(problems, key, n, 1, 1024)
	}
}

// judgeImports checks what reaches the runtime that makes new apps.
func (s *Settings) judgeImports(problems *config.Problems) {
	switch {
	case s.DSLImportRuntime == "" && !s.DSLImportKey.IsZero():
		problems.Add("DSL_IMPORT_RUNTIME", "must be the address of the runtime that DSL_IMPORT_KEY is for")
	case s.DSLImportRuntime != "" && s.DSLImportKey.IsZero():
		problems.Add("DSL_IMPORT_KEY", "must be what the runtime of DSL_IMPORT_RUNTIME takes imports by")
	case strings.ContainsFunc(s.DSLImportKey.Reveal(), func(c rune) bool { return c <= ' ' || c > '~' }):
		problems.Add("DSL_IMPORT_KEY", "must be printable ASCII without spaces")
	}
	if s.DSLImportRuntime == "" || s.Public == nil {
		return
	}
	client, err := s.client(Options{Now: time.Now})
	if err != nil {
		return // other settings have said so
	}
	if err := client.Acceptable(s.DSLImportRuntime); err != nil {
		problems.Add("DSL_IMPORT_RUNTIME", "%s", err)
	}
}
