package httpapi

import (
	"context"
	"errors"
	"strconv"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// CreateWorkflow adds a version to the catalog.
func (h *handler) CreateWorkflow(ctx context.Context, req *api.RemediationWorkflow) (api.CreateWorkflowRes, error) {
	w, err := workflowOf(req)
	if err != nil {
		return nil, err
	}
	if err := h.usable(); err != nil {
		return nil, err
	}
	created, err := h.Workflows.CreateWorkflow(ctx, w)
	h.Metrics.wrote(tableCatalog, err)
	if err != nil {
		return nil, err
	}
	return &api.RemediationWorkflowHeaders{
		ETag: etag(created), Location: "/api/v1/workflows/" + created.ID.String(), Response: remediationWorkflow(created),
	}, nil
}

func etag(w datastorage.Workflow) string { return strconv.Quote(strconv.FormatInt(w.RowVersion, 10)) }

// GetWorkflowByID returns one version.
func (h *handler) GetWorkflowByID(ctx context.Context, p api.GetWorkflowByIDParams) (api.GetWorkflowByIDRes, error) {
	if err := h.usable(); err != nil {
		return nil, err
	}
	w, err := h.Workflows.GetWorkflow(ctx, p.WorkflowID)
	h.Metrics.queried("get", err)
	if err != nil {
		return nil, err
	}
	return &api.GetWorkflowByIDOKHeaders{ETag: etag(w), Response: remediationWorkflow(w)}, nil
}

// maxPenalty is below the contract's 0.20, because a strict client holds it as a 32-bit float, in which 0.2 is above.
const maxPenalty = 0.1999

// SearchWorkflows ranks what fits.
func (h *handler) SearchWorkflows(ctx context.Context, req *api.WorkflowSearchRequest) (api.SearchWorkflowsRes, error) {
	search := searchOf(req)
	if err := search.Check(); err != nil {
		return nil, err
	}
	if err := h.usable(); err != nil {
		return nil, err
	}
	ranked, total, err := datastorage.Find(ctx, h.Workflows, search)
	h.Metrics.queried("search", err)
	if err != nil {
		return nil, err
	}
	answer := &api.WorkflowSearchResponse{
		Workflows: make([]api.WorkflowSearchResult, len(ranked)), TotalResults: total, Filters: req.Filters}
	for i, r := range ranked {
		score := float32(r.Value())
		answer.Workflows[i] = api.WorkflowSearchResult{
			WorkflowID: r.ID, Title: r.Title, Description: r.Description, SignalType: r.Labels.SignalType,
			ContainerImage: optString(r.ContainerImage), ContainerDigest: optString(r.ContainerDigest),
			Confidence: score, FinalScore: score, Rank: i + 1,
			LabelBoost:   api.NewOptFloat32(float32(r.Boost) / 200),
			LabelPenalty: api.NewOptFloat32(min(float32(r.Penalty)/200, maxPenalty)),
			CustomLabels: optCustom(r.CustomLabels), DetectedLabels: optDetected(r.DetectedLabels),
		}
	}
	return answer, nil
}

// UpdateWorkflow changes the state of a version.
func (h *handler) UpdateWorkflow(context.Context, *api.WorkflowUpdateRequest, api.UpdateWorkflowParams) (api.UpdateWorkflowRes, error) {
	return nil, errors.ErrUnsupported
}

// DisableWorkflow disables a version.
func (h *handler) DisableWorkflow(context.Context, api.OptWorkflowDisableRequest, api.DisableWorkflowParams) (api.DisableWorkflowRes, error) {
	return nil, errors.ErrUnsupported
}

// ListWorkflowVersions returns every version of one name.
func (h *handler) ListWorkflowVersions(context.Context, api.ListWorkflowVersionsParams) (api.ListWorkflowVersionsRes, error) {
	return nil, errors.ErrUnsupported
}
