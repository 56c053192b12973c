package holmes

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
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

// The CRD lets no value in that HolmesGPT-API would refuse.
func TestEnumsKeepTheContract(t *testing.T) {
	text, err := os.ReadFile("../../config/crd/kubernaut.ai_aianalyses.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema *schema }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	at := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, step := range []string{"spec", "analysisRequest", "signalContext", "enrichmentResults", "detectedLabels"} {
		at = at.Properties[step]
	}
	c := readContract(t)
	checked := 0
	for name, property := range c.Components.Schemas["DetectedLabels"].Properties {
		allowed, ours := property.Enum, at.Properties[name].Enum
		if property.Items != nil {
			allowed, ours = property.Items.Enum, at.Properties[name].Items.Enum
		}
		if allowed == nil {
			continue
		}
		checked++
		if ours == nil {
			t.Errorf("%s: any value in the CRD, some in the contract", name)
		}
		for _, value := range ours {
			if !slices.Contains(allowed, value) {
				t.Errorf("%s: %q of the CRD is not in the contract", name, value)
			}
		}
	}
	if checked == 0 {
		t.Error("the contract has no enum any more: this test is of no use")
	}
}
