package web_test

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is openapi.yaml. It is read once; schemas are compiled when they are
// first needed.
type document struct {
	root map[string]any

	mu       sync.Mutex
	compiler *jsonschema.Compiler
}

var readDocument = sync.OnceValues(func() (*document, error) {
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return nil, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", root); err != nil {
		return nil, err
	}
	return &document{root: root.(map[string]any), compiler: compiler}, nil
})

func openDocument(t *testing.T) *document {
	t.Helper()
	d, err := readDocument()
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	return d
}

// at walks the keys, following references; nil when there is nothing. where is
// the JSON pointer of what was found.
func (d *document) at(keys ...string) (node map[string]any, where string) {
	node = d.root
	for _, key := range keys {
		next, ok := node[key].(map[string]any)
		if !ok {
			return nil, ""
		}
		node, where = next, where+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		if ref, ok := node["$ref"].(string); ok && !strings.HasPrefix(ref, "#/components/schemas/") {
			node, where = d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	return node, where
}

// check validates JSON against the schema at the pointer.
func (d *document) check(t *testing.T, where, what string, body []byte) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Errorf("%s is no JSON: %v: %.200s", what, err, body)
		return
	}
	d.checkValue(t, where, what, value)
}

func (d *document) checkValue(t *testing.T, where, what string, value any) {
	t.Helper()
	d.mu.Lock()
	schema, err := d.compiler.Compile("openapi.json#" + where)
	d.mu.Unlock()
	if err != nil {
		t.Fatalf("openapi.yaml: %s: %v", where, err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s is not as openapi.yaml says at %s: %v", what, where, err)
	}
}

// template finds the path of the document that a URL path stands for.
func (d *document) template(path string) string {
	paths, _ := d.at("paths")
	if paths[path] != nil {
		return path
	}
	for template := range paths {
		pattern := regexp.MustCompile(`\\\{[a-z_]+\\\}`).ReplaceAllString(regexp.QuoteMeta(template), `[^/]+`)
		if regexp.MustCompile("^" + pattern + "$").MatchString(path) {
			return template
		}
	}
	return ""
}

// checkExchange validates a request that was accepted, and any answer.
func (d *document) checkExchange(t *testing.T, method, path string, body []byte, got answer) {
	t.Helper()
	template := d.template(path)
	operation, _ := d.at("paths", template, strings.ToLower(method))
	if operation == nil {
		if got.status != http.StatusUnauthorized && got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed &&
			got.status != http.StatusTooManyRequests && got.status != http.StatusServiceUnavailable {
			t.Errorf("%s %s: %d, but openapi.yaml does not have it", method, path, got.status)
		}
		_, where := d.at("components", "schemas", "Error")
		d.check(t, where, method+" "+path+": the answer", got.body)
		return
	}
	what := method + " " + path + ": " + strconv.Itoa(got.status)
	if got.status/100 == 2 && body != nil {
		_, schema := d.at("paths", template, strings.ToLower(method), "requestBody", "content", "application/json", "schema")
		if schema == "" {
			t.Errorf("%s: a body was accepted that openapi.yaml does not have", what)
			return
		}
		d.check(t, schema, what+": the request", body)
	}
	d.checkAnswer(t, what, got, "paths", template, strings.ToLower(method), "responses", strconv.Itoa(got.status))
}

func (d *document) checkAnswer(t *testing.T, what string, got answer, keys ...string) {
	t.Helper()
	response, _ := d.at(keys...)
	if response == nil {
		t.Errorf("%s is not among the answers of openapi.yaml: %s", what, got.body)
		return
	}
	headers, _ := d.at(append(slices.Clone(keys), "headers")...)
	for name := range headers {
		if got.header.Get(name) == "" {
			t.Errorf("%s: header %s is missing", what, name)
			continue
		}
		_, schema := d.at(append(slices.Clone(keys), "headers", name, "schema")...)
		d.checkValue(t, schema, what+": header "+name, got.header.Get(name))
	}
	content, _ := d.at(append(slices.Clone(keys), "content")...)
	if len(content) == 0 {
		if len(got.body) > 0 {
			t.Errorf("%s: has a body, and openapi.yaml has none: %s", what, got.body)
		}
		return
	}
	media, _, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil || content[media] == nil {
		t.Errorf("%s: Content-Type %q is not in openapi.yaml", what, got.header.Get("Content-Type"))
		return
	}
	if media == "application/json" {
		_, schema := d.at(append(slices.Clone(keys), "content", media, "schema")...)
		d.check(t, schema, what+": the answer", got.body)
	}
}

var routeParameter = regexp.MustCompile(`:([a-z_]+)`)

func TestOpenAPI_ListsWhatIsServed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	engine, ok := s.server.Handler().(*gin.Engine)
	if !ok {
		t.Fatalf("the handler is a %T, so its routes cannot be listed", s.server.Handler())
	}
	served := make(map[string]bool)
	for _, r := range engine.Routes() {
		served[r.Method+" "+routeParameter.ReplaceAllString(r.Path, "{$1}")] = true
	}
	documented := make(map[string]bool)
	paths, _ := s.doc.at("paths")
	for path := range paths {
		item, _ := s.doc.at("paths", path)
		for method := range item {
			if method != "parameters" {
				documented[strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	for route := range served {
		if !documented[route] {
			t.Errorf("%s is served, but not in openapi.yaml", route)
		}
	}
	for route := range documented {
		if !served[route] {
			t.Errorf("%s is in openapi.yaml, but not served", route)
		}
	}
}

func TestOpenAPI_EveryOperationIsComplete(t *testing.T) {
	t.Parallel()
	d := openDocument(t)
	names := make(map[any]string)
	paths, _ := d.at("paths")
	for path := range paths {
		item, _ := d.at("paths", path)
		for method := range item {
			if method == "parameters" {
				continue
			}
			operation, _ := d.at("paths", path, method)
			name := method + " " + path
			for _, field := range []string{"operationId", "summary", "tags", "responses"} {
				if operation[field] == nil {
					t.Errorf("%s has no %s", name, field)
				}
			}
			if other := names[operation["operationId"]]; other != "" {
				t.Errorf("%s has the operationId of %s", name, other)
			}
			names[operation["operationId"]] = name
			_, where := d.at("paths", path, method, "responses", "401")
			if open := operation["security"] != nil; open == strings.HasPrefix(path, "/api") || open != (where == "") {
				t.Errorf("%s: every call of /api, and no other, needs the token and may answer 401", name)
			}
			if strings.Contains(path, "{") && item["parameters"] == nil {
				t.Errorf("%s does not declare its parameter", name)
			}
		}
	}
}

// Every example is valid against the schema that stands beside it.
func TestOpenAPI_ExamplesAreValid(t *testing.T) {
	t.Parallel()
	d := openDocument(t)
	n := 0
	var walk func(node any, where string)
	walk = func(node any, where string) {
		switch v := node.(type) {
		case []any:
			for i, item := range v {
				walk(item, where+"/"+strconv.Itoa(i))
			}
		case map[string]any:
			if example, ok := v["example"]; ok && v["schema"] != nil {
				n++
				d.checkValue(t, where+"/schema", "the example", example)
			}
			if examples, ok := v["examples"].(map[string]any); ok {
				for name, example := range examples {
					n++
					d.checkValue(t, where+"/schema", "the example "+name, example.(map[string]any)["value"])
				}
			}
			for key, child := range v {
				if key != "example" && key != "examples" {
					walk(child, where+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
				}
			}
		}
	}
	walk(d.root, "")
	if n < 10 {
		t.Errorf("only %d examples were found", n)
	}
}

// The document that is served is the one that is tested.
func TestOpenAPI_IsServed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	got := s.call("GET", "/api/v1/openapi.yaml", "").want(http.StatusOK)
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.body, raw) {
		t.Error("the served document is not openapi.yaml")
	}
	var parsed struct {
		OpenAPI string `json:"openapi"`
	}
	asJSON, err := yaml.YAMLToJSON(got.body)
	if err == nil {
		err = json.Unmarshal(asJSON, &parsed)
	}
	if err != nil || parsed.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q, %v; want 3.1.0", parsed.OpenAPI, err)
	}
}
