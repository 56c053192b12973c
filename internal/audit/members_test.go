package audit

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/openapi"
	"github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

// property is what datastorage.yaml says of one member.
type property struct {
	Ref       string `json:"$ref"`
	Type      string
	Enum      []string
	MaxLength int
}

type contract struct {
	Paths map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct {
				Schema struct {
					Type  string
					Items property
				}
			}
		}
		Responses map[string]json.RawMessage
	}
	Components struct {
		Schemas map[string]struct {
			property   `json:",inline"`
			Required   []string
			Properties map[string]property
		}
	}
}

func readContract(t *testing.T) *contract {
	t.Helper()
	text, err := openapi.Files.ReadFile("datastorage.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{}
	if err := yaml.Unmarshal(text, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// Every member that is sent is one of the contract, of its type, and every one that it requires is sent always.
func TestMembersKeepTheContract(t *testing.T) {
	c := readContract(t)
	post := c.Paths[batchPath]["post"]
	body := post.RequestBody.Content["application/json"].Schema
	name := body.Items.Ref[strings.LastIndex(body.Items.Ref, "/")+1:]
	schema, found := c.Components.Schemas[name]
	if body.Type != "array" || !found {
		t.Fatalf("%s takes %s of %s", batchPath, body.Type, name)
	}
	kinds := map[reflect.Kind]string{reflect.String: "string", reflect.Int64: "integer"}
	own := map[string]bool{}
	for i := range reflect.TypeFor[event]().NumField() {
		field := reflect.TypeFor[event]().Field(i)
		member, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		own[member] = options == ""
		want, known := schema.Properties[member]
		if !known {
			t.Errorf("%s is sent and not in the contract", member)
		}
		kind := field.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		if want.Ref == "" && kinds[kind.Kind()] != want.Type { // event_data is anything: neither has a name
			t.Errorf("%s: %s, in the contract %q", member, kind, want.Type)
		}
	}
	for _, member := range schema.Required {
		if !own[member] {
			t.Errorf("%s is required by the contract and not always sent", member)
		}
	}
	var sent map[string]any
	encoded, err := encode(aianalysis.AuditEvent{Data: json.RawMessage("{}")})
	if err == nil {
		err = json.Unmarshal(encoded, &sent)
	}
	if err != nil {
		t.Fatal(err)
	}
	for member, value := range map[string][]string{"event_category": {sent["event_category"].(string)}, "event_outcome": {"success", "failure"}} {
		enum := c.Components.Schemas[strings.TrimPrefix(schema.Properties[member].Ref, "#/components/schemas/")].Enum
		for _, one := range value {
			if !slices.Contains(enum, one) {
				t.Errorf("%s: %q is none of %v", member, one, enum)
			}
		}
	}
	if c.Paths[readyPath]["get"].Responses["200"] == nil {
		t.Errorf("%s is not in the contract", readyPath)
	}
	for _, status := range slices.Sorted(maps.Keys(post.Responses)) {
		if !slices.Contains([]string{"201", "202", "400", "401", "403", "413", "415", "500", "503"}, status) {
			t.Errorf("%s: an answer that the sender has no rule for", status)
		}
	}
}

// What the contract's own types write is what the sender reads.
func TestAnswersKeepTheContract(t *testing.T) {
	id := uuid.MustParse("b9a62f28-f0c0-5d0a-8549-5e307ade359a")
	stored, err := (&datastorage.BatchAuditEventResponse{EventIds: []uuid.UUID{id}, Message: "stored"}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if got := read(&http.Response{StatusCode: http.StatusCreated}, stored); !slices.Equal(got.ids, []string{id.String()}) {
		t.Errorf("%+v", got)
	}
	refusal, err := (&datastorage.Problem{Title: "Bad Request", Status: 400, Detail: datastorage.NewOptString("event_data is wrong"),
		InvalidIndexes: []int{3, 7}}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if got := read(&http.Response{StatusCode: http.StatusBadRequest}, refusal); !slices.Equal(got.invalid, []int{3, 7}) || got.detail != "Bad Request: event_data is wrong" {
		t.Errorf("%+v", got)
	}
}
