package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/httpapi"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

// seed adds the workflows of a file to the catalog, all or none. Running it again changes nothing.
func (p program) seed(ctx context.Context) error {
	set, path := flags("seed")
	wait := set.Duration("wait", time.Minute, "how long the database may take to be there and migrated")
	args, err := p.parse(set, 1)
	if err != nil {
		return err
	}
	c, _, err := p.config(*path)
	if err != nil {
		return err
	}
	workflows, err := readSeed(args[0])
	if err != nil {
		return err
	}
	options, err := storeOptions(c)
	if err != nil {
		return err
	}
	store, err := postgres.Open(ctx, options)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := waitFor(ctx, *wait, store.Check); err != nil {
		return err
	}
	results, err := store.Seed(ctx, workflows)
	if err != nil {
		return fmt.Errorf("seeding from %q: %w", args[0], err)
	}
	return p.reportSeed(results)
}

func (p program) reportSeed(results []datastorage.SeedResult) error {
	created := 0
	for _, r := range results {
		word := "skipped"
		if r.Created {
			word = "created"
			created++
		}
		if _, err := fmt.Fprintf(p.stdout, "%s %s %s@%s\n", word, r.ID, r.WorkflowName, r.Version); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(p.stdout, "%d created, %d skipped\n", created, len(results)-created)
	return err
}

// waitFor asks until the answer is good or the time is over.
func waitFor(ctx context.Context, limit time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	datastorage.Probe(ctx, 500*time.Millisecond, probeTimeout, ask, func(err error) {
		if last = err; err == nil {
			cancel()
		}
	})
	if last == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		last = ctx.Err()
	}
	if last != nil {
		return fmt.Errorf("waiting %s for the database: %w", limit, last)
	}
	return nil
}

// readSeed reads a YAML or JSON list of workflows in the form of the contract. content_file, relative to the list, may
// stand for content, and a missing content_hash is computed. Every workflow is checked; all mistakes are told.
func readSeed(path string) ([]datastorage.Workflow, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the seed: %w", err)
	}
	var content any
	if err := yaml.UnmarshalStrict(file, &content); err != nil {
		return nil, fmt.Errorf("reading the seed %q: %w", path, err)
	}
	entries, isList := content.([]any)
	if content != nil && !isList {
		return nil, fmt.Errorf("seed %q: must be a YAML or JSON list of workflows, each an object with workflow_name, version and so on", path)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("seed %q: holds no workflow; at least one is expected", path)
	}
	var workflows []datastorage.Workflow
	var mistakes []error
	for i, entry := range entries {
		members, isObject := entry.(map[string]any)
		if !isObject {
			mistakes = append(mistakes, fmt.Errorf("seed %q, workflow %d: must be an object with workflow_name, version and so on", path, i+1))
			continue
		}
		w, err := seedEntry(filepath.Dir(path), members)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("seed %q, workflow %d (%v): %w", path, i+1, members["workflow_name"], err))
		}
		workflows = append(workflows, w)
	}
	return workflows, errors.Join(mistakes...)
}

func seedEntry(folder string, entry map[string]any) (datastorage.Workflow, error) {
	if name, ok := entry["content_file"].(string); ok {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return datastorage.Workflow{}, fmt.Errorf("reading its content: %w", err)
		}
		entry["content"] = string(content)
		delete(entry, "content_file")
	}
	if content, ok := entry["content"].(string); ok && entry["content_hash"] == nil {
		entry["content_hash"] = datastorage.ContentHash(content)
	}
	raw, err := json.Marshal(entry)
	if err != nil {
		return datastorage.Workflow{}, err
	}
	return httpapi.DecodeWorkflow(raw)
}
