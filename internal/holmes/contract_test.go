package holmes

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/openapi"
	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// contract is what holmesgpt.yaml says of requests and answers, as far as a Go type can be held against it.
type contract struct {
	Paths map[string]map[string]struct {
		RequestBody body
		Responses   map[string]body
	}
	Components struct{ Schemas map[string]*schema }
}

type body struct {
	Content map[string]struct{ Schema *schema }
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 string
	AnyOf                []*schema
	Properties           map[string]*schema
	AdditionalProperties json.RawMessage // true: anything
	Items                *schema
	Required             []string
	Enum                 []string
}

func readContract(t *testing.T) *contract {
	t.Helper()
	text, err := openapi.Files.ReadFile("holmesgpt.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{}
	if err := yaml.Unmarshal(text, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *contract) request(path string) *schema {
	return c.resolve(c.Paths[path]["post"].RequestBody.Content["application/json"].Schema)
}

func (c *contract) answer(path, status, kind string) *schema {
	return c.resolve(c.Paths[path]["post"].Responses[status].Content[kind].Schema)
}

// resolve follows references and takes the one choice that is not null.
func (c *contract) resolve(s *schema) *schema {
	switch {
	case s == nil:
		return &schema{}
	case s.Ref != "":
		return c.resolve(c.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]])
	case len(s.AnyOf) == 2 && s.AnyOf[1].Type == "null":
		return c.resolve(s.AnyOf[0])
	}
	return s
}

// member is one JSON member of a Go struct.
type member struct {
	kind     reflect.Type
	optional bool // left out when empty
}

func members(of reflect.Type) map[string]member {
	all := map[string]member{}
	for i := range of.NumField() {
		name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		all[name] = member{of.Field(i).Type, strings.Contains(options, "omit")}
	}
	return all
}

// olderSpelling is read beside the contract's container_image.
const olderSpelling = "containerImage"

// compare lists what is wrong with a Go type that stands for a schema. A member that is sent must be known to the contract; one that
// the contract requires must always be sent, or be known if it is received.
func (c *contract) compare(where string, have reflect.Type, want *schema, sent bool) (wrong []string) {
	want = c.resolve(want)
	if have == reflect.TypeFor[json.RawMessage]() {
		return nil
	}
	if have.Kind() == reflect.Pointer {
		have = have.Elem()
	}
	if got := typeName(have); got != want.Type {
		return []string{fmt.Sprintf("%s: %s, in the contract %q", where, got, want.Type)}
	}
	switch {
	case want.Type == "array":
		return c.compare(where+"[]", have.Elem(), want.Items, sent)
	case want.Type != "object" || string(want.AdditionalProperties) == "true":
		return nil
	case have.Kind() == reflect.Map:
		values := &schema{}
		if err := json.Unmarshal(want.AdditionalProperties, values); err != nil {
			return []string{fmt.Sprintf("%s: %v", where, err)}
		}
		return c.compare(where+"{}", have.Elem(), values, sent)
	}
	own := members(have)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		property := want.Properties[name]
		if property != nil {
			wrong = append(wrong, c.compare(where+"."+name, own[name].kind, property, sent)...)
		} else if sent || name != olderSpelling {
			wrong = append(wrong, fmt.Sprintf("%s.%s: not in the contract", where, name))
		}
	}
	for _, name := range want.Required {
		if m, known := own[name]; !known || sent && m.optional {
			wrong = append(wrong, fmt.Sprintf("%s.%s: required by the contract", where, name))
		}
	}
	return wrong
}

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int32:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	default:
		return t.String()
	}
}

// part is a struct type with those members only that a schema knows: one struct stands for both endpoints.
func part(of reflect.Type, want *schema) reflect.Type {
	var fields []reflect.StructField
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if want.Properties[name] != nil {
			fields = append(fields, of.Field(i))
		}
	}
	return reflect.StructOf(fields)
}

func TestRequestsKeepTheContract(t *testing.T) {
	c := readContract(t)
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]bool{}
	for path, recovery := range map[string]bool{incidentPath: false, recoveryPath: true} {
		want := c.request(path)
		// error_message is optional in the struct for the sake of the other endpoint; what is really sent is checked below.
		required := slices.DeleteFunc(slices.Clone(want.Required), func(name string) bool { return name == "error_message" })
		relaxed := &schema{Type: want.Type, Properties: want.Properties, Required: required}
		for _, wrong := range c.compare(path, part(reflect.TypeFor[request](), want), relaxed, true) {
			t.Error(wrong)
		}
		for _, text := range []string{"{}", string(full)} {
			var cr v1alpha1.AIAnalysis
			if err := yaml.Unmarshal([]byte(text), &cr); err != nil {
				t.Fatal(err)
			}
			cr.Spec.IsRecoveryAttempt = recovery
			_, built := buildRequest(&cr)
			encoded, err := json.Marshal(built)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal(encoded, &got); err != nil {
				t.Fatal(err)
			}
			for name := range got {
				sent[name] = true
				if want.Properties[name] == nil {
					t.Errorf("%s: %s is sent and not in the contract", path, name)
				}
			}
			for _, name := range want.Required {
				if got[name] == nil {
					t.Errorf("%s: %s is not sent and required by the contract", path, name)
				}
			}
		}
	}
	for name := range members(reflect.TypeFor[request]()) {
		if !sent[name] {
			t.Errorf("%s is never sent", name)
		}
	}
}

func TestAnswersKeepTheContract(t *testing.T) {
	c := readContract(t)
	known := map[string]bool{}
	for path, recovery := range map[string]bool{incidentPath: false, recoveryPath: true} {
		want := c.answer(path, "200", "application/json")
		for _, wrong := range c.compare(path, part(reflect.TypeFor[response](), want), want, false) {
			t.Error(wrong)
		}
		for name := range want.Properties {
			known[name] = true
		}
		for _, missing := range append([]string{""}, want.Required...) {
			text := answerWithout(t, c, want, missing)
			if _, err := decode(text, recovery); (err == nil) != (missing == "") {
				t.Errorf("%s without %q: %v", path, missing, err)
			}
		}
		for _, wrong := range c.compare(path+" 400", reflect.TypeFor[problem](), &schema{Type: "object", Properties: c.answer(path, "400", "application/problem+json").Properties}, false) {
			t.Error(wrong)
		}
	}
	for name := range members(reflect.TypeFor[response]()) {
		if !known[name] {
			t.Errorf("%s is read and in no answer of the contract", name)
		}
	}
	if c.Paths[healthPath]["get"].Responses["200"].Content == nil {
		t.Errorf("%s is not in the contract", healthPath)
	}
}

// answerWithout has all required members but one, and no other.
func answerWithout(t *testing.T, c *contract, want *schema, missing string) []byte {
	t.Helper()
	zero := map[string]any{"string": "", "number": 0.5, "boolean": false, "object": map[string]any{}}
	got := map[string]any{}
	for _, name := range want.Required {
		if name != missing {
			got[name] = zero[c.resolve(want.Properties[name]).Type]
		}
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
