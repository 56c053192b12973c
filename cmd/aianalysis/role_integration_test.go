//go:build integration

package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	rbac "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// The role grants what AA-810 lists, and nothing is called that it does not grant. What is granted and not called is named here.
func TestRoleIsTheLeast(t *testing.T) {
	g := newRig(t)
	p := g.begin(t)
	g.create(t, "happy", nil)
	g.happy(t, "happy")
	release := g.hapi.holdCalls(t)
	g.create(t, "deleted", nil)
	until(t, "the call", func(context.Context) bool { return g.hapi.count("deleted") == 1 })
	if err := g.c.Delete(t.Context(), manifest(t, "incident.yaml", g.namespace, "deleted")); err != nil {
		t.Fatal(err)
	}
	until(t, "it is gone", func(ctx context.Context) bool {
		return client.IgnoreNotFound(g.c.Get(ctx, client.ObjectKey{Namespace: g.namespace, Name: "deleted"}, &v1alpha1.AIAnalysis{})) == nil &&
			len(g.store.of("deleted")) == 5
	})
	release()
	until(t, "its Events", func(ctx context.Context) bool { return len(kubeEvents(ctx, g.c, g.namespace, "deleted")) >= 2 })
	g.stop(t, p)
	granted := grantedBy(t)
	want := []string{"create /events", "create coordination.k8s.io/leases", "get coordination.k8s.io/leases", "get kubernaut.ai/aianalyses", "get kubernaut.ai/aianalyses/status",
		"list kubernaut.ai/aianalyses", "patch /events", "patch kubernaut.ai/aianalyses", "patch kubernaut.ai/aianalyses/status",
		"update coordination.k8s.io/leases", "update kubernaut.ai/aianalyses", "update kubernaut.ai/aianalyses/status", "watch kubernaut.ai/aianalyses"}
	if !slices.Equal(granted, want) {
		t.Errorf("granted\n got %s\nwant %s", strings.Join(granted, "\n     "), strings.Join(want, "\n     "))
	}
	asked, _ := g.proxy.seen()
	for what := range asked {
		if !slices.Contains(granted, what) {
			t.Errorf("%s is called and not granted", what)
		}
	}
	never := []string{
		"get kubernaut.ai/aianalyses/status", "patch kubernaut.ai/aianalyses/status", "update kubernaut.ai/aianalyses", // part of the interface of December 2025
		"create coordination.k8s.io/leases", "get coordination.k8s.io/leases", "update coordination.k8s.io/leases", // only with leader election
	}
	perhaps := []string{
		"patch /events",                // an Event that comes again
		"list kubernaut.ai/aianalyses", // an API server that does not stream the first list
	}
	for _, what := range granted {
		if asked[what] == slices.Contains(never, what) && !slices.Contains(perhaps, what) {
			t.Errorf("%s: called %v", what, asked[what])
		}
	}
}

// grantedBy lists what config/rbac grants, "verb group/resource", sorted.
func grantedBy(t *testing.T) (all []string) {
	t.Helper()
	content, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range bytes.Split(content, []byte("---\n")) {
		var role rbac.ClusterRole
		if err := yaml.Unmarshal(document, &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						all = append(all, verb+" "+group+"/"+resource)
					}
				}
			}
			if len(rule.ResourceNames)+len(rule.NonResourceURLs) > 0 {
				t.Errorf("rule of another kind: %+v", rule)
			}
		}
	}
	slices.Sort(all)
	return all
}
