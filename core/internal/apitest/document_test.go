// SPDX-License-Identifier: Apache-2.0

package apitest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dify-sso/dify-sso/core/internal/apitest"
	"github.com/dify-sso/dify-sso/core/internal/httpapi"
)

// TestMain fails a run in which an exchange did not fit the API's document and whose
// sender took the error for one that it waited for.
func TestMain(m *testing.M) {
	code := m.Run()
	if misfits := apitest.Misfits(); len(misfits) > 0 {
		for _, misfit := range misfits {
			fmt.Fprintln(os.Stderr, misfit)
		}
		code = max(code, 1)
	}
	os.Exit(code)
}

const docPath = "/openapi/v1/openapi.json"

func docServed(t testing.TB, s *apitest.Server) []byte {
	t.Helper()
	a := s.Call(t, http.MethodGet, docPath, "")
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", a.Status, a.Header)
	}
	return []byte(a.Body)
}

// docRoutes are the routes of a table that the document describes.
func docRoutes(routes []httpapi.Route) (list []string) {
	parameter := regexp.MustCompile(`:([a-z_]+)`)
	for _, r := range routes {
		if httpapi.InDocument(r.Path) {
			list = append(list, r.Method+" "+parameter.ReplaceAllString(r.Path, "{$1}"))
		}
	}
	slices.Sort(list)
	return list
}

