//go:build integration

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// ends are the objects of a namespace that are over, as a watch tells it: asking for all of them again and again would be the heaviest
// load on the API server.
type ends struct {
	t  *testing.T
	mu sync.Mutex
	of map[string]v1alpha1.AIAnalysis
}

// watchEnds begins to watch. The API server ends a watch that does not keep up with a crowd; then another one begins, which tells
// first of all that is there.
func watchEnds(t *testing.T, c client.WithWatch, namespace string, over func(*v1alpha1.AIAnalysis) bool) *ends {
	t.Helper()
	e := &ends{t: t, of: map[string]v1alpha1.AIAnalysis{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			w, err := c.Watch(ctx, &v1alpha1.AIAnalysisList{}, client.InNamespace(namespace))
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("watching: %v", err)
				}
				return
			}
			e.collect(w.ResultChan(), over)
			w.Stop()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return e
}

func (e *ends) collect(events <-chan watch.Event, over func(*v1alpha1.AIAnalysis) bool) {
	for event := range events {
		if cr, ok := event.Object.(*v1alpha1.AIAnalysis); ok && event.Type != watch.Deleted && over(cr) {
			e.mu.Lock()
			e.of[cr.Name] = *cr
			e.mu.Unlock()
		}
	}
}

func (e *ends) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.of)
}

// await returns the objects once so many are over. While there are more and more it is patient.
func (e *ends) await(n int) []v1alpha1.AIAnalysis {
	e.t.Helper()
	for have := e.count(); have < n; have = e.count() {
		until(e.t, fmt.Sprintf("more than %d of %d are over", have, n), func(context.Context) bool { return e.count() > have })
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.of))
}
