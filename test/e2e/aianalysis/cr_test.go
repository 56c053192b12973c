//go:build e2e

package aianalysis_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// scene is a spec's own namespace. Its hex digits are part of every name and
// remediation id, so that no query can see what another spec or run has made.
type scene struct {
	namespace, hex string
}

func randomHex() string {
	raw := make([]byte, 4)
	_, err := rand.Read(raw)
	Expect(err).NotTo(HaveOccurred())
	return hex.EncodeToString(raw)
}

func newScene(ctx SpecContext, prefix string) scene {
	GinkgoHelper()
	s := scene{hex: randomHex()}
	s.namespace = prefix + "-" + s.hex
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   s.namespace,
		Labels: map[string]string{testLabel: testValue, runLabel: common.Run},
	}}
	Expect(kube.Create(ctx, namespace)).To(Succeed(), "creating namespace %s", s.namespace)
	DeferCleanup(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			s.bundle(ctx)
		}
		err := kube.Delete(ctx, namespace)
		Expect(client.IgnoreNotFound(err)).To(Succeed(), "deleting namespace %s", s.namespace)
	}, NodeTimeout(limit(tEndpoint)))
	return s
}

// create makes the object and hands back how to find it again. Its namespace, which is the spec's, takes it away.
func (s scene) create(ctx SpecContext, cr *v1alpha1.AIAnalysis) client.ObjectKey {
	GinkgoHelper()
	Expect(kube.Create(ctx, cr)).To(Succeed(), "creating AIAnalysis %s", client.ObjectKeyFromObject(cr))
	DeferCleanup(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			return // the bundle reads it first; the namespace takes it away
		}
		err := kube.Delete(ctx, cr)
		Expect(client.IgnoreNotFound(err)).To(Succeed(), "deleting AIAnalysis %s", client.ObjectKeyFromObject(cr))
	}, NodeTimeout(limit(tEndpoint)))
	return client.ObjectKeyFromObject(cr)
}

func analysis(ctx context.Context, key client.ObjectKey) (*v1alpha1.AIAnalysis, error) {
	cr := &v1alpha1.AIAnalysis{}
	err := kube.Get(ctx, key, cr)
	return cr, err
}

// phase stops a wait for Completed at once when it can no longer come.
func phase(ctx context.Context, key client.ObjectKey) (v1alpha1.Phase, error) {
	cr, err := analysis(ctx, key)
	switch {
	case apierrors.IsNotFound(err):
		return "", StopTrying("it is gone").Wrap(err)
	case err != nil:
		return "", err
	case cr.Status.Phase == v1alpha1.PhaseFailed:
		return cr.Status.Phase, StopTrying("it is Failed: " + cr.Status.Reason + "/" + string(cr.Status.SubReason) + ": " + cr.Status.Message)
	}
	return cr.Status.Phase, nil
}

// completed waits for phase Completed and returns the object.
func completed(ctx SpecContext, key client.ObjectKey) *v1alpha1.AIAnalysis {
	GinkgoHelper()
	Eventually(ctx, phase).WithArguments(key).WithTimeout(limit(tHappy)).WithPolling(polling).
		Should(Equal(v1alpha1.PhaseCompleted), "AIAnalysis %s: phase Completed", key)
	cr, err := analysis(ctx, key)
	Expect(err).NotTo(HaveOccurred(), "reading AIAnalysis %s", key)
	return cr
}

// object is a CR of table 4.1 without its signal: prefix of its name, remediation id, fingerprint.
func (s scene) object(name, remediation, fingerprint string, types ...string) *v1alpha1.AIAnalysis {
	cr := &v1alpha1.AIAnalysis{ObjectMeta: metav1.ObjectMeta{Name: name + "-" + s.hex, Namespace: s.namespace}}
	cr.Spec.RemediationID = remediation + "-" + s.hex
	cr.Spec.AnalysisRequest.AnalysisTypes = types
	cr.Spec.AnalysisRequest.SignalContext.Fingerprint = fingerprint
	return cr
}

// reference points to the remediation request, which need not exist.
func (s scene) reference(name string) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "kubernaut.ai/v1alpha1", Kind: "RemediationRequest", Name: name, Namespace: s.namespace}
}

// prod is PROD: production always needs approval.
func (s scene) prod() *v1alpha1.AIAnalysis {
	cr := s.object("e2e-prod-incident", "e2e-rem-001", "e2e-fingerprint-001", "investigation", "root-cause", "workflow-selection")
	cr.Spec.RemediationRequestRef = s.reference("e2e-remediation")
	sc := &cr.Spec.AnalysisRequest.SignalContext
	sc.Severity, sc.SignalType, sc.Environment, sc.BusinessPriority = "warning", "CrashLoopBackOff", "production", "P1"
	sc.TargetResource = v1alpha1.TargetResource{Kind: "Deployment", Namespace: "payments", Name: "payment-service"}
	sc.EnrichmentResults = v1alpha1.EnrichmentResults{
		DetectedLabels: &v1alpha1.DetectedLabels{GitOpsManaged: true, GitOpsTool: "argocd", PDBProtected: true,
			HPAEnabled: true, NetworkIsolated: true, ServiceMesh: "istio"},
		OwnerChain:   []v1alpha1.OwnerChainEntry{{Kind: "Deployment", Namespace: "payments", Name: "payment-service"}},
		CustomLabels: map[string][]string{"team": {"payments"}, "cost_center": {"revenue"}},
	}
	return cr
}

// stage is STAGE: approved without a human.
func (s scene) stage() *v1alpha1.AIAnalysis {
	cr := s.object("e2e-staging-incident", "e2e-rem-002", "e2e-fingerprint-002", "investigation", "workflow-selection")
	cr.Spec.RemediationRequestRef = s.reference("e2e-remediation-staging")
	sc := &cr.Spec.AnalysisRequest.SignalContext
	sc.Severity, sc.SignalType, sc.Environment, sc.BusinessPriority = "warning", "OOMKilled", "staging", "P2"
	sc.TargetResource = v1alpha1.TargetResource{Kind: "Pod", Namespace: "staging", Name: "web-app"}
	sc.EnrichmentResults = v1alpha1.EnrichmentResults{
		DetectedLabels: &v1alpha1.DetectedLabels{GitOpsManaged: true},
		OwnerChain:     []v1alpha1.OwnerChainEntry{{Kind: "Deployment", Namespace: "staging", Name: "web-app"}},
	}
	return cr
}

// aud1 is AUD1.
func (s scene) aud1() *v1alpha1.AIAnalysis {
	cr := s.object("e2e-audit-test", "e2e-audit-test", "e2e-audit-fingerprint", "investigation")
	sc := &cr.Spec.AnalysisRequest.SignalContext
	sc.Severity, sc.SignalType, sc.Environment, sc.BusinessPriority = "warning", "CrashLoopBackOff", "production", "P1"
	sc.TargetResource = v1alpha1.TargetResource{Kind: "Deployment", Namespace: "payments", Name: "payment-service"}
	sc.EnrichmentResults = v1alpha1.EnrichmentResults{
		DetectedLabels: &v1alpha1.DetectedLabels{GitOpsManaged: true, PDBProtected: true},
		OwnerChain:     []v1alpha1.OwnerChainEntry{{Kind: "Deployment", Namespace: "payments", Name: "payment-service"}},
	}
	return cr
}
