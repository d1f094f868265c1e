// SPDX-License-Identifier: Apache-2.0

// Package idpsource owns where the facts of identity providers come from: having the
// metadata of SAML fetched, refreshing it, applying what adds and holding what takes away
// until a person has decided. What was good last serves without limit. It knows no HTTP;
// package idpfetch reads the addresses. Discovery documents of OpenID providers are read
// by package oidcrp and are pinned and held here.
package idpsource
