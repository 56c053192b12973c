package holmes

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

// Both requests, every field of them, from an object that has everything.
func TestRequestsAreGolden(t *testing.T) {
	content, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, recovery := range map[string]bool{"incident": false, "recovery": true} {
		var cr v1alpha1.AIAnalysis
		if err := yaml.UnmarshalStrict(content, &cr); err != nil {
			t.Fatal(err)
		}
		cr.Spec.IsRecoveryAttempt = recovery
		path, body := buildRequest(&cr)
		if want := "/api/v1/" + name + "/analyze"; path != want {
			t.Errorf("path %s", path)
		}
		got, err := json.MarshalIndent(body, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(append(got, '\n'), want) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

func TestSparseRequest(t *testing.T) {
	cr := &v1alpha1.AIAnalysis{}
	cr.Spec.AnalysisRequest.SignalContext.EnrichmentResults.OwnerChain = []v1alpha1.OwnerChainEntry{}
	_, body := buildRequest(cr)
	got, err := json.Marshal(body.EnrichmentResults)
	if err != nil || string(got) != `{"ownerChain":[]}` {
		t.Errorf("%s %v", got, err)
	}
	if body.RiskTolerance != "medium" || body.BusinessCategory != "standard" || body.ClusterName != "default" || *body.ErrorMessage != "" {
		t.Errorf("%+v", body)
	}
	cr.Spec.IsRecoveryAttempt = true
	if _, body = buildRequest(cr); body.ErrorMessage != nil || body.PreviousExecution != nil || !body.IsRecoveryAttempt {
		t.Errorf("%+v", body)
	}
}
