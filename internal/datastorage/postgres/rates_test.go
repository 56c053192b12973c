//go:build integration

package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// More combinations than are named: the rest is counted too.
func TestCountManyCombinations(t *testing.T) {
	s, d := newStore(t)
	exec(t, d.admin, `INSERT INTO audit_events (event_id, event_date, event_timestamp, event_type, event_category, event_action, event_outcome,
		actor_type, actor_id, resource_type, resource_id, correlation_id, event_data)
		SELECT gen_random_uuid(), (now() AT TIME ZONE 'UTC')::date, now(), 't', 'execution', 'a', CASE WHEN n % 4 = 0 THEN 'failure' ELSE 'success' END,
			's', 's', 'r', 'r', 'rr', jsonb_build_object('incident_type', 'i-' || n, 'workflow_id', 'w') FROM generate_series(1, 12000) AS n`)
	got, err := s.CountExecutions(t.Context(), datastorage.RateFilter{Since: time.Now().Add(-time.Hour)})
	if err != nil || len(got) != 10_001 || got[10_000].WorkflowID != "" || datastorage.SumOf(got) != (datastorage.Rate{Total: 12_000, Successful: 9_000}) {
		t.Errorf("%d combinations, %+v, %v", len(got), datastorage.SumOf(got), err)
	}
}

// What is counted, and what is not: another category, a pending outcome, data without workflow, an older event, and the
// service's own events about the catalog.
func TestCountExecutions(t *testing.T) {
	s, _ := newStore(t)
	var events []datastorage.Event
	add := func(category, outcome, data string, age time.Duration) {
		e := testEvent()
		e.ID, e.Category, e.Outcome, e.Data, e.Time = uuid.NullUUID{UUID: uuid.New(), Valid: true}, category, outcome, []byte(data), time.Now().Add(-age).UTC()
		events = append(events, e)
	}
	const oom = `{"incident_type":"oom","workflow_id":"w1","workflow_version":"1","action_type":"restart"}`
	for n := range 3 {
		add("execution", []string{"success", "failure"}[n%2], oom, time.Hour)
	}
	add("workflow", "success", `{"incident_type":"crash","workflow_id":"w2"}`, time.Hour)
	add("execution", "pending", oom, time.Hour)
	add("analysis", "success", oom, time.Hour)
	add("execution", "success", `{"incident_type":"oom"}`, time.Hour)
	add("execution", "success", oom, 30*time.Hour)
	insert(t, s, events...)
	if _, err := s.CreateWorkflow(t.Context(), testWorkflow("w", "1"), datastorage.Origin{}); err != nil {
		t.Fatal(err)
	}
	text := func(s string) *string { return &s }
	since := time.Now().Add(-24 * time.Hour)
	for name, c := range map[string]struct {
		filter datastorage.RateFilter
		want   string
	}{
		"all":          {datastorage.RateFilter{Since: since}, "[{oom w1 1 restart {3 2}} {crash w2   {1 1}}]"},
		"longer":       {datastorage.RateFilter{Since: since.Add(-24 * time.Hour), IncidentType: text("oom")}, "[{oom w1 1 restart {4 3}}]"},
		"by workflow":  {datastorage.RateFilter{Since: since, WorkflowID: text("w2")}, "[{crash w2   {1 1}}]"},
		"by version":   {datastorage.RateFilter{Since: since, WorkflowID: text("w1"), WorkflowVersion: text("2")}, "[]"},
		"by action":    {datastorage.RateFilter{Since: since, ActionType: text("restart")}, "[{oom w1 1 restart {3 2}}]"},
		"by injection": {datastorage.RateFilter{Since: since, ActionType: text("' OR 1=1 --")}, "[]"},
	} {
		got, err := s.CountExecutions(t.Context(), c.filter)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, %v, want %s", name, got, err, c.want)
		}
	}
}
