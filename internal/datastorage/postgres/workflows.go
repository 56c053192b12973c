package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// CreateWorkflow adds a version; see datastorage.WorkflowStore.
func (s *Store) CreateWorkflow(ctx context.Context, w datastorage.Workflow, origin datastorage.Origin) (created datastorage.Workflow, err error) {
	err = s.writing(ctx, s.options.SingleTimeout, func(ctx context.Context, q *db.Queries) (err error) {
		created, err = createWorkflow(ctx, q, w, origin)
		return err
	})
	return created, err
}

// createWorkflow runs inside a transaction. It makes the new version the latest one and writes the audit event.
func createWorkflow(ctx context.Context, q *db.Queries, w datastorage.Workflow, origin datastorage.Origin) (datastorage.Workflow, error) {
	if err := q.LockWorkflowName(ctx, w.WorkflowName); err != nil {
		return w, fmt.Errorf("waiting for other writers of workflow %q: %w", w.WorkflowName, err)
	}
	if w.PreviousVersion == "" {
		latest, err := q.LatestWorkflowVersion(ctx, w.WorkflowName)
		if err != nil {
			return w, fmt.Errorf("reading the latest version of workflow %q: %w", w.WorkflowName, err)
		}
		w.PreviousVersion = strings.Join(latest, "") // none or one
	}
	if err := q.DemoteLatestWorkflow(ctx, w.WorkflowName); err != nil {
		return w, fmt.Errorf("demoting the latest version of workflow %q: %w", w.WorkflowName, err)
	}
	params, err := workflowParams(w)
	if err != nil {
		return w, err
	}
	row, err := q.InsertWorkflow(ctx, params)
	if isUniqueViolation(err) {
		return w, &datastorage.Error{Kind: datastorage.Conflict, Err: err, Detail: fmt.Sprintf(
			"workflow %s version %s exists already", datastorage.Quote(w.WorkflowName), datastorage.Quote(w.Version))}
	}
	if err != nil {
		return w, fmt.Errorf("storing workflow %q version %q: %w", w.WorkflowName, w.Version, err)
	}
	if w, err = workflow(row); err != nil {
		return w, err
	}
	return w, audit(ctx, q, w, nil, origin)
}

// audit writes the event of a change in the change's own transaction.
func audit(ctx context.Context, q *db.Queries, w datastorage.Workflow, from *datastorage.Workflow, origin datastorage.Origin) error {
	e, err := w.Audit(from, origin, time.Now())
	if err == nil {
		_, err = insertEvents(ctx, q, []datastorage.Event{e}, datastorage.AcceptParents)
	}
	if err != nil {
		return fmt.Errorf("auditing workflow %q version %q: %w", w.WorkflowName, w.Version, err)
	}
	return nil
}

// UpdateWorkflow changes the state of a version; see datastorage.WorkflowStore.
func (s *Store) UpdateWorkflow(ctx context.Context, id uuid.UUID, change datastorage.Change, origin datastorage.Origin) (after datastorage.Workflow, err error) {
	err = s.writing(ctx, s.options.SingleTimeout, func(ctx context.Context, q *db.Queries) error {
		row, err := q.LockWorkflow(ctx, id)
		if err != nil {
			return fmt.Errorf("reading workflow %s: %w", id, err)
		}
		before, err := workflow(row)
		if err != nil {
			return err
		}
		after, err = change.Apply(before, time.Now())
		if err != nil || after.SameState(before) {
			return err
		}
		row, err = q.UpdateWorkflow(ctx, db.UpdateWorkflowParams{WorkflowID: id, Status: after.Status, DisabledAt: after.DisabledAt,
			DisabledBy: optional(after.DisabledBy), DisabledReason: optional(after.DisabledReason), UpdatedBy: optional(after.UpdatedBy)})
		if err != nil {
			return fmt.Errorf("changing workflow %s: %w", id, err)
		}
		if after, err = workflow(row); err != nil {
			return err
		}
		return audit(ctx, q, after, &before, origin)
	})
	return after, err
}

// ListVersions hands over the versions of a name; see datastorage.WorkflowStore.
func (s *Store) ListVersions(ctx context.Context, workflowName string, each func(datastorage.Workflow) error) (total int, err error) {
	err = s.reading(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		ask := func(q *db.Queries) error {
			_, err := q.ListWorkflowVersions(ctx, workflowName, datastorage.MaxVersions)
			return err
		}
		err := rows(ctx, conn, ask, func(row db.RemediationWorkflowCatalog) error {
			w, err := workflow(row)
			if err != nil {
				return err
			}
			return each(w)
		})
		if err != nil {
			return fmt.Errorf("listing the versions of a workflow: %w", err)
		}
		count, err := db.New(conn).CountWorkflowVersions(ctx, workflowName)
		total = int(count)
		return err
	})
	return total, err
}

