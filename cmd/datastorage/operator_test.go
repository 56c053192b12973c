//go:build integration

package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPartitionsCommand(t *testing.T) {
	i := install(t)
	if out, err := i.command(t, "migrate"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	statement(t, i.admin(t), `INSERT INTO audit_events (event_id, event_date, event_timestamp, event_type, event_category, event_action, event_outcome,
		actor_type, actor_id, resource_type, resource_id, correlation_id, event_data)
		SELECT gen_random_uuid(), d, d, 't', 'analysis', 'a', 'success', 's', 's', 'r', 'r', 'rr', '{}'
		FROM unnest(ARRAY['2021-03-05'::date, '2021-03-06', '2021-04-01', now()::date]) AS d`)
	var mistake usageError
	for _, c := range []struct {
		args  []string
		wants []string
		usage bool
	}{
		{nil, []string{"audit_events_default: 3 events"}, false},
		{[]string{"--repair"}, []string{"moved to audit_events_2021_03: 2 events", "moved to audit_events_2021_04: 1 events"}, false},
		{[]string{"--repair"}, nil, false},
		{[]string{"--drop-before", "2021-04"}, []string{"would drop audit_events_2021_03: 2 events"}, true},
		{[]string{"--drop-before", "2021-04", "--repair"}, nil, true},
		{[]string{"--drop-before", "April"}, nil, true},
		{[]string{"--drop-before", "2021-04", "--yes"}, []string{"dropped audit_events_2021_03: 2 events"}, false},
		{nil, []string{"audit_events_2021_04: 1 events", time.Now().UTC().Format("audit_events_2006_01") + ": 1 events", "audit_events_default: 0 events"}, false},
	} {
		out, err := i.command(t, append([]string{"partitions"}, c.args...)...)
		if errors.As(err, &mistake) != c.usage || !c.usage && err != nil {
			t.Errorf("%v: error %v", c.args, err)
		}
		for _, want := range c.wants {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no %q in\n%s", c.args, want, out)
			}
		}
	}
}

func TestMigrateStatus(t *testing.T) {
	i := install(t)
	out, err := i.command(t, "migrate", "status")
	if err != nil || strings.Count(out, "pending") != 3 {
		t.Errorf("before: %v\n%s", err, out)
	}
	if out, err := i.command(t, "migrate"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	if out, err = i.command(t, "migrate", "status"); err != nil || strings.Count(out, "applied 2") != 3 {
		t.Errorf("after: %v\n%s", err, out)
	}
}
