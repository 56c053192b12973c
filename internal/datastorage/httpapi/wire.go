package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-faster/jx"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// DecodeWorkflow reads one workflow in the form of the contract, checked and complete.
func DecodeWorkflow(raw []byte) (datastorage.Workflow, error) {
	var req api.RemediationWorkflow
	if err := checkBody("RemediationWorkflow", raw).Err(); err != nil {
		return datastorage.Workflow{}, err
	}
	if err := req.Decode(jx.DecodeBytes(raw)); err != nil {
		return datastorage.Workflow{}, fmt.Errorf("decoding a workflow: %w", err)
	}
	if err := req.Validate(); err != nil {
		return datastorage.Workflow{}, fmt.Errorf("checking a workflow: %w", err)
	}
	return workflowOf(&req)
}

// workflowOf takes what the author may say; what the server sets is ignored.
func workflowOf(req *api.RemediationWorkflow) (datastorage.Workflow, error) {
	w := datastorage.Workflow{Status: string(req.Status), Definition: datastorage.Definition{
		WorkflowName: req.WorkflowName, Version: req.Version, Title: req.Name, Description: req.Description,
		Owner: req.Owner.Or(""), Maintainer: req.Maintainer.Or(""), Content: req.Content, ContentHash: req.ContentHash,
		ExecutionEngine: req.ExecutionEngine, ContainerImage: req.ContainerImage.Or(""),
		ContainerDigest: req.ContainerDigest.Or(""), CustomLabels: customOf(req.CustomLabels),
		DetectedLabels: detectedOf(req.DetectedLabels), PreviousVersion: req.PreviousVersion.Or(""),
		DeprecationNotice: req.DeprecationNotice.Or(""), VersionNotes: req.VersionNotes.Or(""),
		ChangeSummary: req.ChangeSummary.Or(""), ApprovedBy: req.ApprovedBy.Or(""),
		ApprovedAt: pointer(req.ApprovedAt.Get()), CreatedBy: req.CreatedBy.Or(""),
		Labels: datastorage.Labels{
			SignalType: req.Labels.SignalType, Severity: string(req.Labels.Severity), Component: req.Labels.Component,
			Environment: req.Labels.Environment, Priority: string(req.Labels.Priority),
		},
	}}
	if rate, set := req.ExpectedSuccessRate.Get(); set {
		w.ExpectedSuccessRate = pointer(float64(rate), true)
	}
	if seconds, set := req.ExpectedDurationSeconds.Get(); set {
		w.ExpectedDurationSeconds = pointer(int32(seconds), true) // the contract bounds it
	}
	if parameters, set := req.Parameters.Get(); set {
		raw, err := json.Marshal(rawMembers(parameters))
		if err != nil {
			return w, datastorage.FieldErrors{{Field: "parameters", Text: "must be a JSON object"}}.Err()
		}
		w.Parameters = raw
	}
	if err := w.Check(); err != nil {
		return w, err
	}
	return w.Complete(), nil
}

func rawMembers(members map[string]jx.Raw) map[string]json.RawMessage {
	raw := make(map[string]json.RawMessage, len(members))
	for name, member := range members {
		raw[name] = json.RawMessage(member)
	}
	return raw
}

func remediationWorkflow(w datastorage.Workflow) api.RemediationWorkflow {
	answer := api.RemediationWorkflow{
		WorkflowID: api.NewOptUUID(w.ID), WorkflowName: w.WorkflowName, Version: w.Version, Name: w.Title,
		Description: w.Description, Owner: optString(w.Owner), Maintainer: optString(w.Maintainer), Content: w.Content,
		ContentHash: w.ContentHash, Parameters: optParameters(w.Parameters), ExecutionEngine: w.ExecutionEngine,
		ContainerImage: optString(w.ContainerImage), ContainerDigest: optString(w.ContainerDigest),
		Labels: api.MandatoryLabels{
			SignalType: w.Labels.SignalType, Severity: api.MandatoryLabelsSeverity(w.Labels.Severity),
			Component: w.Labels.Component, Environment: w.Labels.Environment,
			Priority: api.MandatoryLabelsPriority(w.Labels.Priority),
		},
		CustomLabels: optCustom(w.CustomLabels), DetectedLabels: optDetected(w.DetectedLabels),
		Status: api.WorkflowStatus(w.Status), DisabledAt: optTime(w.DisabledAt), DisabledBy: optString(w.DisabledBy),
		DisabledReason: optString(w.DisabledReason), IsLatestVersion: api.NewOptBool(w.IsLatest),
		PreviousVersion: optString(w.PreviousVersion), DeprecationNotice: optString(w.DeprecationNotice),
		VersionNotes: optString(w.VersionNotes), ChangeSummary: optString(w.ChangeSummary),
		ApprovedBy: optString(w.ApprovedBy), ApprovedAt: optTime(w.ApprovedAt),
		ExpectedSuccessRate: optFloat(w.ExpectedSuccessRate), ActualSuccessRate: optFloat(w.ActualSuccessRate),
		TotalExecutions:      api.NewOptInt(int(w.TotalExecutions)),
		SuccessfulExecutions: api.NewOptInt(int(w.SuccessfulExecutions)),
		CreatedAt:            api.NewOptDateTime(w.CreatedAt), UpdatedAt: api.NewOptDateTime(w.UpdatedAt),
		CreatedBy: optString(w.CreatedBy), UpdatedBy: optString(w.UpdatedBy),
	}
	if w.ExpectedDurationSeconds != nil {
		answer.ExpectedDurationSeconds = api.NewOptInt(int(*w.ExpectedDurationSeconds))
	}
	return answer
}

