//go:build integration || faults || bench

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-faster/jx"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// settings is the installation's configuration as serve reads it.
func (i installation) settings(t *testing.T, environ ...string) datastorage.Config {
	t.Helper()
	file, err := os.ReadFile(i.config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := datastorage.ReadConfig(file, environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connect is a superuser's session in the installation's database.
func (i installation) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(setting(t, "KUBERNAUT_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	config.Database = i.settings(t).Database.Name
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// row is a stored event with everything that a sender decides.
type row struct {
	ID                                         uuid.UUID
	Date, Time                                 time.Time
	Version, Type, Category, Action, Outcome   string
	ActorType, ActorID, ResourceType, Resource string
	Correlation                                string
	Parent                                     *uuid.UUID
	Namespace, Cluster, Severity               *string
	Duration                                   *int32
	Data                                       string
}

// table is every stored event in the order of its arrival.
func (i installation) table(t *testing.T) []row {
	t.Helper()
	found, err := i.connect(t).Query(context.Background(), `
		SELECT event_id, event_date, event_timestamp, event_version, event_type, event_category, event_action, event_outcome,
			actor_type, actor_id, resource_type, resource_id, correlation_id, parent_event_id, namespace, cluster_name,
			severity, duration_ms, event_data::text
		FROM audit_events ORDER BY recorded_at, event_id`)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pgx.CollectRows(found, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// count is the number of stored events.
func (i installation) count(t *testing.T) (n int) {
	t.Helper()
	conn := i.connect(t)
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(context.Background(), `SELECT count(*) FROM audit_events`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// fullRequest is an event with every field, or with as few as possible if n is a multiple of seven.
func fullRequest(correlation string, n int) api.AuditEventRequest {
	e := api.AuditEventRequest{
		Version: "1.0", EventID: api.NewOptUUID(uuid.New()), EventType: "aianalysis.test", EventCategory: api.EventCategoryAnalysis,
		EventTimestamp: time.Now().UTC().Truncate(time.Microsecond), EventAction: fmt.Sprintf("a%d", n),
		EventOutcome: api.EventOutcomeSuccess, CorrelationID: correlation,
		EventData: jx.Raw(fmt.Sprintf(`{"n":%d,"secret":"canary","text":"ä \u0001 '\" <&>","amount":%d.50,"list":[null,true,{"deep":[1]}]}`, n, n)),
	}
	if n%7 == 0 {
		return e
	}
	e.EventOutcome = []api.EventOutcome{api.EventOutcomeSuccess, api.EventOutcomeFailure, api.EventOutcomePending}[n%3]
	e.ActorType, e.ActorID = api.NewOptString("user"), api.NewOptString("someone")
	e.ResourceType, e.ResourceID = api.NewOptString("Pod"), api.NewOptString(fmt.Sprintf("pod-%d", n))
	e.Namespace, e.ClusterName = api.NewOptNilString("shop"), api.NewOptNilString("east")
	e.Severity, e.DurationMs = api.NewOptNilString("high"), api.NewOptNilInt(n)
	return e
}

// expected is the row of an event.
func expected(e api.AuditEventRequest) row {
	text := func(value api.OptNilString, absent *string) *string {
		if v, set := value.Get(); set {
			return &v
		}
		return absent
	}
	info, when := "info", e.EventTimestamp.UTC()
	r := row{
		ID: e.EventID.Value, Date: time.Date(when.Year(), when.Month(), when.Day(), 0, 0, 0, 0, time.UTC), Time: when,
		Version: e.Version, Type: e.EventType, Category: string(e.EventCategory), Action: e.EventAction, Outcome: string(e.EventOutcome),
		ActorType: e.ActorType.Or("service"), ActorID: e.ActorID.Or(string(e.EventCategory) + "-service"),
		ResourceType: e.ResourceType.Or(string(e.EventCategory)), Resource: e.ResourceID.Or(e.CorrelationID),
		Correlation: e.CorrelationID, Namespace: text(e.Namespace, nil), Cluster: text(e.ClusterName, nil),
		Severity: text(e.Severity, &info), Data: string(e.EventData),
	}
	if id, set := e.ParentEventID.Get(); set {
		r.Parent = &id
	}
	if ms, set := e.DurationMs.Get(); set {
		n := int32(ms)
		r.Duration = &n
	}
	return r
}

// sameRow compares all fields; the data by value.
func sameRow(t *testing.T, got, want row) bool {
	t.Helper()
	if !sameJSON(t, got.Data, want.Data) || !got.Time.Equal(want.Time) {
		return false
	}
	got.Data, got.Time = want.Data, want.Time
	return reflect.DeepEqual(got, want)
}

// sameJSON compares values, not their spelling.
func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	decode := func(text string) (value any) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	return reflect.DeepEqual(decode(got), decode(want))
}

// holdsExactly says what is wrong with the table: it must hold each of these events once, with every field, and no other.
func (i installation) holdsExactly(t *testing.T, events []api.AuditEventRequest) {
	t.Helper()
	want := make(map[uuid.UUID]row, len(events))
	for _, e := range events {
		want[e.EventID.Value] = expected(e)
	}
	strangers, changed := 0, 0
	for _, got := range i.table(t) {
		w, known := want[got.ID]
		switch {
		case !known:
			strangers++
		case !sameRow(t, got, w):
			if changed++; changed == 1 {
				t.Errorf("stored %+v, sent %+v", got, w)
			}
		}
		delete(want, got.ID)
	}
	if strangers+changed+len(want) > 0 {
		t.Errorf("of %d events %d are lost and %d changed; %d rows are there twice or were never sent", len(events), len(want), changed, strangers)
	}
}

// reply is what a sender learns.
type reply struct {
	Status     int
	RetryAfter string
	Kept       string   `json:"status"` // accepted: in the queue; a problem has a number there
	ID         string   `json:"event_id"`
	IDs        []string `json:"event_ids"`
}

// until waits for a fact.
func until(t *testing.T, fact string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after a minute: not yet that %s", fact)
		}
	}
}

// metric is a sample of the service.
func (i installation) metric(t *testing.T, sample string) float64 {
	t.Helper()
	_, body := i.get(t, "/metrics")
	for line := range strings.Lines(body) {
		if text, found := strings.CutPrefix(line, sample+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("no sample %s", sample)
	return 0
}

// senderPatience is how long existing senders wait for an answer.
const senderPatience = 5 * time.Second
