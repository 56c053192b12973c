//go:build e2e

package aianalysis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// A spec that failed leaves <artifacts>/<id>/: what its cleanups found (of its namespace here, of the product in
// bundleproduct_test.go), and in the end what it said itself.
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

// A bundle stays below 5 MiB: eight files of maxPart, and maxLogs of maxLog.
const (
	maxPart = 400 << 10
	maxLog  = 100 << 10
	maxLogs = 15
)

// tBundle is what reading one half of a bundle may take; the cleanup that it is part of has more.
const tBundle = 10 * time.Second

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

// part is one file of a bundle.
type part struct {
	name string
	read func(context.Context) (string, error)
}

// collect reads all parts at once, so that what hangs takes no time from the rest. What cannot be read is said in its file.
func collect(ctx context.Context, report SpecReport, parts ...part) {
	var all sync.WaitGroup
	for _, p := range parts {
		all.Go(func() {
			text, err := p.read(ctx)
			if err != nil {
				text += fmt.Sprintf("\nnot all was read: %v\n", err)
			}
			if err := keep(report, p.name, []byte(text)); err != nil {
				fmt.Fprintln(GinkgoWriter, "failure bundle:", err)
			}
		})
	}
	all.Wait()
}

// bundle keeps what the cluster knows of this scene, before its namespace goes.
func (s scene) bundle(ctx context.Context) {
	if opt.artifacts == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit(tBundle))
	defer cancel()
	report := CurrentSpecReport()
	list := &v1alpha1.AIAnalysisList{}
	listErr := kube.List(ctx, list, client.InNamespace(s.namespace))
	// each reads of every analysis; without the list it says so.
	each := func(read func(context.Context, *v1alpha1.AIAnalysis) (string, error)) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			var all strings.Builder
			err := listErr
			for i := range list.Items {
				text, readErr := read(ctx, &list.Items[i])
				all.WriteString(text)
				err = errors.Join(err, readErr)
			}
			return all.String(), err
		}
	}
	collect(ctx, report,
		part{"aianalyses.yaml", each(objectText)},
		part{"audit.json", each(auditText)},
		part{"journal.json", each(journalText)},
		part{"events.txt", func(ctx context.Context) (string, error) { return eventLines(ctx, s.namespace, report) }},
	)
}

func objectText(_ context.Context, cr *v1alpha1.AIAnalysis) (string, error) {
	shown := cr.DeepCopy()
	shown.ManagedFields = nil
	text, err := yaml.Marshal(shown)
	return "---\n" + string(text), err
}

func auditText(ctx context.Context, cr *v1alpha1.AIAnalysis) (string, error) {
	trail, err := everyAuditEvent(ctx, cr.Spec.RemediationID)
	lines, encodeErr := json.MarshalIndent(trail, "", " ")
	return string(lines) + "\n", errors.Join(err, encodeErr)
}

// journalText is what the model was asked for one analysis; an empty id would mean those of all specs.
func journalText(ctx context.Context, cr *v1alpha1.AIAnalysis) (string, error) {
	if cr.Spec.RemediationID == "" {
		return "", fmt.Errorf("AIAnalysis %s has no remediation id to ask the journal for", client.ObjectKeyFromObject(cr))
	}
	query := url.Values{"remediation_id": {cr.Spec.RemediationID}}
	text, err := bodyOf(ctx, server, mockURL()+"/_mock/requests?"+query.Encode())
	var lines bytes.Buffer
	if json.Indent(&lines, []byte(text), "", " ") == nil {
		text = lines.String()
	}
	return text, err
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
