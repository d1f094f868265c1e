// SPDX-License-Identifier: Apache-2.0

// Package datadir owns the directory in which an embedded installation keeps what
// lasts: the database file, the keys that are made on first start, and the lock that
// keeps a second server out. What is in the files belongs to others.
package datadir
