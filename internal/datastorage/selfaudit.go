package datastorage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"time"
)

// Limits of the service's own events about searches.
const (
	selfAuditQueue = 1000
	selfAuditBatch = 100
)

// SelfAudit writes the service's own events about searches behind their back: it never delays or fails one. What finds no
// room, or no store, is dropped and counted.
type SelfAudit struct {
	Write   func(ctx context.Context, events []Event) (Receipt, error)
	Dropped func()
	Log     *slog.Logger

	queue chan Event
}

// NewSelfAudit makes an empty queue.
func NewSelfAudit(write func(context.Context, []Event) (Receipt, error), dropped func(), log *slog.Logger) *SelfAudit {
	return &SelfAudit{Write: write, Dropped: dropped, Log: log, queue: make(chan Event, selfAuditQueue)}
}

// Record takes an event, or drops it if the queue is full.
func (s *SelfAudit) Record(e Event) {
	select {
	case s.queue <- e:
	default:
		s.Dropped()
	}
}

// Run writes what comes until the context ends; Flush writes the rest.
func (s *SelfAudit) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-s.queue:
			s.write(context.WithoutCancel(ctx), e)
		}
	}
}

// Flush writes what is left, until the context ends.
func (s *SelfAudit) Flush(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case e := <-s.queue:
			s.write(ctx, e)
		default:
			return nil
		}
	}
	for range len(s.queue) {
		s.Dropped()
	}
	return ctx.Err()
}

// write takes along what else waits.
func (s *SelfAudit) write(ctx context.Context, first Event) {
	batch := []Event{first}
	for len(batch) < selfAuditBatch && len(s.queue) > 0 {
		batch = append(batch, <-s.queue)
	}
	ctx, cancel := Deadline(ctx, time.Now())
	defer cancel()
	if _, err := s.Write(ctx, batch); err != nil {
		s.Log.Warn("own audit events were not kept", "events", len(batch), "error", err)
		for range batch {
			s.Dropped()
		}
	}
}

// Audit is the event of a finished search.
func (s Search) Audit(found []Ranked, total int, took time.Duration, origin Origin) (Event, error) {
	type scoring struct {
		Confidence float64 `json:"confidence"`
	}
	type row struct {
		ID      string  `json:"workflow_id"`
		Title   string  `json:"title"`
		Rank    int     `json:"rank"`
		Scoring scoring `json:"scoring"`
	}
	rows := make([]row, len(found))
	for i, r := range found {
		rows[i] = row{r.ID.String(), r.Title, i + 1, scoring{r.Value()}}
	}
	filters := map[string]any{"signal_type": s.Labels.SignalType, "severity": s.Labels.Severity, "component": s.Labels.Component,
		"environment": s.Labels.Environment, "priority": s.Labels.Priority}
	data, err := json.Marshal(map[string]any{
		"query":           map[string]any{"top_k": s.TopK, "min_score": s.MinScore, "filters": filters},
		"results":         map[string]any{"total_found": total, "returned": len(rows), "workflows": rows},
		"search_metadata": map[string]any{"duration_ms": took.Milliseconds()},
	})
	e := ownEvent("workflow.catalog.search_completed", "search_completed", s.correlation(), time.Now())
	e.ResourceType, e.ResourceID, e.Data, e.Origin = "workflow_catalog", s.correlation(), data, origin
	return e, err
}

// correlation is the caller's, or the same for the same five labels.
func (s Search) correlation() string {
	if s.RemediationID != "" {
		return s.RemediationID
	}
	l := s.Labels
	sum := sha256.Sum256([]byte(strings.Join([]string{l.SignalType, l.Severity, l.Component, l.Environment, l.Priority}, "\x00")))
	return hex.EncodeToString(sum[:])[:16]
}
