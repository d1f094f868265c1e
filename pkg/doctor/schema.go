// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"

	"github.com/dify-sso/dify-sso/pkg/schema"
	"github.com/dify-sso/dify-sso/pkg/seal"
)

// JudgeSchema compares the database with this program. migrate is what an operator types,
// embedded whether a start does it by itself.
func JudgeSchema(s schema.Status, err error, migrate string, embedded bool) []Finding {
	var f finds
	fit := s.Check()
	switch {
	case err != nil:
		f.fail(Schema, "See the check of the database.", "The version of the schema could not be read%s.", because(err))
	case errors.Is(fit, schema.ErrNewer):
		f.fail(Schema, "Start the version that wrote it, or a later one.", "The schema is at version %d, and this program knows %d: it does not start.", s.Current, s.Target)
	case errors.Is(fit, schema.ErrOlder) && embedded:
		f.warn(Schema, "Start the service, which applies them; back up first.", "%d migrations are pending.", s.Pending)
	case errors.Is(fit, schema.ErrOlder):
		f.fail(Schema, "Run "+migrate+".", "%d migrations are pending, and this program does not start before.", s.Pending)
	default:
		f.ok(Schema, "The schema is at version %d, and nothing is pending.", s.Current)
	}
	return f
}

// ErrNoCanary: nothing has started on the database yet.
var ErrNoCanary = errors.New("doctor: the database has no canary yet")

// JudgeCanary says whether our keys are those of the database. previous: it is the former
// SECRET_KEY that fits; rotate is what ends a rotation.
func JudgeCanary(previous bool, err error, rotate string) []Finding {
	var f finds
	switch {
	case errors.Is(err, ErrNoCanary):
		f.skip(KeysCanary, "No service has started on this database yet: the first one makes these keys its keys.")
	case errors.Is(err, seal.ErrOpen):
		f.fail(KeysCanary, "Restore the former sealing key, below the new line if both are wanted.", "No sealing key of this process opens what the database holds.")
	case errors.Is(err, seal.ErrCanary):
		f.fail(KeysCanary, "Give every process the same SECRET_KEY; to change it, name the former one with SECRET_KEY_PREVIOUS_FILE.", "SECRET_KEY of this process is not that of the database.")
	case err != nil:
		f.fail(KeysCanary, "See the check of the database, and the files of the keys.", "The keys could not be compared with the database%s.", because(err))
	case previous:
		f.warn(KeysCanary, "Run "+rotate+" once every process has the new key.", "The database is still under the former SECRET_KEY: a rotation waits for its end.")
	default:
		f.ok(KeysCanary, "SECRET_KEY and the sealing keys are those of the database.")
	}
	return f
}

// JudgeSealing looks at how many sealing keys there are.
func JudgeSealing(ids []string, rotate string) []Finding {
	var f finds
	switch len(ids) {
	case 0:
		f.skip(KeysSealing, "There is no sealing key to look at.")
	case 1:
		f.ok(KeysSealing, "There is one sealing key.")
	default:
		f.ok(KeysSealing, "There are %d sealing keys, and the first seals. When %s has run, copies made before are all that needs the others.", len(ids), rotate)
	}
	return f
}
