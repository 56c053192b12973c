package datastorage

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"time"
)

// RateFilter selects executions: stored events of the categories workflow and execution whose data has an incident_type
// and a workflow_id and whose outcome is success or failure. A nil member selects all.
type RateFilter struct {
	IncidentType, WorkflowID, WorkflowVersion, ActionType *string
	Since                                                 time.Time
}

// Executions are counted by everything that may be asked for.
type Executions struct {
	IncidentType, WorkflowID, WorkflowVersion, ActionType string
	Rate
}

// RateStore counts executions. The 10,000 most frequent combinations are named; those beyond are one without names, so that
// the sum is right.
type RateStore interface {
	CountExecutions(ctx context.Context, filter RateFilter) ([]Executions, error)
}

// Rate is how many executions there were, and how many succeeded.
type Rate struct{ Total, Successful int }

// Percent is 0 to 100, rounded to two decimals; 0 without executions.
func (r Rate) Percent() float64 {
	if r.Total == 0 {
		return 0
	}
	return math.Round(float64(r.Successful)/float64(r.Total)*10_000) / 100
}

// Confidence is a class by the number of executions.
func (r Rate) Confidence() string {
	switch {
	case r.Total >= 100:
		return "high"
	case r.Total >= 20:
		return "medium"
	case r.Total >= 5:
		return "low"
	}
	return "insufficient_data"
}

// SumOf adds up everything.
func SumOf(all []Executions) (sum Rate) {
	for _, e := range all {
		sum.Total, sum.Successful = sum.Total+e.Total, sum.Successful+e.Successful
	}
	return sum
}

// Breakdown adds up by a key, the most executions first.
func Breakdown(all []Executions, key func(Executions) [2]string) []Executions {
	sums := map[[2]string]Rate{}
	for _, e := range all {
		sum := sums[key(e)]
		sums[key(e)] = Rate{sum.Total + e.Total, sum.Successful + e.Successful}
	}
	result := make([]Executions, 0, len(sums))
	for k, sum := range sums {
		result = append(result, Executions{IncidentType: k[0], WorkflowID: k[0], ActionType: k[0], WorkflowVersion: k[1], Rate: sum})
	}
	slices.SortFunc(result, func(a, b Executions) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.WorkflowID, b.WorkflowID), cmp.Compare(a.WorkflowVersion, b.WorkflowVersion))
	})
	return result
}

const maxTimeRange = 365 * 24 * time.Hour

// ParseTimeRange reads a number of hours or days, 1 to a year.
func ParseTimeRange(s string) (time.Duration, bool) {
	if len(s) < 2 || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	unit := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
	span := time.Duration(n) * unit
	return span, err == nil && unit > 0 && span <= maxTimeRange
}