// Seed stores in one transaction the workflows that are not there. One that is there with another definition is a
// Conflict, and nothing is stored then. What operators changed since, such as the status, stays.
func (s *Store) Seed(ctx context.Context, workflows []datastorage.Workflow) (results []datastorage.SeedResult, err error) {
	err = s.writing(ctx, s.options.BatchTimeout, func(ctx context.Context, q *db.Queries) error {
		results = results[:0]
		if err := lockNames(ctx, q, workflows); err != nil {
			return err
		}
		for _, w := range workflows {
			created, err := seedWorkflow(ctx, q, w)
			if err != nil {
				return err
			}
			results = append(results, datastorage.SeedResult{
				ID: w.ID, WorkflowName: w.WorkflowName, Version: w.Version, Created: created})
		}
		return nil
	})
	return results, err
}

// lockNames takes the locks in one order, so that two seeds never wait for each other in a circle.
func lockNames(ctx context.Context, q *db.Queries, workflows []datastorage.Workflow) error {
	names := make([]string, len(workflows))
	for i, w := range workflows {
		names[i] = w.WorkflowName
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if err := q.LockWorkflowName(ctx, name); err != nil {
			return fmt.Errorf("waiting for other writers of workflow %q: %w", name, err)
		}
	}
	return nil
}

func seedWorkflow(ctx context.Context, q *db.Queries, w datastorage.Workflow) (created bool, err error) {
	row, err := q.GetWorkflow(ctx, w.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		_, err = createWorkflow(ctx, q, w, datastorage.Origin{RequestID: "seed"})
		return true, err
	}
	if err != nil {
		return false, fmt.Errorf("reading workflow %q version %q: %w", w.WorkflowName, w.Version, err)
	}
	stored, err := workflow(row)
	if err != nil {
		return false, err
	}
	if parts := w.Differences(stored.Definition); len(parts) > 0 {
		return false, &datastorage.Error{Kind: datastorage.Conflict, Detail: fmt.Sprintf(
			"workflow %q version %q is stored with another %s (content hash %s, to be seeded %s)",
			w.WorkflowName, w.Version, strings.Join(parts, ", "), stored.ContentHash, w.ContentHash)}
	}
	return false, nil
}

// GetWorkflow reads one version by its id.
func (s *Store) GetWorkflow(ctx context.Context, id uuid.UUID) (found datastorage.Workflow, err error) {
	err = s.reading(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		row, err := db.New(conn).GetWorkflow(ctx, id)
		if err != nil {
			return fmt.Errorf("reading workflow %s: %w", id, err)
		}
		found, err = workflow(row)
		return err
	})
	return found, err
}

// ListWorkflows hands over one page; see datastorage.WorkflowStore.
func (s *Store) ListWorkflows(ctx context.Context, f datastorage.WorkflowFilter, page datastorage.Page, each func(datastorage.Workflow) error) (total int, err error) {
	params := db.ListWorkflowsParams{
		Status: f.Status, Environment: f.Environment, Priority: f.Priority, Component: f.Component,
		RowLimit: int32(page.Limit), RowOffset: int32(page.Offset),
	}
	err = s.reading(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		err := rows(ctx, conn, func(q *db.Queries) error { _, err := q.ListWorkflows(ctx, params); return err },
			func(row db.RemediationWorkflowCatalog) error {
				w, err := workflow(row)
				if err != nil {
					return err
				}
				return each(w)
			})
		if err != nil {
			return fmt.Errorf("listing workflows: %w", err)
		}
		count, err := db.New(conn).CountWorkflows(ctx, db.CountWorkflowsParams{
			Status: f.Status, Environment: f.Environment, Priority: f.Priority, Component: f.Component})
		total = int(count)
		return err
	})
	return total, err
}

// Candidates applies the hard filters of a search; see datastorage.WorkflowStore.
func (s *Store) Candidates(ctx context.Context, search datastorage.Search, limit int) (found []datastorage.Candidate, err error) {
	err = s.reading(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := db.New(conn).SearchCandidates(ctx, db.SearchCandidatesParams{
			SignalType: search.Labels.SignalType, Severity: search.Labels.Severity, Statuses: search.States(),
			Component: search.Labels.Component, Environment: search.Labels.Environment, Priority: search.Labels.Priority,
			RowLimit: int32(limit),
		})
		if err != nil {
			return fmt.Errorf("searching workflows: %w", err)
		}
		for _, row := range rows {
			c, err := candidate(row)
			if err != nil {
				return err
			}
			found = append(found, c)
		}
		return nil
	})
	return found, err
}
