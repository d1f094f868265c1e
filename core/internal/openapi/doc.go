// SPDX-License-Identifier: Apache-2.0

// Package openapi describes an HTTP API as an OpenAPI 3.1 document: the parts of the
// document as Go types, and JSON Schemas (draft 2020-12) by reflection from the types
// that handlers read and write. It knows no route; core/internal/httpapi fills it from
// its table.
//
// A member's name is its json tag. Beside it a field may say more of itself:
//
//	doc:"a sentence"          what it means
//	api:"required"            a request without it is refused; required=json and
//	                          required=form say so of one content type alone
//	api:"format=date-time"    a format of JSON Schema
//	api:"enum=a|b"            the values that it takes
//	api:"min=1;max=255"       bounds: of a text's length, or of a number
//	api:"pattern=^[a-z]+$"    a regular expression without a semicolon
//	api:"default=100"         what stands for an absent member of a request
//
// In an answer every member is there unless its tag says omitempty, and a pointer may be
// null. In a request a member is optional unless it is said to be required.
package openapi
