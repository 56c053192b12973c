package httpapi

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"

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
	created, err := h.Workflows.CreateWorkflow(ctx, w, infoOf(ctx).origin())
	h.Metrics.wrote(tableCatalog, err)
	if err != nil {
		return nil, err
	}
	return &api.RemediationWorkflowHeaders{
		ETag: etag(created), Location: "/api/v1/workflows/" + created.ID.String(), Response: remediationWorkflow(created),
	}, nil
}

func etag(w datastorage.Workflow) string { return strconv.Quote(strconv.FormatInt(w.RowVersion, 10)) }

// unlessGone is the error of a query, unless its client has gone: the store takes the end of the context for a failure of
// its own.
func unlessGone(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return err
}

// GetWorkflowByID returns one version.
func (h *handler) GetWorkflowByID(ctx context.Context, p api.GetWorkflowByIDParams) (api.GetWorkflowByIDRes, error) {
	if err := h.usable(); err != nil {
		return nil, err
	}
	w, err := h.Workflows.GetWorkflow(ctx, p.WorkflowID)
	h.Metrics.queried("get", unlessGone(ctx, err))
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
	start := time.Now()
	found, err := datastorage.Find(ctx, h.Workflows, search)
	h.Metrics.queried("search", unlessGone(ctx, err))
	if err != nil {
		return nil, err
	}
	if found.Truncated {
		h.Metrics.SearchTruncated()
	}
	event, err := search.Audit(found.Ranked, found.Total, time.Since(start), infoOf(ctx).origin())
	if err != nil {
		return nil, err
	}
	h.Searched(event)
	ranked := found.Ranked
	answer := &api.WorkflowSearchResponse{
		Workflows: make([]api.WorkflowSearchResult, len(ranked)), TotalResults: found.Total, Filters: req.Filters}
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
func (h *handler) UpdateWorkflow(ctx context.Context, req *api.WorkflowUpdateRequest, p api.UpdateWorkflowParams) (api.UpdateWorkflowRes, error) {
	if err := immutable(req.AdditionalProps); err != nil {
		return nil, err
	}
	change := datastorage.Change{DisabledBy: pointer(req.DisabledBy.Get()), DisabledReason: pointer(req.DisabledReason.Get())}
	if status, set := req.Status.Get(); set {
		change.Status = pointer(string(status), true)
	}
	w, err := h.change(ctx, p.WorkflowID, change, p.IfMatch)
	if err != nil {
		return nil, err
	}
	return &api.GetWorkflowByIDOKHeaders{ETag: etag(w), Response: remediationWorkflow(w)}, nil
}

// DisableWorkflow disables a version; one that is disabled stays as it is.
func (h *handler) DisableWorkflow(ctx context.Context, req api.OptWorkflowDisableRequest, p api.DisableWorkflowParams) (api.DisableWorkflowRes, error) {
	body, _ := req.Get()
	change := datastorage.Change{Status: pointer("disabled", true), DisabledBy: pointer(body.UpdatedBy.Get()),
		DisabledReason: pointer(body.Reason.Get()), KeepDisabled: true}
	w, err := h.change(ctx, p.WorkflowID, change, p.IfMatch)
	if err != nil {
		return nil, err
	}
	return &api.GetWorkflowByIDOKHeaders{ETag: etag(w), Response: remediationWorkflow(w)}, nil
}

func (h *handler) change(ctx context.Context, id uuid.UUID, change datastorage.Change, ifMatch api.OptString) (datastorage.Workflow, error) {
	tag, given := ifMatch.Get()
	switch version, ok := rowVersion(tag); {
	case !given && h.RequireIfMatch:
		return datastorage.Workflow{}, &datastorage.Error{Kind: datastorage.PreconditionRequired,
			Detail: "send the ETag of the workflow as If-Match"}
	case given && !ok:
		return datastorage.Workflow{}, &datastorage.Error{Kind: datastorage.PreconditionFailed,
			Detail: "If-Match is no ETag of a workflow"}
	case given:
		change.RowVersion = &version
	}
	if err := h.usable(); err != nil {
		return datastorage.Workflow{}, err
	}
	w, err := h.Workflows.UpdateWorkflow(ctx, id, change, infoOf(ctx).origin())
	h.Metrics.wrote(tableCatalog, err)
	return w, err
}

// rowVersion reads what etag wrote.
func rowVersion(tag string) (int64, bool) {
	number, err := strconv.Unquote(tag)
	if err != nil || tag[0] != '"' {
		return 0, false
	}
	version, err := strconv.ParseInt(number, 10, 64)
	return version, err == nil
}

// immutable names the members of a workflow that a change may not have. What no workflow has is ignored.
func immutable[V any](members map[string]V) error {
	var errs datastorage.FieldErrors
	for _, name := range namesOf(members) {
		if _, known := contract()["RemediationWorkflow"].Properties[name]; known {
			errs.Add(name, "create a new version instead")
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &datastorage.Error{Kind: datastorage.Immutable, Detail: errs[0].Field + ": " + errs[0].Text, Fields: errs}
}
