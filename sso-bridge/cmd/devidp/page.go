// SPDX-License-Identifier: Apache-2.0

package main

import (
	"html/template"
	"strings"
)

// page has one button for each person. The form has no action, so it is posted to the
// address of the authorization request, whose query says where to go.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>devidp: who are you?</title>
<style>body{font:16px/1.5 sans-serif;max-width:36rem;margin:2rem auto;padding:0 1rem}button{font:inherit;width:12rem;margin:.2rem 1rem .2rem 0}</style>
<h1>Who are you?</h1>
<p>A provider for development. Nobody is asked for a password.</p>
<form method="post">
{{range .}}<div><button name="person" value="{{.Key}}">{{.Name}}</button>{{.About}}</div>
{{end}}</form>
</html>
`))

// Name is what the page calls a person.
func (p person) Name() string {
	name, _ := p.claims["name"].(string)
	return name
}

func splitScope(scope string) []string { return strings.Fields(scope) }
