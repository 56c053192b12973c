package httpapi

import (
	"net/url"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

const maxQuery = 4 << 10

// paramRule returns the text of the rule that a value breaks, or nothing.
type paramRule func(value string) string

func anyValue(string) string { return "" }

func outcome(value string) string { return schemaRule("EventOutcome")(value) }
func status(value string) string  { return schemaRule("WorkflowStatus")(value) }

func schemaRule(name string) paramRule {
	return func(value string) string { return checkString(contract()[name], []byte(strconv.Quote(value))) }
}

func between(low, high int) paramRule {
	return func(value string) string {
		if n, err := strconv.Atoi(value); err != nil || n < low || n > high {
			return "must be between " + strconv.Itoa(low) + " and " + strconv.Itoa(high)
		}
		return ""
	}
}

func boolean(value string) string {
	if value != "true" && value != "false" {
		return "must be true or false"
	}
	return ""
}

func moment(value string) string {
	if _, ok := datastorage.ParseMoment(value, time.Now()); !ok {
		return datastorage.MomentForms
	}
	return ""
}

func timeRange(value string) string {
	if _, ok := datastorage.ParseTimeRange(value); !ok {
		return "must be a number of hours or days such as 12h or 7d, at most 365d"
	}
	return ""
}

func dimension(value string) string {
	switch n := utf8.RuneCountInString(value); {
	case n == 0:
		return "must not be empty"
	case n > 255:
		return "must be at most 255 characters (got " + strconv.Itoa(n) + ")"
	}
	return ""
}

// requiredParams must be given.
var requiredParams = map[string]string{"successRateByIncidentType": "incident_type", "successRateByWorkflow": "workflow_id"}

// queryParams are the parameters of each operation that has some. A misspelt filter must not silently return everything,
// so all others are refused.
var queryParams = map[string]map[string]paramRule{
	"queryAuditEvents": {
		"event_type": anyValue, "event_category": anyValue, "event_outcome": outcome, "severity": anyValue,
		"correlation_id": anyValue, "since": moment, "until": moment,
		"limit": between(1, 1000), "offset": between(0, 100_000), "cursor": anyValue, "include_total": boolean,
	},
	"successRateByIncidentType": {"incident_type": dimension, "time_range": timeRange, "min_samples": between(1, 1_000_000)},
	"successRateByWorkflow": {
		"workflow_id": dimension, "workflow_version": dimension, "time_range": timeRange, "min_samples": between(1, 1_000_000)},
	"successRateByDimensions": {"incident_type": dimension, "workflow_id": dimension, "workflow_version": dimension,
		"action_type": dimension, "time_range": timeRange, "min_samples": between(1, 1_000_000)},
	"listWorkflows": {
		"status": status, "environment": anyValue, "priority": anyValue, "component": anyValue,
		"limit": between(1, 1000), "offset": between(0, 100_000),
	},
}

// checkQuery tells everything that is wrong with the query string of a request.
func checkQuery(operation, raw string) error {
	var errs datastorage.FieldErrors
	if len(raw) > maxQuery {
		errs.Add("query", "must be at most "+strconv.Itoa(maxQuery)+" characters (got "+strconv.Itoa(len(raw))+")")
		return errs.Err()
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		errs.Add("query", "must be percent-encoded")
		return errs.Err()
	}
	if name := requiredParams[operation]; name != "" && !values.Has(name) {
		errs.Add(name, "is required")
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		rule, known := queryParams[operation][name]
		switch given := values[name]; {
		case !known:
			errs.Add(datastorage.Cut(name), "is not a known parameter")
		case len(given) > 1:
			errs.Add(name, "must be given once")
		default:
			errs.Add(name, datastorage.CheckText([]byte(given[0])))
			errs.Add(name, rule(given[0]))
		}
	}
	return errs.Err()
}
