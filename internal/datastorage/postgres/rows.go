package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

func workflowParams(w datastorage.Workflow) (db.InsertWorkflowParams, error) {
	params := db.InsertWorkflowParams{
		WorkflowID: w.ID, WorkflowName: w.WorkflowName, Version: w.Version, Name: w.Title, Description: w.Description,
		Owner: optional(w.Owner), Maintainer: optional(w.Maintainer), Content: w.Content, ContentHash: w.ContentHash,
		ExecutionEngine: w.ExecutionEngine, Parameters: w.Parameters, ContainerImage: optional(w.ContainerImage),
		ContainerDigest: optional(w.ContainerDigest), Status: w.Status, CreatedDisabled: w.Status == "disabled",
		PreviousVersion:   optional(w.PreviousVersion),
		DeprecationNotice: optional(w.DeprecationNotice), VersionNotes: optional(w.VersionNotes),
		ChangeSummary: optional(w.ChangeSummary), ApprovedBy: optional(w.ApprovedBy), ApprovedAt: w.ApprovedAt,
		ExpectedSuccessRate: w.ExpectedSuccessRate, ExpectedDurationSeconds: w.ExpectedDurationSeconds,
		CreatedBy: optional(w.CreatedBy),
	}
	custom := w.CustomLabels
	if custom == nil {
		custom = datastorage.CustomLabels{}
	}
	for _, column := range []struct {
		to   *[]byte
		from any
	}{{&params.Labels, w.Labels}, {&params.CustomLabels, custom}, {&params.DetectedLabels, w.DetectedLabels}} {
		encoded, err := json.Marshal(column.from)
		if err != nil {
			return params, fmt.Errorf("encoding the labels of workflow %q: %w", w.WorkflowName, err)
		}
		*column.to = encoded
	}
	return params, nil
}

func workflow(row db.RemediationWorkflowCatalog) (datastorage.Workflow, error) {
	w := datastorage.Workflow{
		Definition: datastorage.Definition{
			WorkflowName: row.WorkflowName, Version: row.Version, Title: row.Name, Description: row.Description,
			Owner: value(row.Owner), Maintainer: value(row.Maintainer), Content: row.Content, ContentHash: row.ContentHash,
			Parameters: row.Parameters, ExecutionEngine: row.ExecutionEngine, ContainerImage: value(row.ContainerImage),
			ContainerDigest: value(row.ContainerDigest), PreviousVersion: value(row.PreviousVersion),
			DeprecationNotice: value(row.DeprecationNotice), VersionNotes: value(row.VersionNotes),
			ChangeSummary: value(row.ChangeSummary), ApprovedBy: value(row.ApprovedBy), ApprovedAt: utc(row.ApprovedAt),
			ExpectedSuccessRate: row.ExpectedSuccessRate, ExpectedDurationSeconds: row.ExpectedDurationSeconds,
			CreatedBy: value(row.CreatedBy),
		},
		ID: row.WorkflowID, Status: row.Status, IsLatest: row.IsLatestVersion, DisabledAt: utc(row.DisabledAt),
		DisabledBy: value(row.DisabledBy), DisabledReason: value(row.DisabledReason),
		ActualSuccessRate: row.ActualSuccessRate, TotalExecutions: row.TotalExecutions,
		SuccessfulExecutions: row.SuccessfulExecutions, CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
		UpdatedBy: value(row.UpdatedBy), RowVersion: row.RowVersion,
	}
	labels := storedLabels{row.Labels, row.CustomLabels, row.DetectedLabels}
	return w, labels.decode(&w.Labels, &w.CustomLabels, &w.DetectedLabels)
}

func candidate(row db.SearchCandidatesRow) (datastorage.Candidate, error) {
	c := datastorage.Candidate{
		ID: row.WorkflowID, Title: row.Name, Description: row.Description, ContainerImage: value(row.ContainerImage),
		ContainerDigest: value(row.ContainerDigest), CreatedAt: row.CreatedAt.UTC(),
	}
	labels := storedLabels{row.Labels, row.CustomLabels, row.DetectedLabels}
	return c, labels.decode(&c.Labels, &c.CustomLabels, &c.DetectedLabels)
}

type storedLabels struct{ mandatory, custom, detected []byte }

func (s storedLabels) decode(mandatory *datastorage.Labels, custom *datastorage.CustomLabels, detected *datastorage.DetectedLabels) error {
	for _, column := range []struct {
		from []byte
		to   any
	}{{s.mandatory, mandatory}, {s.custom, custom}, {s.detected, detected}} {
		if err := json.Unmarshal(column.from, column.to); err != nil {
			return fmt.Errorf("decoding stored labels: %w", err)
		}
	}
	return nil
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
