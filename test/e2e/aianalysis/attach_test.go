//go:build e2e

package aianalysis_test

import (
	"context"
	"fmt"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"
)

// ignored are the states of specs that a selection leaves out.
const ignored = types.SpecStateSkipped | types.SpecStatePending

// catalog is what the seed puts into every test cluster, version 1.0.0 each. The ids are UUIDv5 of name@version, spelled
// out so that another rule, or another seed, is noticed.
func catalog() map[string]string {
	return map[string]string{
		"oomkill-increase-memory-v1":          "a075949c-3e59-5585-aecb-59fa16dad7e7",
		"crashloop-config-fix-v1":             "5fa4960c-ca8d-5dfd-a87e-d4ae406e0eaf",
		"node-drain-reboot-v1":                "294b2f95-d08f-53b0-9eda-550b6a44695e",
		"image-fix-v1":                        "79069631-fb91-59cf-b3de-03724569dbb7",
		"eviction-recovery-v1":                "7143eb6f-27a7-5225-b05d-49e0163f4eeb",
		"scheduling-fix-v1":                   "fbfd1f76-89c8-5dcd-8245-4453623c985c",
		"generic-restart-v1":                  "a6cf210b-9fb1-578f-9b4e-94f70c547447",
		"oomkill-increase-memory-v1-recovery": "582fa0af-04de-5ab1-a496-51805595f626",
		"crashloop-config-fix-v1-recovery":    "14b994cc-2ca8-5f67-86af-1ac94d865e9e",
		"node-drain-reboot-v1-recovery":       "e8d03b16-1562-5af9-a58e-30ed215757f8",
		"image-fix-v1-recovery":               "ea0becba-c184-567e-987c-2b805760ab62",
		"eviction-recovery-v1-recovery":       "4b19a1e0-9d71-56c2-a38e-88be06b1ebf5",
		"scheduling-fix-v1-recovery":          "0315f618-c018-5223-8665-393e974c04e8",
		"generic-restart-v1-recovery":         "6d40c0e2-749c-5919-8b8c-15c252cc03d4",
		"low-confidence-workflow-v1":          "96fc29a8-bf41-5963-8e03-55ca13043a6c",
		"alternative-1-v1":                    "cd60cde5-4f46-5165-b745-03c49c1fccdf",
		"alternative-2-v1":                    "cf009093-a20d-5c67-b385-2b984f7b87a8",
		"oomkill-restart-pod-v1":              "4e085e57-a15f-5ed3-bd02-169dca5b3b09",
	}
}

// checkCluster fails with one line that says what is missing and who provides it.
func checkCluster(ctx SpecContext) {
	GinkgoHelper()
	for _, need := range []struct {
		what, target string
		check        func(context.Context) error
	}{
		{"API server", "cluster:up", apiServer},
		{"CRD aianalyses.kubernaut.ai", "deploy:foundation", crdEstablished},
		{"controller probes", "deploy:aiAnalysis", answers(opt.health + "/healthz")},
		{"controller metrics", "deploy:aiAnalysis", answers(opt.metrics + "/metrics")},
		{"HolmesGPT-API", "deploy:holmesGPT", answers(opt.holmes + "/health")},
		{"Data Storage", "deploy:dataStorage", answers(opt.datastorage + "/health")},
		{"workflow catalog", "deploy:dataStorage", catalogSeeded},
		{"mock LLM", "deploy:mockLLM", mockStrict},
	} {
		if err := need.check(ctx); err != nil {
			Fail(missing(need.what, need.target, err))
		}
	}
}

func apiServer(ctx context.Context) error {
	answer, err := ask(ctx, server, apiURL+"/readyz")
	if err == nil && answer.status != http.StatusOK {
		err = fmt.Errorf("/readyz answers %d", answer.status)
	}
	return err
}

// crd is the part of a CustomResourceDefinition that is looked at: the rest is the API server's own schema.
type crd struct {
	Spec struct {
		Versions []struct {
			Name    string `json:"name"`
			Served  bool   `json:"served"`
			Storage bool   `json:"storage"`
		} `json:"versions"`
	} `json:"spec"`
	Status struct {
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

func crdEstablished(ctx context.Context) error {
	answer, err := ask(ctx, server, apiURL+"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/aianalyses.kubernaut.ai")
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK {
		return fmt.Errorf("reading it answers %d", answer.status)
	}
	var found crd
	if err := answer.decodeLoose(&found); err != nil {
		return err
	}
	for _, v := range found.Spec.Versions {
		if v.Name != "v1alpha1" || !v.Served || !v.Storage {
			continue
		}
		for _, c := range found.Status.Conditions {
			if c.Type == "Established" && c.Status == "True" {
				return nil
			}
		}
		return fmt.Errorf("not Established: %+v", found.Status.Conditions)
	}
	return fmt.Errorf("v1alpha1 is not served and stored: %+v", found.Spec.Versions)
}

// answers is the check that a URL answers 200 within tEndpoint.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		return InterceptGomegaFailure(func() {
			Eventually(ctx, statusOf).WithArguments(url).WithTimeout(limit(tEndpoint)).WithPolling(polling).
				Should(Equal(http.StatusOK), "%s: answers 200", url)
		})
	}
}

func catalogSeeded(ctx context.Context) error {
	for name, id := range catalog() {
		found, err := workflow(ctx, id)
		if err != nil {
			return fmt.Errorf("workflow %s: %w", name, err)
		}
		if found.WorkflowID != id || found.WorkflowName != name || found.Version != "1.0.0" || found.Status != "active" {
			return fmt.Errorf("workflow %s: id %s is %s@%s, %s", name, id, found.WorkflowName, found.Version, found.Status)
		}
	}
	return nil
}

// mockURL is the mock LLM through the API server: it has no port on the host.
func mockURL() string {
	return apiURL + "/api/v1/namespaces/" + opt.namespace + "/services/mock-llm:8080/proxy"
}

func mockStrict(ctx context.Context) error {
	answer, err := ask(ctx, server, mockURL()+"/healthz")
	if err != nil {
		return err
	}
	var health struct {
		Strict bool `json:"strict"`
	}
	if answer.status != http.StatusOK {
		return fmt.Errorf("/healthz through the API server answers %d: %.200s", answer.status, answer.body)
	}
	if err := answer.decode(&health); err != nil {
		return err
	}
	if !health.Strict {
		return fmt.Errorf("it is not strict: %s", answer.body)
	}
	return nil
}
