//go:build integration

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// Parts of answers of HolmesGPT-API.
const (
	answerHead = `"incident_id":"i","analysis":"CPU use is back to normal","timestamp":"2026-03-02T08:00:00Z","target_in_owner_chain":true,
		"root_cause_analysis":{"summary":"The memory limit is too low","severity":"high","contributing_factors":["peak after an import"]}`
	answerWorkflow = `,"selected_workflow":{"workflow_id":"oomkill-increase-memory-v1","version":"1.0.0","container_image":"registry.example.com/flows/oom:1.0.0",
		"confidence":0.92,"rationale":"The limit is what was hit","parameters":{"MEMORY_LIMIT":"1Gi"}}`
	answerSure      = `{` + answerHead + `,"confidence":0.9` + answerWorkflow + `}`
	answerRecovered = `{` + answerHead + `,"analysis_confidence":0.9,"can_recover":true` + answerWorkflow + `}`
)

// ending is what HolmesGPT-API says in a sample, and where the sample ends.
type ending struct {
	status int    // of the answer; 0: none comes
	answer string // of HolmesGPT-API

	phase    v1alpha1.Phase
	reason   string // with sub-reason
	approval string // reason of the policy, if it was asked
	human    bool   // whether it wants an approval
}

var endings = map[string]ending{
	"incident":            {200, answerSure, v1alpha1.PhaseCompleted, "/", "Auto-approved", false},
	"minimal":             {200, answerSure, v1alpha1.PhaseCompleted, "/", "Auto-approved", false},
	"recovery":            {200, answerRecovered, v1alpha1.PhaseCompleted, "/", "Auto-approved", false},
	"recovery-escalation": {200, answerRecovered, v1alpha1.PhaseCompleted, "/", "Recovery attempt 3: human approval required", true},
	"recovery-impossible": {200, `{` + answerHead + `,"analysis_confidence":0.9,"can_recover":false}`, v1alpha1.PhaseFailed, "RecoveryNotPossible/NoRecoveryStrategy", "", false},
	"production-approval": {200, answerSure, v1alpha1.PhaseCompleted, "/", "Production workload is stateful", true},
	"failed-detection":    {200, answerSure, v1alpha1.PhaseCompleted, "/", "Label detection failed: gitOpsManaged", true},
	"no-workflow": {200, `{` + answerHead + `,"confidence":0.5,"needs_human_review":true,"human_review_reason":"no_matching_workflows"}`,
		v1alpha1.PhaseFailed, "WorkflowResolutionFailed/NoMatchingWorkflows", "", false},
	"low-confidence": {200, `{` + answerHead + `,"confidence":0.4,"needs_human_review":true,"human_review_reason":"low_confidence"` + answerWorkflow + `}`,
		v1alpha1.PhaseFailed, "WorkflowResolutionFailed/LowConfidence", "", false},
	"inconclusive":     {200, `{` + answerHead + `,"confidence":0.3}`, v1alpha1.PhaseFailed, "NoWorkflowSelected/InvestigationFailed", "", false},
	"problem-resolved": {200, `{` + answerHead + `,"confidence":0.95}`, v1alpha1.PhaseCompleted, "WorkflowNotNeeded/ProblemResolved", "", false},
	"permanent-error":  {401, `{"title":"Unauthorized","detail":"the token is not valid"}`, v1alpha1.PhaseFailed, "APIError/PermanentError", "", false},
	"retries":          {0, "", v1alpha1.PhaseFailed, "APIError/MaxRetriesExceeded", "", false},
}

// samples are the objects of config/samples, by name, and the list of its kustomization is all of them.
func samples(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	read := func(file string) *unstructured.Unstructured {
		content, err := os.ReadFile("../../config/samples/" + file)
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(content, &object.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return object
	}
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	listed, _, err := unstructured.NestedStringSlice(read("kustomization.yaml").Object, "resources")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*unstructured.Unstructured{}
	for _, file := range files {
		if file = filepath.Base(file); file == "kustomization.yaml" {
			continue
		}
		object := read(file)
		if !slices.Contains(listed, file) || object.GetName()+".yaml" != file {
			t.Errorf("%s: not in the kustomization, or it has another name: %s", file, object.GetName())
		}
		all[object.GetName()] = object
	}
	if len(listed) != len(all) {
		t.Errorf("%d files, the kustomization lists %v", len(all), listed)
	}
	return all
}

// tellSample answers by the object's name.
func tellSample(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name string `json:"incident_id"`
	}
	content, err := io.ReadAll(r.Body)
	if r.Method == http.MethodGet {
		return
	}
	if err == nil {
		err = json.Unmarshal(content, &body)
	}
	s, known := endings[body.Name]
	switch {
	case err != nil || !known:
		w.WriteHeader(http.StatusNotImplemented)
	case s.status == 0:
		<-r.Context().Done()
	default:
		w.Header().Set("Content-Type", "application/json")
		if s.status != http.StatusOK {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(s.status)
		_, _ = w.Write([]byte(s.answer))
	}
}

// Every sample is accepted as it stands, and its story ends as its first lines say.
func TestSamples(t *testing.T) {
	c, namespace := cluster(t)
	all := samples(t)
	hapi := httptest.NewServer(http.HandlerFunc(tellSample))
	store := &fakeStore{namespace: namespace, events: map[string]map[string]any{}}
	storeServer := httptest.NewServer(store)
	t.Cleanup(hapi.Close)
	t.Cleanup(storeServer.Close)
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte("holmesgpt: {backoffBase: 10ms}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, t, leastAccess(t, c), "--config", config, "--holmesgpt-api-url", hapi.URL, "--datastorage-url", storeServer.URL)
	for name, object := range all {
		if _, told := endings[name]; !told {
			t.Errorf("%s: nobody says how it ends", name)
		}
		object.SetNamespace(namespace)
		if err := c.Create(t.Context(), object); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range endings {
		t.Run(name, func(t *testing.T) {
			cr := await(t, c, namespace, name, "recorded", recorded)
			comment := firstLines(t, name)
			for _, word := range []string{string(s.phase), strings.ReplaceAll(strings.Trim(s.reason, "/"), "/", " / ")} {
				if !strings.Contains(comment, word) {
					t.Errorf("the sample does not say that it ends as %s: %s", word, comment)
				}
			}
			status := cr.Status
			if got := status.Reason + "/" + string(status.SubReason); status.Phase != s.phase || got != s.reason || status.ApprovalReason != s.approval || status.ApprovalRequired != s.human {
				t.Errorf("%s %s, approval %v %q: %s", status.Phase, got, status.ApprovalRequired, status.ApprovalReason, status.Message)
			}
			ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
			if want := s.phase == v1alpha1.PhaseCompleted; ready == nil || (ready.Status == metav1.ConditionTrue) != want {
				t.Errorf("Ready: %+v", ready)
			}
		})
	}
}

// firstLines are the comment that a sample begins with, on one line.
func firstLines(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("../../config/samples/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(content), "\napiVersion")
	return strings.ReplaceAll(comment, "\n# ", " ")
}
