package openapi_test

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/openapi"
)

// object is a part of the document.
type object = map[string]any

// C2: the contract says what the specification says, and nothing else.
func TestDataStorageContract(t *testing.T) {
	raw, err := openapi.Files.ReadFile("datastorage.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document object
	if err := yaml.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	if document["openapi"] != "3.0.3" {
		t.Errorf("OpenAPI %v", document["openapi"])
	}
	got := map[string]string{}
	for name, s := range part(document, "components", "schemas") {
		got["schema "+name] = schemaLines(s.(object))
	}
	for path, methods := range part(document, "paths") {
		for method, o := range methods.(object) {
			got["operation "+o.(object)["operationId"].(string)] = operationLines(document, strings.ToUpper(method)+" "+path, o.(object))
		}
	}
	want := map[string]string{}
	for name, text := range specSchemas {
		want["schema "+name] = normal(text, true)
	}
	for name, text := range specOperations {
		want["operation "+name] = normal(text, false)
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s is\n%s\nbut should be\n%s", name, got[name], text)
		}
	}
	for name := range got {
		if _, known := want[name]; !known {
			t.Errorf("%s is not of the specification", name)
		}
	}
}

// normal has one space between words, and the members of a schema sorted.
func normal(text string, sorted bool) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	if sorted {
		slices.Sort(lines)
	}
	return strings.Join(lines, "\n")
}

func part(o object, path ...string) object {
	for _, name := range path {
		o, _ = o[name].(object)
	}
	return o
}

func schemaLines(s object) string {
	properties := part(s, "properties")
	if properties == nil {
		return schemaText(s)
	}
	var lines []string
	if s["additionalProperties"] == true {
		lines = append(lines, "* any")
	}
	required, _ := s["required"].([]any)
	for name, p := range properties {
		if slices.Contains(required, any(name)) {
			name += "!"
		}
		lines = append(lines, name+" "+schemaText(p.(object)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func schemaText(s object) string {
	var words []string
	add := func(word any) { words = append(words, fmt.Sprint(word)) }
	switch kind, _ := s["type"].(string); {
	case s["$ref"] != nil:
		ref := s["$ref"].(string)
		add(ref[strings.LastIndex(ref, "/")+1:])
	case kind == "array":
		add("[" + schemaText(part(s, "items")) + "]")
	case kind == "object":
		add("{" + schemaText(part(s, "additionalProperties")) + "}")
	case kind == "":
		add("any")
	default:
		add(kind)
	}
	if s["format"] != nil {
		add(s["format"])
	}
	for _, bounds := range [][2]string{{"minLength", "maxLength"}, {"minimum", "maximum"}, {"minItems", "maxItems"}, {"minProperties", "maxProperties"}} {
		low, high := s[bounds[0]], s[bounds[1]]
		if low != nil || high != nil {
			add(number(low) + ".." + number(high))
		}
	}
	if values, found := s["enum"].([]any); found {
		var texts []string
		for _, v := range values {
			texts = append(texts, fmt.Sprint(v))
		}
		add(strings.Join(texts, "|"))
	}
	if s["default"] != nil {
		add("=" + number(s["default"]))
	}
	if s["nullable"] == true {
		add("?")
	}
	return strings.Join(words, " ")
}

func number(v any) string {
	switch n := v.(type) {
	case nil:
		return ""
	case float64:
		if n == float64(int64(n)) {
			return fmt.Sprint(int64(n))
		}
	}
	return fmt.Sprint(v)
}

func operationLines(document object, where string, o object) string {
	lines := []string{where}
	var parameters []string
	list, _ := o["parameters"].([]any)
	for _, p := range list {
		p := resolved(document, p.(object))
		name := fmt.Sprint(p["name"])
		if p["required"] == true {
			name += "!"
		}
		parameters = append(parameters, fmt.Sprintf("%s %s %s", p["in"], name, schemaText(part(p, "schema"))))
	}
	sort.Strings(parameters)
	lines = append(lines, parameters...)
	if body := part(o, "requestBody"); body != nil {
		line := "body " + schemaText(part(body, "content", "application/json", "schema"))
		if body["required"] == true {
			line += " !"
		}
		lines = append(lines, line)
	}
	var problems []string
	codes := part(o, "responses")
	for _, code := range sortedNames(codes) {
		answer := resolved(document, codes[code].(object))
		content := part(answer, "content")
		kind := sortedNames(content)[0]
		if kind == "application/problem+json" {
			problems = append(problems, problemText(code, answer))
			continue
		}
		words := append([]string{code, schemaText(part(content, kind, "schema"))}, sortedNames(part(answer, "headers"))...)
		lines = append(lines, strings.Join(words, " "))
	}
	if len(problems) > 0 {
		lines = append(lines, strings.Join(problems, " "))
	}
	return strings.Join(lines, "\n")
}

// problemText is only the code for a problem as it should be: 429 and 503 have Retry-After.
func problemText(code string, answer object) string {
	retry := part(answer, "headers", "Retry-After") != nil
	schema := schemaText(part(answer, "content", "application/problem+json", "schema"))
	if schema != "Problem" || retry != (code == "429" || code == "503") {
		return fmt.Sprintf("%s(%s, Retry-After %t)", code, schema, retry)
	}
	return code
}

func resolved(document, o object) object {
	if ref, found := o["$ref"].(string); found {
		return part(document, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return o
}

func sortedNames(o object) []string {
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
