package report_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/report"
)

// schema is the part of JSON Schema that run.schema.json uses; a keyword beyond it is an error.
type schema struct {
	Type                 string            `json:"type"`
	Required             []string          `json:"required"`
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties *schema           `json:"additionalProperties"`
	Items                *schema           `json:"items"`
	Enum                 []any             `json:"enum"`
	Const                any               `json:"const"`
	Format               string            `json:"format"`
	Title, Description   string
	Schema               string `json:"$schema"`
}

// wrong lists what of a value the schema forbids.
func (s schema) wrong(path string, value any) (all []string) {
	kind := map[reflect.Kind]string{reflect.Map: "object", reflect.Slice: "array", reflect.String: "string", reflect.Float64: "number", reflect.Bool: "boolean"}[reflect.ValueOf(value).Kind()]
	if whole, ok := value.(float64); ok && s.Type == "integer" && whole == float64(int64(whole)) {
		kind = "integer"
	}
	if s.Type != "" && kind != s.Type {
		return []string{fmt.Sprintf("%s is %s, not %s", path, kind, s.Type)}
	}
	if s.Const != nil && s.Const != value || s.Enum != nil && !slices.Contains(s.Enum, value) {
		all = append(all, fmt.Sprintf("%s is %v", path, value))
	}
	if text, ok := value.(string); ok && s.Format == "date-time" {
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			all = append(all, fmt.Sprintf("%s is no time: %s", path, text))
		}
	}
	if list, ok := value.([]any); ok && s.Items != nil {
		for i, item := range list {
			all = append(all, s.Items.wrong(fmt.Sprintf("%s[%d]", path, i), item)...)
		}
	}
	object, _ := value.(map[string]any)
	for _, key := range s.Required {
		if _, ok := object[key]; !ok {
			all = append(all, path+" lacks "+key)
		}
	}
	for key, item := range object {
		if property, ok := s.Properties[key]; ok {
			all = append(all, property.wrong(path+"."+key, item)...)
		} else if s.AdditionalProperties != nil {
			all = append(all, s.AdditionalProperties.wrong(path+"."+key, item)...)
		}
	}
	return all
}

func TestRunsAreValid(t *testing.T) {
	var s schema
	decoder := json.NewDecoder(strings.NewReader(string(read(t, "../../docs/schema", "run.schema.json"))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		t.Fatal(err)
	}
	interrupted := failedRun()
	interrupted.Result, interrupted.ExitCode = "cancelled", 130
	for name, run := range map[string]*report.Run{"passed": passedRun(), "failed": failedRun(), "cancelled": interrupted} {
		run.Group = "ci-1"
		if wrong := s.wrong(name, written(t, run)); len(wrong) > 0 {
			t.Error(strings.Join(wrong, "\n"))
		}
	}
	broken := written(t, passedRun())
	broken["result"], broken["ended"] = "perhaps", "yesterday"
	delete(broken["stages"].([]any)[0].(map[string]any), "slack")
	if wrong := s.wrong("run", broken); len(wrong) != 3 {
		t.Errorf("of three mistakes were found: %v", wrong)
	}
}

func written(t *testing.T, run *report.Run) (value map[string]any) {
	t.Helper()
	dir := t.TempDir()
	if err := run.Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(read(t, dir, "run.json"), &value); err != nil {
		t.Fatal(err)
	}
	return value
}
