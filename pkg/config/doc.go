// SPDX-License-Identifier: Apache-2.0

// Package config fills a struct of settings from a YAML file, the environment and
// flags, the last winning, and reports every problem at once by the key's name.
// Defaults are what the struct holds before. A secret is also read from the file that
// KEY_FILE names, and is taken out of the environment once it has been read.
//
// The loader reflects over one flat struct: that is shorter than bending a general
// library to "defaults in code, YAML before environment, all problems together".
package config