func TestDocumentOfTheAPI(t *testing.T) {
	s := apitest.Start(t, unlimited(), apitest.Set("CONSOLE_API_URL", "https://sso.example.com"))
	raw := docServed(t, s)
	contract, err := apitest.NewContract(raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("M-27 it lists exactly the routes of the edition", func(t *testing.T) {
		if got := contract.Routes(); len(got) < 25 {
			t.Errorf("%d routes", len(got))
		}
		if diff := cmp.Diff(docRoutes(httpapi.Routes()), contract.Routes()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("M-27 so it does in the Enterprise Edition", func(t *testing.T) {
		contract, err := apitest.NewContract(docServed(t, apitest.Start(t, unlimited(), apitest.Enterprise(t))))
		if err != nil {
			t.Fatal(err)
		}
		own := docRoutes(httpapi.EnterpriseRoutes())
		if diff := cmp.Diff(docRoutes(slices.Concat(httpapi.Routes(), httpapi.EnterpriseRoutes())), contract.Routes()); diff != "" || len(own) < 2 {
			t.Errorf("%v %s", own, diff)
		}
	})
	t.Run("M-27 its examples fit what they are examples of, and no operation lacks one", func(t *testing.T) {
		whole, err := httpapi.Document(&url.URL{Scheme: "http", Host: "x"}, apitest.Version, true)
		if err != nil {
			t.Fatal(err)
		}
		contract, err := apitest.NewContract(whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range contract.Examples("meta", "oauth", "account", "apps", "permitted-external-apps", "workspaces", "console") {
			t.Error(problem)
		}
	})
	t.Run("M-27 it names this installation and nothing of the request", func(t *testing.T) {
		again := s.Call(t, http.MethodGet, docPath, "", "Host", "evil.example", "X-Forwarded-Host", "evil.example")
		if again.Body != string(raw) {
			t.Error("it differs from request to request")
		}
		var doc struct {
			Info       struct{ Version string }
			Servers    []struct{ URL string }
			Components struct {
				SecuritySchemes map[string]struct{ Name string }
			}
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Info.Version != "1.14.2+"+apitest.Version || len(doc.Servers) != 1 || doc.Servers[0].URL != "https://sso.example.com" ||
			doc.Components.SecuritySchemes["consoleSession"].Name != "__Host-console_session" {
			t.Errorf("%+v", doc)
		}
	})
}

// What the checker of every suite refuses: a real exchange, changed in one place.
func TestExchangesThatDoNotFit(t *testing.T) {
	s := apitest.Start(t, unlimited())
	contract, err := apitest.NewContract(docServed(t, s))
	if err != nil {
		t.Fatal(err)
	}
	start := s.Call(t, http.MethodPost, codePath, htStart, "Content-Type", "application/json")
	good := func() apitest.Exchange {
		return apitest.Exchange{Method: http.MethodPost, URL: &url.URL{Path: codePath}, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(htStart),
			Status: start.Status, Answer: start.Header.Clone(), AnswerBody: []byte(start.Body)}
	}
	token, _ := s.SignInDevice(t, s.SignedIn(t), "box")
	list := s.Bearer(t, token, http.MethodGet, htSessions+"?limit=7")
	listed := func() apitest.Exchange {
		return apitest.Exchange{Method: http.MethodGet, URL: &url.URL{Path: htSessions, RawQuery: "limit=7"}, Status: list.Status, Answer: list.Header.Clone(), AnswerBody: []byte(list.Body)}
	}
	replace := func(old, fresh string) func(e *apitest.Exchange) {
		return func(e *apitest.Exchange) {
			if !strings.Contains(string(e.AnswerBody), old) {
				t.Fatalf("no %s in %s", old, e.AnswerBody)
			}
			e.AnswerBody = []byte(strings.Replace(string(e.AnswerBody), old, fresh, 1))
		}
	}
	fails := func(status int, body string) func(e *apitest.Exchange) {
		return func(e *apitest.Exchange) { e.Status, e.AnswerBody = status, []byte(body) }
	}
	for _, tc := range []struct {
		name   string
		of     func() apitest.Exchange
		change func(e *apitest.Exchange)
		want   string // part of the complaint; empty: none
	}{
		{"the exchange as it was", good, func(*apitest.Exchange) {}, ""},
		{"another as it was", listed, func(*apitest.Exchange) {}, ""},
		{"HEAD of it, without a body", listed, func(e *apitest.Exchange) { e.Method, e.AnswerBody = http.MethodHead, nil }, ""},
		{"a member more in the answer", good, replace(`{`, `{"secret":1,`), "additional properties 'secret'"},
		{"a member less", good, replace(`"interval"`, `"intervall"`), "missing property 'interval'"},
		{"a number as text", good, replace(`"expires_in":900`, `"expires_in":"900"`), "got string, want integer"},
		{"null for a list", listed, func(e *apitest.Exchange) {
			e.AnswerBody = []byte(`{"page":1,"limit":7,"total":0,"has_more":false,"data":null}`)
		}, "got null, want array"},
		{"a time with a zone", listed, replace(`"expires_at":"2`, `"expires_at":"x2`), "not valid date-time"},
		{"an unknown value of a set", listed, replace(`"account"`, `"robot"`), "value must be one of"},
		{"another content type", good, func(e *apitest.Exchange) { e.Answer.Set("Content-Type", "text/html") }, "content type"},
		{"an answer that is no JSON", good, fails(200, "fine"), "no JSON"},
		{"an unknown success", good, fails(202, "{}"), "lists no 202"},
		{"an unknown refusal", good, fails(409, `{"code":"conflict","message":"x","status":409,"error":"invalid_request"}`), "lists no 409"},
		{"an unknown verdict", good, fails(400, `{"error":"access_denied"}`), "value must be one of"},
		{"a failure that lacks the protocol's word", good, fails(415, `{"code":"unsupported_media_type","message":"x","status":415}`), "missing property 'error'"},
		{"a status that is not the body's", good, fails(415, `{"code":"unsupported_media_type","message":"x","status":400,"error":"invalid_request"}`), "value must be 415"},
		{"an unknown code", listed, fails(500, `{"code":"go_away","message":"x","status":500}`), "value must be 'internal_server_error'"},
		{"no challenge", listed, fails(401, `{"code":"invalid_token","message":"x","status":401}`), "WWW-Authenticate is missing"},
		{"an unknown route", listed, func(e *apitest.Exchange) { e.URL.Path = "/openapi/v1/secrets" }, "does not list this route"},
		{"another method", listed, func(e *apitest.Exchange) { e.Method = http.MethodPut }, "does not list this route"},
		{"an unknown route that is not there", listed, func(e *apitest.Exchange) {
			e.URL.Path, e.Status, e.AnswerBody = "/openapi/v1/secrets", 404, []byte(`{"code":"not_found","message":"x","status":404}`)
		}, ""},
		{"a request without what it needs", good, func(e *apitest.Exchange) { e.Body = []byte(`{"client_id":"difyctl"}`) }, "missing property 'device_label'"},
		{"a request of the wrong type", good, func(e *apitest.Exchange) { e.Body = []byte(`{"client_id":"difyctl","device_label":7}`) }, "got number, want string"},
		{"a refused request of the wrong type", good, func(e *apitest.Exchange) {
			e.Body, e.Status, e.AnswerBody = []byte(`7`), 400, []byte(`{"code":"bad_request","message":"x","status":400,"error":"invalid_request"}`)
		}, ""},
		{"a form without its grant type", good, func(e *apitest.Exchange) {
			e.Header.Set("Content-Type", "text/plain")
		}, "content type"},
		{"a query out of bounds", listed, func(e *apitest.Exchange) { e.URL.RawQuery = "limit=201" }, "the query's limit"},
		{"a query that is no number", listed, func(e *apitest.Exchange) { e.URL.RawQuery = "page=x" }, "the query's page"},
	} {
		t.Run("M-27 "+tc.name, func(t *testing.T) {
			e := tc.of()
			tc.change(&e)
			err := contract.Check(e)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, wanted %q", err, tc.want)
			}
		})
	}
	t.Run("M-27 what is absent from a request is what the document says", func(t *testing.T) {
		if got := s.Bearer(t, token, http.MethodGet, htSessions).JSON(t); got["page"] != 1.0 || got["limit"] != 100.0 {
			t.Errorf("%v", got)
		}
	})
}

// A document with a stream, a choice and a file, as rows of apps describe themselves.
const docOfStreams = `{"openapi":"3.1.1","info":{"title":"x","version":"1"},"components":{},"paths":{"/openapi/v1/run":{"post":{"tags":["apps"],"summary":"s","operationId":"a","security":[],
	"responses":{"200":{"description":"OK","content":{"text/event-stream":{"schema":{"type":"string"},"example":"data: {\"event\":\"x\"}\n\n"},
		"application/json":{"schema":{"type":"object"},"example":7}}}}}},
	"/openapi/v1/upload":{"post":{"tags":["apps"],"summary":"s","operationId":"b","security":[],"requestBody":{"required":true,"content":{"multipart/form-data":{"schema":
		{"type":"object","required":["file"],"properties":{"file":{"type":"string"}}}}}},"responses":{"201":{"description":"Created","content":{"application/json":{"schema":{}}}}}}}}}`

func TestStreamsAndFilesAreChecked(t *testing.T) {
	contract, err := apitest.NewContract([]byte(docOfStreams))
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(path, media string, status int, sent string, header ...string) apitest.Exchange {
		e := apitest.Exchange{Method: http.MethodPost, URL: &url.URL{Path: "/openapi/v1/" + path}, Header: http.Header{}, Body: []byte(sent), Status: status, Answer: http.Header{"Content-Type": {media}}}
		if len(header) > 0 {
			e.Header.Set("Content-Type", header[0])
		}
		if media == "application/json" {
			e.AnswerBody = []byte(`{}`)
		}
		return e
	}
	part := func(name string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"x\"\r\n\r\n\xff\r\n--b--\r\n"
	}
	const many = "multipart/form-data; boundary=b"
	for _, tc := range []struct {
		name string
		e    apitest.Exchange
		want string
	}{
		{"a stream where one is described", exchange("run", "text/event-stream", 200, ""), ""},
		{"JSON in its place", exchange("run", "application/json", 200, ""), ""},
		{"a stream where none is described", exchange("upload", "text/event-stream", 201, part("file"), many), "content type"},
		{"a file", exchange("upload", "application/json", 201, part("file"), many), ""},
		{"a part of another name", exchange("upload", "application/json", 201, part("files"), many), "missing property 'file'"},
		{"no multipart", exchange("upload", "application/json", 201, "file=x", many), "missing property 'file'"},
	} {
		t.Run("M-27 "+tc.name, func(t *testing.T) {
			switch err := contract.Check(tc.e); {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, wanted %q", err, tc.want)
			}
		})
	}
	t.Run("M-27 an example that does not fit, and one that is missing", func(t *testing.T) {
		got := strings.Join(contract.Examples("apps"), "\n")
		if !strings.Contains(got, "run/post/responses/200/content/application~1json") || !strings.Contains(got, "upload/post/responses/201/content/application~1json: has no example") ||
			strings.Contains(got, "event-stream") || strings.Contains(got, "multipart") {
			t.Error(got)
		}
		if got := contract.Examples(); len(got) != 1 {
			t.Error(got)
		}
	})
}

func TestEventsAreCheckedAsTheyAreRead(t *testing.T) {
	for _, tc := range []struct{ name, stream, want string }{
		{"whole ones", "data: {\"event\":\"message\",\"answer\":\"a\"}\n\nevent: ping\n\ndata: {\"event\":\"error\",\"status\":502}\n\n", ""},
		{"none", "", ""},
		{"the last without its blank line", "data: {\"event\":\"message\"}\n", "ends within an event"},
		{"no JSON", "data: hello\n\n", "no JSON object"},
		{"no name", "data: {}\n\n", "with its name"},
		{"a status that is a text", "data: {\"event\":\"error\",\"status\":\"502\"}\n\n", "no JSON object"},
		{"two lines", "data: {\"event\":\"x\"}\ndata: {}\n\n", "no line of data"},
		{"a comment", ": hi\n\n", "no line of data"},
	} {
		t.Run("M-27 "+tc.name, func(t *testing.T) {
			if err := apitest.CheckEvents(strings.NewReader(tc.stream)); tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, wanted %q", err, tc.want)
			}
		})
	}
}