func optTime(t *time.Time) api.OptDateTime {
	if t == nil {
		return api.OptDateTime{}
	}
	return api.NewOptDateTime(*t)
}

func optFloat(f *float64) api.OptFloat32 {
	if f == nil {
		return api.OptFloat32{}
	}
	return api.NewOptFloat32(float32(*f))
}

// optParameters reads what the database returned, which is an object by its own constraint.
func optParameters(raw json.RawMessage) api.OptRemediationWorkflowParameters {
	members := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(raw)) == 0 || json.Unmarshal(raw, &members) != nil {
		return api.OptRemediationWorkflowParameters{}
	}
	parameters := make(api.RemediationWorkflowParameters, len(members))
	for name, member := range members {
		parameters[name] = jx.Raw(member)
	}
	return api.NewOptRemediationWorkflowParameters(parameters)
}

func searchOf(req *api.WorkflowSearchRequest) datastorage.Search {
	f := req.Filters
	search := datastorage.Search{
		Labels: datastorage.Labels{
			SignalType: f.SignalType, Severity: string(f.Severity), Component: f.Component, Environment: f.Environment,
			Priority: string(f.Priority),
		},
		CustomLabels: customOf(f.CustomLabels), DetectedLabels: detectedOf(f.DetectedLabels),
		IncludeDisabled: req.IncludeDisabled.Or(false), TopK: req.TopK.Or(10), MinScore: req.MinScore.Or(0),
		RemediationID: req.RemediationID.Or(""),
	}
	for _, status := range f.Status {
		search.Statuses = append(search.Statuses, string(status))
	}
	return search
}

func customOf(custom api.OptCustomLabels) datastorage.CustomLabels {
	labels, _ := custom.Get()
	return datastorage.CustomLabels(labels)
}

func optCustom(labels datastorage.CustomLabels) api.OptCustomLabels {
	if len(labels) == 0 {
		return api.OptCustomLabels{}
	}
	return api.NewOptCustomLabels(api.CustomLabels(labels))
}

func detectedOf(detected api.OptDetectedLabels) datastorage.DetectedLabels {
	d, _ := detected.Get()
	labels := datastorage.DetectedLabels{
		GitOpsManaged: d.GitOpsManaged.Or(false), GitOpsTool: string(d.GitOpsTool.Or("")),
		PDBProtected: d.PdbProtected.Or(false), HPAEnabled: d.HpaEnabled.Or(false), Stateful: d.Stateful.Or(false),
		HelmManaged: d.HelmManaged.Or(false), NetworkIsolated: d.NetworkIsolated.Or(false),
		ServiceMesh: string(d.ServiceMesh.Or("")),
	}
	for _, label := range d.FailedDetections {
		labels.FailedDetections = append(labels.FailedDetections, string(label))
	}
	return labels
}

func optDetected(d datastorage.DetectedLabels) api.OptDetectedLabels {
	if d.IsZero() {
		return api.OptDetectedLabels{}
	}
	set := func(is bool) api.OptBool { return api.OptBool{Value: is, Set: is} }
	labels := api.DetectedLabels{
		GitOpsManaged: set(d.GitOpsManaged), PdbProtected: set(d.PDBProtected), HpaEnabled: set(d.HPAEnabled),
		Stateful: set(d.Stateful), HelmManaged: set(d.HelmManaged), NetworkIsolated: set(d.NetworkIsolated),
	}
	if d.GitOpsTool != "" {
		labels.GitOpsTool = api.NewOptDetectedLabelsGitOpsTool(api.DetectedLabelsGitOpsTool(d.GitOpsTool))
	}
	if d.ServiceMesh != "" {
		labels.ServiceMesh = api.NewOptDetectedLabelsServiceMesh(api.DetectedLabelsServiceMesh(d.ServiceMesh))
	}
	for _, label := range d.FailedDetections {
		labels.FailedDetections = append(labels.FailedDetections, api.DetectedLabelsFailedDetectionsItem(label))
	}
	return api.NewOptDetectedLabels(labels)
}
