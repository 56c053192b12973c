//go:build integration

package deploy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// realCluster connects to the API server of KUBERNAUT_TEST_KUBECONFIG and makes a
// namespace of the test's own. No controllers need run.
func realCluster(t *testing.T) (*Client, context.Context, string) {
	t.Helper()
	kubeconfig := os.Getenv("KUBERNAUT_TEST_KUBECONFIG")
	if kubeconfig == "" {
		t.Fatal("KUBERNAUT_TEST_KUBECONFIG is not set: run mage test:integration")
	}
	c, err := Connect(kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 4)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	name := "deploy-" + hex.EncodeToString(raw)
	// Without the controller that makes it in a whole cluster, the default account is the test's to make: while Apply
	// waits for it.
	account := strings.ReplaceAll(accountYAML, "namespace: ns", "namespace: "+name)
	ended := make(chan error, 1)
	namespace := strings.ReplaceAll(namespaceYAML, "name: ns", "name: "+name)
	go func() {
		_, err := c.Apply(ctx, manifests(t, namespace))
		ended <- err
	}()
	if err := c.until(ctx, object(t, namespace), found); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(ctx, manifests(t, account)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return c, ctx, name
}

func inNamespace(t *testing.T, name string, texts ...string) Set {
	t.Helper()
	for i, text := range texts {
		text = strings.ReplaceAll(text, "namespace: ns", "namespace: "+name)
		text = strings.ReplaceAll(text, "{template: {spec: {", "{selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Always, ")
		if strings.Contains(text, "kind: Job") {
			text = strings.NewReplacer("selector: {matchLabels: {a: b}}, ", "", "Always", "Never").Replace(text)
		}
		texts[i] = text
	}
	return manifests(t, texts...)
}

func TestRealApplyIsRepeatable(t *testing.T) {
	c, ctx, name := realCluster(t)
	set := inNamespace(t, name, configYAML, deploymentYAML, jobYAML)
	first, err := c.Apply(ctx, set)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Apply(ctx, set)
	if err != nil {
		t.Fatal(err)
	}
	for i := range first {
		// Controllers write the status of what has a generation meanwhile.
		written := first[i].GetGeneration() != second[i].GetGeneration()
		if first[i].GetGeneration() == 0 {
			written = first[i].GetResourceVersion() != second[i].GetResourceVersion()
		}
		if written {
			t.Errorf("%s was written again though nothing had changed", describe(first[i]))
		}
	}
	changed := inNamespace(t, name, strings.ReplaceAll(configYAML, `"1"`, `"2"`), deploymentYAML, jobYAML)
	third, err := c.Apply(ctx, changed)
	if err != nil {
		t.Fatal(err)
	}
	if first[1].GetGeneration() == third[1].GetGeneration() {
		t.Error("a changed ConfigMap does not roll the Deployment")
	}
	if first[2].GetUID() == third[2].GetUID() {
		t.Error("the Job was not made anew for its changed ConfigMap")
	}
	if err := c.Delete(ctx, changed); err != nil {
		t.Error(err)
	}
}

func TestRealConflictNamesTheOwner(t *testing.T) {
	c, ctx, name := realCluster(t)
	set := inNamespace(t, name, configYAML)
	if _, err := c.Apply(ctx, set); err != nil {
		t.Fatal(err)
	}
	endpoint, err := c.resource(set[0])
	if err != nil {
		t.Fatal(err)
	}
	other := set[0].DeepCopy()
	other.Object["data"] = map[string]any{"a": "other"}
	if _, err := endpoint.Apply(ctx, other.GetName(), other, metav1.ApplyOptions{FieldManager: "somebody", Force: true}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Apply(ctx, set)
	var refused *ApplyError
	if !errors.As(err, &refused) || len(refused.Refusals) != 1 || refused.Refusals[0].Owner != "somebody" || refused.Refusals[0].Field != ".data.a" {
		t.Errorf("got %v", err)
	}
}

func TestRealRefusalNamesTheField(t *testing.T) {
	c, ctx, name := realCluster(t)
	bad := strings.ReplaceAll(configYAML, "name: settings", "name: NOT_A_NAME")
	_, err := c.Apply(ctx, inNamespace(t, name, bad))
	var refused *ApplyError
	if !errors.As(err, &refused) || refused.Reason != metav1.StatusReasonInvalid || refused.Refusals[0].Field != "metadata.name" {
		t.Errorf("got %v", err)
	}
}

// The manifests of the test cluster are what an API server accepts, and bring
// a CRD that becomes Established.
func TestRealManifests(t *testing.T) {
	c, ctx, _ := realCluster(t)
	set, err := Read("../../config/e2e", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Apply(ctx, set)
		ended <- err
	}()
	if err := c.until(ctx, set[0], found); err != nil {
		t.Fatal(err)
	}
	account := strings.ReplaceAll(accountYAML, "namespace: ns", "namespace: kubernaut-system")
	if _, err := c.Apply(ctx, manifests(t, account)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	again, err := c.Apply(ctx, set)
	if err != nil || len(again) != len(set) {
		t.Errorf("applied %d of %d objects again: %v", len(again), len(set), err)
	}
}
