// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"slices"
)

// samePeople reports whether two configurations take the same thing for a person's id.
func samePeople(a, b Config) bool {
	return a.Claims.Subject == b.Claims.Subject && slices.Equal(a.subjectFormats(), b.subjectFormats())
}

// subjectFormats are those that a NameID as the subject may have, sorted.
func (c Config) subjectFormats() []string {
	if c.SAML == nil {
		return nil
	}
	return slices.Sorted(slices.Values(c.SAML.SubjectFormats))
}

// keepsPeople refuses an edit that, once it serves, would make new people of those who
// have signed in. What the head has had accepted is not asked again.
func (e edit) keepsPeople(ctx context.Context, tx Tx) error {
	if e.anew || e.before.Serving == "" || e.before.Head == e.to.hash {
		return nil
	}
	for _, hash := range []string{e.before.Serving, e.before.Head} {
		had, err := stored(ctx, tx, e.before.ID, hash)
		if err != nil || samePeople(had.Config, e.to.config) {
			return err
		}
	}
	return ErrSubjectChanges
}
