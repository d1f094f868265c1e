// SPDX-License-Identifier: Apache-2.0

// Package wire decodes foreign bytes strictly: JSON bodies, forms and queries. What
// two readers could understand in two ways is refused: a member named twice or in
// another case, trailing data, invalid UTF-8, a repeated parameter. Refusals name the
// field and never carry its value.
package wire
