package httpapi

import (
	"maps"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/openapi"
)

// The parameters that are let through are those of the contract, and every body of the contract has a limit.
func TestContractHasTheSameParameters(t *testing.T) {
	raw, err := openapi.Files.ReadFile("datastorage.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type operation struct {
		OperationID string `json:"operationId"`
		Parameters  []struct{ Name, In string }
		RequestBody any `json:"requestBody"`
	}
	var document struct {
		Paths map[string]map[string]operation `json:"paths"`
	}
	if err := yaml.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method, o := range methods {
			var want []string
			for _, p := range o.Parameters {
				if p.In == "query" {
					want = append(want, p.Name)
				}
			}
			slices.Sort(want)
			if got := slices.Sorted(maps.Keys(queryParams[o.OperationID])); !slices.Equal(got, want) {
				t.Errorf("%s %s: parameters %v, contract %v", method, path, got, want)
			}
			if _, limited := bodyLimits[o.OperationID]; limited != (o.RequestBody != nil) {
				t.Errorf("%s %s: a limit of the body: %v", method, path, limited)
			}
		}
	}
}
