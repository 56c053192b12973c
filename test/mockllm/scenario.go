package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// Book is the scenario file: one row a signal type, the row for everything else, and rows that differ from another.
type Book struct {
	Rows     []Row     `json:"rows"`
	Default  Row       `json:"default"`
	Specials []Special `json:"specials"`
}

// Row is what the model believes about one signal type.
type Row struct {
	// SignalType is the key of the row and the signal type of its root cause.
	SignalType          string   `json:"signal_type"`
	Severity            string   `json:"severity"`
	Summary             string   `json:"summary"`
	ContributingFactors []string `json:"contributing_factors"`
	Incident            Verdict  `json:"incident"`
	Recovery            Verdict  `json:"recovery"`
}

// Verdict is the answer to one kind of analysis. Without a workflow it selects none.
type Verdict struct {
	Choice       `json:",inline"`
	Parameters   map[string]string `json:"parameters"`
	Alternatives []Choice          `json:"alternatives"`
	Outcome      string            `json:"outcome"`
	// Recovery analyses only.
	CanRecover *bool       `json:"can_recover"`
	Strategies []Strategy  `json:"strategies"`
	Assessment *Assessment `json:"assessment"`
}

// Choice names a workflow of the catalog seed.
type Choice struct {
	Workflow string `json:"workflow"`
	Version  string `json:"version"`
	// ContainerImage is sent only where a row gives one.
	ContainerImage string  `json:"container_image"`
	Confidence     float64 `json:"confidence"`
	Rationale      string  `json:"rationale"`
}

// Strategy is one recovery strategy; its confidence is the verdict's.
type Strategy struct {
	ActionType    string `json:"action_type"`
	Rationale     string `json:"rationale"`
	EstimatedRisk string `json:"estimated_risk"`
}

// Assessment is what the model says about the execution that failed.
type Assessment struct {
	FailureUnderstood bool   `json:"failure_understood"`
	FailureReason     string `json:"failure_reason"`
	StateChanged      bool   `json:"state_changed"`
}

// LoadBook reads the scenario file and holds every workflow it names against the catalog seed.
func LoadBook(scenarios, seed string) (*Book, error) {
	text, err := os.ReadFile(scenarios)
	if err != nil {
		return nil, fmt.Errorf("reading scenarios: %w", err)
	}
	var book Book
	if err := yaml.UnmarshalStrict(text, &book); err != nil {
		return nil, fmt.Errorf("parsing scenarios %q: %s", scenarios, oneLine(err))
	}
	known, err := loadSeed(seed)
	if err != nil {
		return nil, err
	}
	if err := book.check(known); err != nil {
		return nil, fmt.Errorf("checking scenarios %q against seed %q: %w", scenarios, seed, err)
	}
	return &book, nil
}

// loadSeed returns the set of `name@version` the catalog will hold. Keys that the mock does not need are skipped.
func loadSeed(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading seed: %w", err)
	}
	var list []struct {
		Name    string `json:"workflow_name"`
		Version string `json:"version"`
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("parsing seed %q: %s", path, oneLine(err))
	}
	known := make(map[string]bool, len(list))
	for i, workflow := range list {
		if workflow.Name == "" || workflow.Version == "" {
			return nil, fmt.Errorf("parsing seed %q: workflow %d has no workflow_name or version", path, i)
		}
		known[workflow.Name+"@"+workflow.Version] = true
	}
	return known, nil
}

func (b *Book) check(known map[string]bool) error {
	seen := map[string]bool{}
	problems := b.checkSpecials()
	for _, row := range append([]Row{b.Default}, b.Rows...) {
		key := strings.ToLower(row.SignalType)
		if key == "" || row.Severity == "" || row.Summary == "" {
			problems = append(problems, fmt.Errorf("row %q: signal_type, severity and summary are required", row.SignalType))
		}
		if seen[key] {
			problems = append(problems, fmt.Errorf("row %q: stands twice", row.SignalType))
		}
		seen[key] = true
		for _, choice := range row.choices() {
			if id := choice.Workflow + "@" + choice.Version; !known[id] {
				problems = append(problems, fmt.Errorf("row %q: workflow %q is not in the seed", row.SignalType, id))
			}
		}
	}
	return joinLine(problems)
}

// choices lists the workflows that the row names, alternatives included.
func (r Row) choices() []Choice {
	var all []Choice
	for _, verdict := range []Verdict{r.Incident, r.Recovery} {
		if verdict.Workflow != "" {
			all = append(all, verdict.Choice)
		}
		all = append(all, verdict.Alternatives...)
	}
	return all
}

// Row finds the row of a signal type, and how it differs: exactly, then without case, else the default row.
func (b *Book) Row(signalType string) (Row, Special) {
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		for _, row := range b.Rows {
			if same(row.SignalType, signalType) {
				return row, Special{}
			}
		}
		for _, special := range b.Specials {
			if same(special.SignalType, signalType) {
				return b.plain(special.Like), special
			}
		}
	}
	return b.Default, Special{}
}

// plain finds a row by its exact signal type.
func (b *Book) plain(signalType string) Row {
	for _, row := range b.Rows {
		if row.SignalType == signalType {
			return row
		}
	}
	return b.Default
}

// joinLine is errors.Join on one line: the process stops with exactly one line.
func joinLine(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	return errors.New(oneLine(errors.Join(problems...)))
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
