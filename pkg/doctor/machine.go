// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/config"
)

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// JudgeSettings lists what a start would warn of.
func JudgeSettings(warnings []string) []Finding {
	var f finds
	for _, w := range warnings {
		f.warn(Settings, "Change the setting, or leave it where you mean it.", "%s", w)
	}
	if len(f) == 0 {
		f.ok(Settings, "The settings hold.")
	}
	return f
}

// SettingProblems are the findings of settings that do not load.
func SettingProblems(err error) []Finding {
	var f finds
	problems, ok := errors.AsType[config.Problems](err)
	for _, p := range problems {
		f.fail(Settings, "Correct it; config check says the same.", "%s: %s", p.Key, p.Text)
	}
	if !ok {
		f.fail(Settings, "See the path, and that this user may read it.", "%s", err)
	}
	return f
}

// JudgeProxies sees whether addresses of clients can be told apart. secure: the service
// ends TLS itself.
func JudgeProxies(public *url.URL, setting string, trusted int, secure bool) []Finding {
	var f finds
	switch {
	case trusted > 0:
		f.ok(Proxies, "X-Forwarded-For counts from the networks of TRUSTED_PROXIES.")
	case public.Scheme == "https" && !secure && !local(public.Hostname()):
		f.warn(Proxies, "Set TRUSTED_PROXIES to the networks of the proxies, and to no more.",
			"%s is https and TRUSTED_PROXIES is empty: all clients share the address of the proxy that ends TLS, its rate limits and its place in the audit trail.", setting)
	default:
		f.ok(Proxies, "No proxy is in front, so X-Forwarded-For does not count.")
	}
	return f
}

// JudgeDataDir looks at the directory that only one service may read.
func JudgeDataDir(path string, space func(path string) (free uint64, ok bool)) []Finding {
	var f finds
	if path == "" {
		f.skip(DataDirectory, "Nothing is kept in DATA_DIR: DATABASE_URL is set.")
		f.skip(DataSpace, "Nothing is kept in DATA_DIR: DATABASE_URL is set.")
		return f
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.warn(DataDirectory, "Start the service, which makes it; or name the right one with --data-dir.", "DATA_DIR does not exist yet.")
		return f
	case err != nil:
		f.fail(DataDirectory, "Call doctor as the user who runs the service.", "DATA_DIR cannot be read by this user.")
		return f
	case !info.IsDir():
		f.fail(DataDirectory, "Name a directory.", "DATA_DIR is no directory.")
		return f
	case info.Mode().Perm()&0o002 != 0:
		f.fail(DataDirectory, "chmod 700 it.", "Every user of this machine may write to DATA_DIR (mode %04o), and it holds the keys.", info.Mode().Perm())
	case info.Mode().Perm()&0o005 != 0: // the files themselves are their user's alone
		f.warn(DataDirectory, "chmod 700 it (StateDirectoryMode=0700 in a unit).", "Every user of this machine may look into DATA_DIR (mode %04o).", info.Mode().Perm())
	case info.Mode().Perm()&0o020 != 0:
		f.warn(DataDirectory, "chmod 700 it.", "A group may write to DATA_DIR (mode %04o).", info.Mode().Perm())
	default:
		f.ok(DataDirectory, "DATA_DIR belongs to its user.")
	}
	judgeSpace(&f, path, space)
	return f
}

// How much room is little: a backup needs room for a second database.
const (
	mib       = 1 << 20
	spaceFail = 64 * mib
	spaceWarn = 1024 * mib
)

func judgeSpace(f *finds, path string, space func(path string) (uint64, bool)) {
	const next = "Make room, or move DATA_DIR to a larger file system."
	switch free, ok := space(path); {
	case !ok:
		f.skip(DataSpace, "This system does not tell how much room there is.")
	case free < spaceFail:
		f.fail(DataSpace, next, "%d MiB are left on the file system of DATA_DIR.", free/mib)
	case free < spaceWarn:
		f.warn(DataSpace, next, "%d MiB are left on the file system of DATA_DIR.", free/mib)
	default:
		f.ok(DataSpace, "%d MiB are left on the file system of DATA_DIR.", free/mib)
	}
}

// SecretFiles gives the files that hold secrets, by setting: those that settings name, and
// those that KEY_FILE of the environment names for a secret.
func SecretFiles(cfg any, environ []string, named map[string]string) map[string]string {
	files := map[string]string{}
	for key, path := range named {
		if path != "" {
			files[key] = path
		}
	}
	for _, field := range config.Fields(cfg) {
		if !field.Secret {
			continue
		}
		for _, pair := range environ {
			if path, ok := strings.CutPrefix(pair, field.Key+"_FILE="); ok && path != "" {
				files[field.Key+"_FILE"] = path
			}
		}
	}
	return files
}

// JudgeModes sees that no file of secrets is open to everybody.
func JudgeModes(files map[string]string) []Finding {
	var f finds
	for _, setting := range sorted(files) {
		info, err := os.Stat(files[setting])
		switch {
		case err != nil:
			f.fail(FilesModes, "See the path, and that this user may read it.", "The file of %s cannot be looked at.", setting)
		case info.Mode().Perm()&0o007 != 0:
			f.fail(FilesModes, "chmod 640 it, with the service's group. In a Kubernetes volume set defaultMode: 0440.", "The file of %s is open to every user of this machine (mode %04o).", setting, info.Mode().Perm())
		}
	}
	switch {
	case len(f) > 0:
	case len(files) == 0:
		f.skip(FilesModes, "No setting names a file of secrets.")
	default:
		f.ok(FilesModes, "No file of secrets is open to everybody (%s).", strings.Join(sorted(files), ", "))
	}
	return f
}

// JudgeLimit compares how many files this process may open with what a serving one needs.
func JudgeLimit(limit func() (uint64, bool), connections, database int) []Finding {
	var f finds
	// Each stream to a runtime or a provider is one more; Redis has at most 32 per server.
	need := uint64(max(connections, 0)) + uint64(max(database, 0)) + 256
	switch most, ok := limit(); {
	case !ok:
		f.skip(FilesLimit, "This system does not tell how many files a process may open.")
	case most < need:
		f.warn(FilesLimit, "Raise it (LimitNOFILE of the unit, nofile of the container's ulimits), or lower MAX_CONNECTIONS.",
			"A process here may open %d files, and MAX_CONNECTIONS=%d needs %d or more.", most, connections, need)
	default:
		f.ok(FilesLimit, "A process here may open %d files, and MAX_CONNECTIONS=%d needs %d or more.", most, connections, need)
	}
	return f
}
