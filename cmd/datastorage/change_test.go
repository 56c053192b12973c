//go:build integration

package main

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/openapi"
)

// patch changes a workflow and returns the answer with the document in it.
func (i installation) patch(t *testing.T, path, body string, headers ...string) (exchange, members) {
	t.Helper()
	got := i.request(t, http.MethodPatch, path, strings.NewReader(body), headers...)
	return got, object[members](t, got.text)
}

// W6: disable with a body says who and why, a second time changes nothing, whatever it says, and the way back to active
// clears it all; and the same without a body.
func TestDisableOverHTTP(t *testing.T) {
	o := running(t)
	for name, c := range map[string]struct {
		body, reason, by string
	}{
		"with body":    {`{"reason":"it loops","updated_by":"me"}`, "it loops", "me"},
		"without body": {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now().Add(-time.Second)
			created := o.create(t, recipe(name, "1"))
			path := workflowsPath + "/" + fmt.Sprint(created["workflow_id"])
			first, disabled := o.patch(t, path+"/disable", c.body, "If-Match", `"1"`)
			want := with(created, members{"status": "disabled", "disabled_at": disabled["disabled_at"], "updated_at": disabled["updated_at"]})
			if c.body != "" {
				want["disabled_reason"], want["disabled_by"], want["updated_by"] = c.reason, c.by, c.by
			}
			at, err := time.Parse(time.RFC3339, fmt.Sprint(disabled["disabled_at"]))
			if err != nil || at.Before(start) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("disabled at %v, %v", disabled["disabled_at"], err)
			}
			if first.status != http.StatusOK || first.header.Get("ETag") != `"2"` || !reflect.DeepEqual(disabled, want) {
				t.Errorf("%d %s\n got %v\nwant %v", first.status, first.header.Get("ETag"), disabled, want)
			}
			for _, body := range []string{c.body, `{"reason":"other","updated_by":"somebody else"}`, "{}", ""} {
				again, same := o.patch(t, path+"/disable", body)
				if again.status != http.StatusOK || again.header.Get("ETag") != `"2"` || !reflect.DeepEqual(same, want) {
					t.Errorf("again with %q: %d %s\n got %v\nwant %v", body, again.status, again.header.Get("ETag"), same, want)
				}
			}
			back, active := o.patch(t, path, `{"status":"active"}`)
			for member := range active {
				if strings.HasPrefix(member, "disabled_") {
					t.Errorf("%s is still %v", member, active[member])
				}
			}
			if back.status != http.StatusOK || back.header.Get("ETag") != `"3"` || active["status"] != "active" {
				t.Errorf("%d %s %s", back.status, back.header.Get("ETag"), back.text)
			}
			if stored := o.request(t, http.MethodGet, path, nil); stored.header.Get("ETag") != `"3"` || !reflect.DeepEqual(object[members](t, stored.text), active) {
				t.Errorf("stored %s %s\n want %v", stored.header.Get("ETag"), stored.text, active)
			}
		})
	}
}

// W4: a PATCH that names an immutable member is refused by that name and changes nothing, not even what it might change.
func TestImmutableMembersOverHTTP(t *testing.T) {
	o := running(t)
	created := o.create(t, recipe("immutable", "1"))
	path := workflowsPath + "/" + fmt.Sprint(created["workflow_id"])
	before, rows := o.request(t, http.MethodGet, path, nil), o.everything(t)
	names := workflowMembers(t)
	if len(names) < 30 {
		t.Fatalf("the contract has only %v", names)
	}
	for _, name := range names {
		for _, value := range []string{"null", `"other"`} {
			got, problem := o.patch(t, path, `{"status":"disabled","disabled_by":"me","`+name+`":`+value+`}`)
			faults := members{name: "create a new version instead"}
			if got.status != http.StatusBadRequest || problem["type"] != "https://kubernaut.ai/problems/immutable-field-violation" ||
				!reflect.DeepEqual(problem["field_errors"], faults) {
				t.Errorf("%s: %s: %d %s", name, value, got.status, got.text)
			}
			after := o.request(t, http.MethodGet, path, nil)
			if after.text != before.text || after.header.Get("ETag") != `"1"` {
				t.Errorf("%s: ETag %s, %s\nbefore %s", name, after.header.Get("ETag"), after.text, before.text)
			}
		}
	}
	if after := o.everything(t); !slices.Equal(after, rows) {
		t.Errorf("before %v\nafter %v", rows, after)
	}
}

// workflowMembers are the members of a workflow that a change may not name.
func workflowMembers(t *testing.T) []string {
	t.Helper()
	raw, err := openapi.Files.ReadFile("datastorage.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var contract struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := yaml.Unmarshal(raw, &contract); err != nil {
		t.Fatal(err)
	}
	properties := contract.Components.Schemas["RemediationWorkflow"].Properties
	for name := range contract.Components.Schemas["WorkflowUpdateRequest"].Properties {
		delete(properties, name)
	}
	return slices.Sorted(maps.Keys(properties))
}
