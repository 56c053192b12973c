//go:build e2e

package aianalysis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// A spec that failed leaves <artifacts>/<id>/: what its cleanup found, and in the end what it said itself.
var _ = ReportAfterEach(func(_ SpecContext, report SpecReport) {
	if opt.artifacts == "" || !report.Failed() {
		return
	}
	text := report.FullText() + "\n" + report.FailureLocation().String() + "\n\n" + report.FailureMessage() +
		"\n\n" + report.CapturedGinkgoWriterOutput
	if err := keep(report, "spec.txt", []byte(text)); err != nil {
		fmt.Fprintln(GinkgoWriter, "failure bundle:", err)
	}
})

const maxPart = 1 << 20 // bytes of one file; four files stay below 5 MiB

func folder(report SpecReport) string {
	id := regexp.MustCompile(`^\[([A-Z]+-\d+)\]`).FindStringSubmatch(report.LeafNodeText)
	if id == nil {
		return filepath.Join(opt.artifacts, "suite")
	}
	return filepath.Join(opt.artifacts, id[1])
}

func keep(report SpecReport, name string, content []byte) error {
	if err := os.MkdirAll(folder(report), 0o755); err != nil {
		return err
	}
	if len(content) > maxPart {
		half := maxPart / 2
		content = append(append(content[:half:half], "\n... cut ...\n"...), content[len(content)-half:]...)
	}
	return os.WriteFile(filepath.Join(folder(report), name), content, 0o644)
}

// bundle reads what the cluster knows of this scene. What cannot be read is said and does not stop the rest.
func (s scene) bundle(ctx context.Context) {
	if opt.artifacts == "" {
		return
	}
	report := CurrentSpecReport()
	list := &v1alpha1.AIAnalysisList{}
	err := kube.List(ctx, list, client.InNamespace(s.namespace))
	var objects, events, audit []byte
	for _, cr := range list.Items {
		cr.ManagedFields = nil
		text, encodeErr := yaml.Marshal(cr)
		objects = append(append(objects, "---\n"...), text...)
		trail, auditErr := everyAuditEvent(ctx, cr.Spec.RemediationID)
		lines, jsonErr := json.MarshalIndent(trail, "", " ")
		audit = append(append(audit, lines...), '\n')
		err = errors.Join(err, encodeErr, auditErr, jsonErr)
	}
	for _, namespace := range []string{s.namespace, opt.namespace} {
		text, eventErr := eventLines(ctx, namespace, report)
		events = append(events, text...)
		err = errors.Join(err, eventErr)
	}
	err = errors.Join(err, keep(report, "aianalyses.yaml", objects), keep(report, "events.txt", events), keep(report, "audit.json", audit))
	if err != nil {
		fmt.Fprintln(GinkgoWriter, "failure bundle:", err)
	}
	AddReportEntry("failure bundle", folder(report))
}

// eventLines are the events of a namespace since the spec began.
func eventLines(ctx context.Context, namespace string, report SpecReport) (string, error) {
	list := &corev1.EventList{}
	err := kube.List(ctx, list, client.InNamespace(namespace))
	var lines strings.Builder
	for _, e := range list.Items {
		if last := e.LastTimestamp.Time; !last.IsZero() && last.Before(report.StartTime.Truncate(1e9)) {
			continue
		}
		fmt.Fprintf(&lines, "%s %s %s %s/%s %s: %s\n", e.LastTimestamp.UTC().Format("15:04:05"), e.Type, namespace,
			e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
	return lines.String(), err
}
