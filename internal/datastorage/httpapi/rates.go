package httpapi

import (
	"context"
	"time"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// asked is the common part of a question for a rate. Its texts were checked.
type rateQuestion struct {
	datastorage.RateFilter
	timeRange  string
	minSamples int
}

func (h *handler) rateQuestion(timeRange api.OptString, minSamples api.OptInt) rateQuestion {
	q := rateQuestion{timeRange: timeRange.Or("7d"), minSamples: minSamples.Or(5)}
	span, _ := datastorage.ParseTimeRange(q.timeRange)
	q.Since = h.now().Add(-span).UTC().Truncate(time.Microsecond)
	return q
}

func (h *handler) executions(ctx context.Context, q rateQuestion) ([]datastorage.Executions, error) {
	if err := h.usable(); err != nil {
		return nil, err
	}
	return h.Rates.CountExecutions(ctx, q.RateFilter)
}

// SuccessRateByIncidentType tells how often executions for an incident type succeed.
func (h *handler) SuccessRateByIncidentType(ctx context.Context, p api.SuccessRateByIncidentTypeParams) (api.SuccessRateByIncidentTypeRes, error) {
	q := h.rateQuestion(p.TimeRange, p.MinSamples)
	q.IncidentType = &p.IncidentType
	found, err := h.executions(ctx, q)
	if err != nil {
		return nil, err
	}
	sum := datastorage.SumOf(found)
	return &api.IncidentTypeSuccessRate{
		IncidentType: p.IncidentType, TimeRange: q.timeRange, TotalExecutions: sum.Total, SuccessfulExecutions: sum.Successful,
		FailedExecutions: sum.Total - sum.Successful, SuccessRate: sum.Percent(),
		Confidence: api.IncidentTypeSuccessRateConfidence(sum.Confidence()), MinSamplesMet: sum.Total >= q.minSamples,
		BreakdownByWorkflow: byWorkflow(found),
	}, nil
}

// SuccessRateByWorkflow tells how often executions of a workflow succeed.
func (h *handler) SuccessRateByWorkflow(ctx context.Context, p api.SuccessRateByWorkflowParams) (api.SuccessRateByWorkflowRes, error) {
	q := h.rateQuestion(p.TimeRange, p.MinSamples)
	q.WorkflowID, q.WorkflowVersion = &p.WorkflowID, pointer(p.WorkflowVersion.Get())
	found, err := h.executions(ctx, q)
	if err != nil {
		return nil, err
	}
	sum := datastorage.SumOf(found)
	return &api.WorkflowSuccessRate{
		WorkflowID: p.WorkflowID, WorkflowVersion: p.WorkflowVersion, TimeRange: q.timeRange, TotalExecutions: sum.Total,
		SuccessfulExecutions: sum.Successful, FailedExecutions: sum.Total - sum.Successful, SuccessRate: sum.Percent(),
		Confidence: api.WorkflowSuccessRateConfidence(sum.Confidence()), MinSamplesMet: sum.Total >= q.minSamples,
		BreakdownByIncidentType: byIncidentType(found),
	}, nil
}

// SuccessRateByDimensions tells how often executions succeed that have all the given members.
func (h *handler) SuccessRateByDimensions(ctx context.Context, p api.SuccessRateByDimensionsParams) (api.SuccessRateByDimensionsRes, error) {
	q := h.rateQuestion(p.TimeRange, p.MinSamples)
	q.IncidentType, q.WorkflowID = pointer(p.IncidentType.Get()), pointer(p.WorkflowID.Get())
	q.WorkflowVersion, q.ActionType = pointer(p.WorkflowVersion.Get()), pointer(p.ActionType.Get())
	var errs datastorage.FieldErrors
	if q.IncidentType == nil && q.WorkflowID == nil && q.ActionType == nil {
		errs.Add("incident_type", "one of incident_type, workflow_id and action_type is required")
	}
	if q.WorkflowVersion != nil && q.WorkflowID == nil {
		errs.Add("workflow_version", "may be given only together with workflow_id")
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	found, err := h.executions(ctx, q)
	if err != nil {
		return nil, err
	}
	sum := datastorage.SumOf(found)
	answer := &api.DimensionsSuccessRate{
		Dimensions: api.RateDimensions{IncidentType: p.IncidentType, WorkflowID: p.WorkflowID, WorkflowVersion: p.WorkflowVersion, ActionType: p.ActionType},
		TimeRange:  q.timeRange, TotalExecutions: sum.Total, SuccessfulExecutions: sum.Successful,
		FailedExecutions: sum.Total - sum.Successful, SuccessRate: sum.Percent(),
		Confidence: api.DimensionsSuccessRateConfidence(sum.Confidence()), MinSamplesMet: sum.Total >= q.minSamples,
	}
	if q.WorkflowID == nil {
		answer.BreakdownByWorkflow = byWorkflow(found)
	}
	if q.IncidentType == nil {
		answer.BreakdownByIncidentType = byIncidentType(found)
	}
	if q.ActionType == nil {
		answer.BreakdownByAction = byAction(found)
	}
	return answer, nil
}

func byWorkflow(all []datastorage.Executions) []api.WorkflowBreakdown {
	sums := datastorage.Breakdown(all, func(e datastorage.Executions) [2]string { return [2]string{e.WorkflowID, e.WorkflowVersion} })
	rows := make([]api.WorkflowBreakdown, len(sums))
	for i, s := range sums {
		rows[i] = api.WorkflowBreakdown{WorkflowID: s.WorkflowID, WorkflowVersion: s.WorkflowVersion, Executions: s.Total, SuccessRate: s.Percent()}
	}
	return rows
}

func byIncidentType(all []datastorage.Executions) []api.IncidentTypeBreakdown {
	sums := datastorage.Breakdown(all, func(e datastorage.Executions) [2]string { return [2]string{e.IncidentType} })
	rows := make([]api.IncidentTypeBreakdown, len(sums))
	for i, s := range sums {
		rows[i] = api.IncidentTypeBreakdown{IncidentType: s.IncidentType, Executions: s.Total, SuccessRate: s.Percent()}
	}
	return rows
}

func byAction(all []datastorage.Executions) []api.ActionBreakdown {
	sums := datastorage.Breakdown(all, func(e datastorage.Executions) [2]string { return [2]string{e.ActionType} })
	rows := make([]api.ActionBreakdown, len(sums))
	for i, s := range sums {
		rows[i] = api.ActionBreakdown{ActionType: s.ActionType, Executions: s.Total, SuccessRate: s.Percent()}
	}
	return rows
}
