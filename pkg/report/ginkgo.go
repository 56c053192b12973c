package report

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// suite is what of Ginkgo's JSON report is read here.
type suite struct {
	SpecReports []struct {
		LeafNodeType    string
		LeafNodeText    string
		State           string
		StartTime       time.Time
		RunTime         time.Duration
		NumAttempts     int
		ParallelProcess int
		Failure         struct {
			Message  string
			Location struct {
				FileName   string
				LineNumber int
			}
		}
	}
}

// ReadSpecs reads Ginkgo's JSON report: the specs that ran, and the set-up
// nodes that failed, which Ginkgo counts as no spec.
func ReadSpecs(path string) ([]Spec, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the suite's report: %w", err)
	}
	var suites []suite
	if err := json.Unmarshal(data, &suites); err != nil {
		return nil, fmt.Errorf("reading the suite's report %s: %w", path, err)
	}
	specs := []Spec{}
	for _, s := range suites {
		for _, r := range s.SpecReports {
			if r.State == "skipped" || r.LeafNodeType != "It" && r.State == "passed" {
				continue
			}
			id, text := split(r.LeafNodeText)
			spec := Spec{ID: id, Text: text, Outcome: "pass", Started: r.StartTime, Seconds: r.RunTime.Seconds(), Attempts: r.NumAttempts, Process: r.ParallelProcess}
			if r.LeafNodeType != "It" {
				spec.ID = r.LeafNodeType
			}
			switch {
			case r.State != "passed":
				spec.Outcome = "fail"
				spec.Failure = fmt.Sprintf("%s: %s (%s:%d)", r.State, r.Failure.Message, r.Failure.Location.FileName, r.Failure.Location.LineNumber)
			case r.NumAttempts > 1:
				spec.Outcome = "flaky"
			}
			specs = append(specs, spec)
		}
	}
	return specs, nil
}

// split parts `[FLOW-03] auto-approves in staging`.
func split(text string) (id, rest string) {
	if open, after, ok := strings.Cut(text, "]"); ok && strings.HasPrefix(open, "[") {
		return open[1:], strings.TrimSpace(after)
	}
	return "", text
}
