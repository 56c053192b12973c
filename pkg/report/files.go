package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// file is one report of a run; run.json is what all others are made of.
type file struct {
	name   string
	render func(*Run) ([]byte, error)
}

func text(render func(*Run) string) func(*Run) ([]byte, error) {
	return func(r *Run) ([]byte, error) { return []byte(render(r)), nil }
}

var files = []file{
	{"summary.md", text((*Run).Summary)},
	{"timings.md", text((*Run).Timings)},
	{"timeline.html", (*Run).Timeline},
	{"trace.json", (*Run).Trace},
	{"junit.xml", (*Run).JUnit},
}

// Write writes run.json into the run folder, and all other reports from what it holds.
func (r *Run) Write(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding run.json: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "run.json"), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	_, err = Remake(dir)
	return err
}

// Read reads the run.json of a run folder.
func Read(dir string) (*Run, error) {
	data, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		return nil, fmt.Errorf("reading the run: %w", err)
	}
	var r Run
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("reading the run in %s: %w", dir, err)
	}
	if r.Version != Version {
		return nil, fmt.Errorf("reading the run in %s: version %d of run.json, this program knows %d", dir, r.Version, Version)
	}
	return &r, nil
}

// Remake writes every report of a run folder again from its run.json, byte by byte the same.
func Remake(dir string) (*Run, error) {
	r, err := Read(dir)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, f := range files {
		data, err := f.render(r)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, f.name), data, 0o644)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("writing %s: %w", f.name, err))
		}
	}
	return r, errors.Join(failed...)
}
