//go:build e2e

package aianalysis_test

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// tScrape is what the metrics before a spec may take: nothing depends on them.
const tScrape = 2 * time.Second

// Every spec, with a namespace of its own or without: a scrape before it, and if it failed what the product says of it.
var _ = BeforeEach(func(ctx SpecContext) {
	if opt.artifacts == "" {
		return
	}
	before, err := scrape(ctx)
	DeferCleanup(func(ctx SpecContext) {
		if report := CurrentSpecReport(); report.Failed() {
			productBundle(ctx, report, part{"metrics-before.txt", func(context.Context) (string, error) { return before, err }})
			AddReportEntry("failure bundle", folder(report))
		}
	}, NodeTimeout(limit(tEndpoint)))
})

func scrape(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit(tScrape))
	defer cancel()
	return bodyOf(ctx, web, opt.metrics+"/metrics")
}

// productBundle keeps what there is of the product beside a spec's namespace, and what was kept before.
func productBundle(ctx context.Context, report SpecReport, before part) {
	ctx, cancel := context.WithTimeout(ctx, limit(tBundle))
	defer cancel()
	logs, err := logParts(ctx, report.StartTime)
	if err != nil {
		fmt.Fprintln(GinkgoWriter, "failure bundle:", err)
	}
	collect(ctx, report, append(logs, before,
		part{"metrics-after.txt", scrape},
		part{"events-product.txt", func(ctx context.Context) (string, error) { return eventLines(ctx, opt.namespace, report) }},
	)...)
}

// logParts are the logs of the product's pods from a time on, and where a container began again the last words of the one before.
func logParts(ctx context.Context, since time.Time) ([]part, error) {
	pods := &corev1.PodList{}
	if err := kube.List(ctx, pods, client.InNamespace(opt.namespace)); err != nil {
		return nil, fmt.Errorf("listing the pods of %s for their logs: %w", opt.namespace, err)
	}
	var parts []part
	for _, pod := range pods.Items {
		if pod.Status.Phase == corev1.PodSucceeded {
			continue // a job of the deployment
		}
		for _, c := range pod.Status.ContainerStatuses {
			from := url.Values{"container": {c.Name}, "sinceTime": {since.UTC().Format(time.RFC3339)}}
			parts = append(parts, logPart("log-"+pod.Name+"-"+c.Name+".txt", pod.Name, from))
			if c.RestartCount > 0 {
				last := url.Values{"container": {c.Name}, "previous": {"true"}}
				parts = append(parts, logPart("log-"+pod.Name+"-"+c.Name+"-previous.txt", pod.Name, last))
			}
		}
	}
	if len(parts) > maxLogs {
		return parts[:maxLogs], fmt.Errorf("%d logs in %s, only %d of them are kept", len(parts), opt.namespace, maxLogs)
	}
	return parts, nil
}

// logPart asks for the end of a log, and for no more of it than is kept.
func logPart(name, pod string, query url.Values) part {
	query.Set("timestamps", "true")
	query.Set("tailLines", "500")
	query.Set("limitBytes", strconv.Itoa(maxLog))
	from := apiURL + "/api/v1/namespaces/" + opt.namespace + "/pods/" + pod + "/log?" + query.Encode()
	return part{name, func(ctx context.Context) (string, error) { return bodyOf(ctx, server, from) }}
}
