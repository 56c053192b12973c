package datastorage

import (
	"bytes"
	"context"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// maxCandidates bounds the work of one search; the newest are scored.
const maxCandidates = 10_000

// Search is a question to the catalog.
type Search struct {
	Labels          Labels
	CustomLabels    CustomLabels
	DetectedLabels  DetectedLabels
	Statuses        []string // empty: active, and disabled too with IncludeDisabled
	IncludeDisabled bool
	TopK            int
	MinScore        float32
	RemediationID   string
}

// Check holds a search against the rules that the contract cannot state.
func (s Search) Check() error {
	var errs FieldErrors
	s.CustomLabels.check("filters.custom_labels", &errs)
	return errs.Err()
}

// States are the states of a workflow in which the search looks.
func (s Search) States() []string {
	switch {
	case len(s.Statuses) > 0:
		return s.Statuses
	case s.IncludeDisabled:
		return []string{"active", "disabled"}
	}
	return []string{"active"}
}

// Candidate is a workflow that passed the hard filters.
type Candidate struct {
	ID              uuid.UUID
	Title           string
	Description     string
	ContainerImage  string
	ContainerDigest string
	Labels          Labels
	CustomLabels    CustomLabels
	DetectedLabels  DetectedLabels
	CreatedAt       time.Time
}

// Ranked is a candidate with its score.
type Ranked struct {
	Candidate
	Score
}

// Found is the result of a search. Total counts all that reach the lowest score asked for; Truncated means that there were
// more candidates than are scored.
type Found struct {
	Ranked    []Ranked
	Total     int
	Truncated bool
}

// Find asks the store for candidates and ranks them.
func Find(ctx context.Context, store WorkflowStore, search Search) (found Found, err error) {
	candidates, err := store.Candidates(ctx, search, maxCandidates+1)
	if err != nil {
		return found, err
	}
	if found.Truncated = len(candidates) > maxCandidates; found.Truncated {
		candidates = candidates[:maxCandidates]
	}
	found.Ranked, found.Total = Rank(search, candidates)
	return found, nil
}

// Rank orders candidates by score, then age, then id: the same catalog and search always give the same order.
func Rank(search Search, candidates []Candidate) ([]Ranked, int) {
	lowest := tenThousandths(search.MinScore)
	ranked := make([]Ranked, 0, len(candidates))
	for _, c := range candidates {
		if score := search.Score(c); score.TenThousandths >= lowest {
			ranked = append(ranked, Ranked{c, score})
		}
	}
	slices.SortFunc(ranked, func(a, b Ranked) int {
		if a.TenThousandths != b.TenThousandths {
			return b.TenThousandths - a.TenThousandths
		}
		if order := b.CreatedAt.Compare(a.CreatedAt); order != 0 {
			return order
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	total := len(ranked)
	return ranked[:min(total, search.TopK)], total
}

// tenThousandths is the lowest score that reaches a bound. The bound came as a 32-bit float, whose error (below 1e-3 of
// a ten-thousandth) must not shut out a score that equals the decimal number the caller wrote.
func tenThousandths(bound float32) int {
	return int(math.Ceil(float64(bound)*10_000 - 1e-3))
}
