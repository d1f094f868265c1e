// SPDX-License-Identifier: Apache-2.0

package main

import (
	"html/template"
	"strings"
)

// pageData is what the page of a protocol shows. Fields are hidden ones: a request that
// came by post is not in the address.
type pageData struct {
	People []person
	Fields map[string]string
	SAML   bool
}

// page has one button for each person. The form has no action, so it is posted to the
// address of the request, whose query says where to go.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>devidp: who are you?</title>
<style>body{font:16px/1.5 sans-serif;max-width:36rem;margin:2rem auto;padding:0 1rem}button{font:inherit;width:12rem;margin:.2rem 1rem .2rem 0}</style>
<h1>Who are you?</h1>
<p>A provider for development. Nobody is asked for a password.</p>
<form method="post">
{{range $name, $value := .Fields}}<input type="hidden" name="{{$name}}" value="{{$value}}">
{{end}}{{range .People}}<div><button name="person" value="{{.Key}}">{{.Name}}</button>{{if and $.SAML .AboutSAML}}{{.AboutSAML}}{{else}}{{.About}}{{end}}</div>
{{end}}</form>
</html>
`))

// answerPage posts an answer to a consumer service (SAML bindings section 3.5).
var answerPage = template.Must(template.New("answer").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>devidp: back to the service</title>
<form method="post" action="{{.To}}">
<input type="hidden" name="SAMLResponse" value="{{.Response}}">
{{if .RelayState}}<input type="hidden" name="RelayState" value="{{.RelayState}}">
{{end}}<button>Continue</button>
</form>
<script nonce="{{.Nonce}}">document.forms[0].submit()</script>
</html>
`))

// AboutSAML is what the page of SAML says of a person, where that differs.
func (p person) AboutSAML() string { return p.aboutSAML }

// Name is what the page calls a person.
func (p person) Name() string {
	name, _ := p.claims["name"].(string)
	return name
}

func splitScope(scope string) []string { return strings.Fields(scope) }
