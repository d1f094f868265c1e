// SPDX-License-Identifier: Apache-2.0

// Package audit is the one stream of events that say who did what. An event that
// belongs to a change is appended in the change's own transaction and repeated in
// the log once that has committed; one that merely tells goes to the log at once
// and to the table in batches. The code only appends: no statement of the product
// updates an event, and the one of "core audit prune" alone deletes any.
package audit
