//go:build integration

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// What kubectl sees: the short name, and the columns of a table.
func TestCRDIsKnownAsAIAAndShowsItsColumns(t *testing.T) {
	c, namespace := cluster(t)
	access, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBERNAUT_TEST_KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	finder, err := discovery.NewDiscoveryClientForConfig(access)
	if err != nil {
		t.Fatal(err)
	}
	resources, err := finder.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	index := slices.IndexFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == "aianalyses" })
	if index < 0 || !slices.Equal(resources.APIResources[index].ShortNames, []string{"aia"}) || resources.APIResources[index].SingularName != "aianalysis" ||
		resources.APIResources[index].Kind != "AIAnalysis" || !resources.APIResources[index].Namespaced {
		t.Fatalf("%+v", resources.APIResources)
	}
	object := manifest(t, "incident.yaml", namespace, "shown")
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	set(t, object, "status", map[string]any{"phase": "Failed", "approvalRequired": true, "reason": "APIError", "subReason": "PermanentError",
		"selectedWorkflow": map[string]any{"workflowId": "w", "version": "1", "containerImage": "i", "rationale": "r", "confidence": 0.85}})
	if err := c.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	requests, err := rest.HTTPClientFor(access)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, access.Host+"/apis/kubernaut.ai/v1alpha1/namespaces/"+namespace+"/aianalyses/shown", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	reply, err := requests.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	content, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := yaml.Unmarshal(content, &table); err != nil {
		t.Fatal(err)
	}
	var columns []string
	for i, column := range table.ColumnDefinitions {
		cell := fmt.Sprint(table.Rows[0].Cells[i])
		if column.Name == "Age" {
			cell = "some time"
		}
		columns = append(columns, fmt.Sprintf("%s %s %d: %s", column.Name, column.Type, column.Priority, cell))
	}
	want := []string{"Name string 0: shown", "Phase string 0: Failed", "Confidence number 0: 0.85", "ApprovalRequired boolean 0: true",
		"Age date 0: some time", "Reason string 1: APIError", "SubReason string 1: PermanentError"}
	slices.Sort(columns)
	slices.Sort(want)
	if !slices.Equal(columns, want) {
		t.Errorf("columns\n got %s\nwant %s", strings.Join(columns, "\n     "), strings.Join(want, "\n     "))
	}
}
