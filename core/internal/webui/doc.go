// SPDX-License-Identifier: Apache-2.0

// Package webui holds the pages of core: templates, texts in English and Chinese, one
// style sheet and one small script, all embedded, and the view models that fill them.
// It decides nothing; package httpapi says which view a request gets.
package webui
