//go:build integration

package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The examples of the page run as they stand there, but for where the service is.
func TestExamplesOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec/datastorage.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(DS=localhost:8080\n)(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("no examples that begin with DS=localhost:8080")
	}
	o := running(t)
	if out, err := o.command(t, "seed", testClusterSeed); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", "DS="+o.url+"\n"+string(block[2]))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// What each step is there to show, in its order.
	rest := string(out)
	for _, want := range []string{
		`"event_id":`, `"event_id":`,
		`"versions":[{"workflow_id":`, `"total":1`,
		`"title":"Raise the memory limit"`, `"total_results":4`,
		`2 audit events created successfully`,
		`"has_more":true`,
		`"total_executions":2`, `"success_rate":50`,
		`"status":"deprecated"`,
		`"status":"disabled"`, `"disabled_reason":"a demonstration"`,
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("no %s in its place in\n%s", want, out)
		}
		rest = after
	}
	if stored := o.events(t, "correlation_id=demo"); len(stored) != 3 {
		t.Errorf("%d events, want one and two executions", len(stored))
	}
}
