package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis/policy"
	"github.com/kubernaut-ai/kubernaut/internal/audit"
	"github.com/kubernaut-ai/kubernaut/internal/holmes"
)

// The page tells of every metric family of an idle process, with type and labels, and of no other.
func TestPageTellsEveryMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	aianalysis.NewMetrics(registry)
	holmes.NewMetrics(registry)
	audit.NewMetrics(registry)
	if _, err := policy.Open("../../config/aianalysis/approval.rego", logr.Discard(), registry); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("../../docs/spec/aianalysis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, found := strings.Cut(string(content), "\n## Metrics\n")
	if !found {
		t.Fatal("the page has no line ## Metrics")
	}
	page, _, _ = strings.Cut(page, "\n## ")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, family := range families {
		known[family.GetName()] = true
		var labels []string
		for _, pair := range family.Metric[0].Label {
			labels = append(labels, "`"+pair.GetName()+"`")
		}
		if len(labels) == 0 {
			labels = []string{"none"}
		}
		row := fmt.Sprintf("\n| `%s` | %s | %s |", family.GetName(), strings.ToLower(family.GetType().String()), strings.Join(labels, ", "))
		if !strings.Contains(page, row) {
			t.Errorf("the page does not have %s", strings.TrimSpace(row))
		}
	}
	for _, m := range regexp.MustCompile("\n\\| `([a-z_]+)`").FindAllStringSubmatch(page, -1) {
		if !known[m[1]] {
			t.Errorf("there is no metric %s", m[1])
		}
	}
}
