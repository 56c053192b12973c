//go:build mage

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubernaut-ai/kubernaut/pkg/report"
)

// Report makes the reports of a run again from its run.json: an id, a run folder, or latest.
func (E2E) Report(run string) error {
	set, err := readSettings(os.Getenv, os.Environ())
	if err != nil {
		return exit{exitUsage, err.Error()}
	}
	dir := run
	if !filepath.IsAbs(dir) && filepath.Base(dir) == dir {
		dir = filepath.Join(set.Out, run)
	}
	r, err := report.Remake(dir)
	if err != nil {
		return exit{exitUsage, err.Error()}
	}
	fmt.Printf("%s %s  critical path %s  report %s\n", r.Command, r.Result, r.Path(), filepath.Join(dir, "timeline.html"))
	return nil
}
