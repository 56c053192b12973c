package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// SearchTool is the catalog tool of HolmesGPT-API; when it is offered, a search comes before every answer.
const SearchTool = "search_workflow_catalog"

// catalogNamespace is the namespace in which Data Storage derives workflow ids.
var catalogNamespace = uuid.MustParse("f965e0b5-18cb-5d87-82ee-c4d9f1c09119")

// WorkflowID is the catalog's id of a workflow: UUID version 5 of `<name>@<version>`.
func WorkflowID(name, version string) string {
	return uuid.NewSHA1(catalogNamespace, []byte(name+"@"+version)).String()
}

// SearchArguments is the call of turn 1, as JSON.
func SearchArguments(prompt Prompt, row Row) (string, error) {
	type resource struct {
		SignalType string `json:"signal_type"`
		Kind       string `json:"kind"`
		Namespace  string `json:"namespace"`
		Name       string `json:"name"`
	}
	text, err := json.Marshal(struct {
		Query    string   `json:"query"`
		Resource resource `json:"rca_resource"`
		TopK     int      `json:"top_k"`
	}{
		row.SignalType + " " + row.Severity,
		resource{row.SignalType, prompt.ResourceKind, prompt.Namespace, prompt.Name}, 10,
	})
	return string(text), err
}

// Lookup finds the catalog id of a workflow; false means the answer must not name it.
type Lookup func(choice Choice) (string, bool)

// ByRule computes ids: used when no search was offered, and for alternatives.
func ByRule(choice Choice) (string, bool) { return WorkflowID(choice.Workflow, choice.Version), true }

// InResult looks workflows up by name in the text of a search result, which ends with the object that begins with
// `{"workflows"`; whatever stands before it is skipped.
func InResult(text string) Lookup {
	var result struct {
		Workflows []struct {
			ID   string `json:"workflow_id"`
			Name string `json:"workflow_name"`
		} `json:"workflows"`
	}
	ids := map[string]string{}
	if at := strings.Index(text, `{"workflows"`); at >= 0 {
		// An unreadable result is an empty one: the answer then carries no workflow, and the spec fails.
		if err := json.NewDecoder(strings.NewReader(text[at:])).Decode(&result); err == nil {
			for _, workflow := range result.Workflows {
				ids[workflow.Name] = workflow.ID
			}
		}
	}
	return func(choice Choice) (string, bool) {
		id, found := ids[choice.Workflow]
		return id, found
	}
}

type (
	verdictJSON struct {
		RootCause    rootCauseJSON  `json:"root_cause_analysis"`
		Selected     *choiceJSON    `json:"selected_workflow"`
		Alternatives []choiceJSON   `json:"alternative_workflows"`
		Confidence   float64        `json:"confidence"`
		Outcome      string         `json:"investigation_outcome,omitempty"`
		CanRecover   *bool          `json:"can_recover,omitempty"`
		Strategies   []strategyJSON `json:"strategies,omitempty"`
		Recovery     *recoveryJSON  `json:"recovery_analysis,omitempty"`
	}
	rootCauseJSON struct {
		Summary    string       `json:"summary"`
		Severity   string       `json:"severity"`
		SignalType string       `json:"signal_type"`
		Factors    []string     `json:"contributing_factors"`
		Affected   resourceJSON `json:"affected_resource"`
	}
	resourceJSON struct {
		Kind      string `json:"kind"`
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	}
	choiceJSON struct {
		ID         string            `json:"workflow_id"`
		Version    string            `json:"version,omitempty"`
		Image      string            `json:"container_image,omitempty"`
		Confidence float64           `json:"confidence"`
		Rationale  string            `json:"rationale"`
		Parameters map[string]string `json:"parameters,omitempty"`
	}
	strategyJSON struct {
		ActionType    string   `json:"action_type"`
		Confidence    float64  `json:"confidence"`
		Rationale     string   `json:"rationale"`
		EstimatedRisk string   `json:"estimated_risk"`
		Prerequisites []string `json:"prerequisites"`
	}
	recoveryJSON struct {
		Assessment assessmentJSON `json:"previous_attempt_assessment"`
		Refinement string         `json:"root_cause_refinement"`
	}
	assessmentJSON struct {
		FailureUnderstood bool   `json:"failure_understood"`
		FailureReason     string `json:"failure_reason_analysis"`
		StateChanged      bool   `json:"state_changed"`
		CurrentSignalType string `json:"current_signal_type"`
	}
)

// Answer is the text of the last turn: a sentence of prose and one fenced JSON block.
func Answer(prompt Prompt, row Row, special Special, lookup Lookup) (string, error) {
	verdict, change := row.Incident, special.change(prompt.Attempt)
	if prompt.Kind == Recovery {
		verdict = row.Recovery
	}
	body := verdictJSON{
		RootCause: rootCauseJSON{
			row.Summary, row.Severity, row.SignalType, append([]string{}, row.ContributingFactors...),
			affected(prompt, special),
		},
		Alternatives: []choiceJSON{}, Confidence: verdict.Confidence, Outcome: verdict.Outcome,
	}
	if id, found := lookup(verdict.Choice); found && verdict.Workflow != "" {
		chosen := choiceOf(verdict.Choice, id)
		chosen.Parameters = prompt.fill(verdict.Parameters)
		change.apply(&chosen)
		body.Selected = &chosen
	}
	for _, alternative := range verdict.Alternatives {
		id, _ := ByRule(alternative)
		body.Alternatives = append(body.Alternatives, choiceOf(alternative, id))
	}
	if prompt.Kind == Recovery {
		addRecovery(&body, row, verdict)
	}
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encoding the answer of row %q: %w", row.SignalType, err)
	}
	block := string(text) + "\n```\n"
	if change.Cut {
		block = block[:len(text)/2]
	}
	return fmt.Sprintf("%s. The evidence points at %s.\n\n```json\n%s", row.Summary, row.SignalType, block), nil
}

func affected(prompt Prompt, special Special) resourceJSON {
	if r := special.Affected; r != nil {
		return resourceJSON{r.Kind, r.Name, r.Namespace}
	}
	return resourceJSON{prompt.ResourceKind, prompt.Name, prompt.Namespace}
}

func (c Change) apply(chosen *choiceJSON) {
	chosen.ID = cmp.Or(c.WorkflowID, chosen.ID)
	chosen.Image = cmp.Or(c.ContainerImage, chosen.Image)
	delete(chosen.Parameters, c.Without)
}

func addRecovery(body *verdictJSON, row Row, verdict Verdict) {
	body.CanRecover = verdict.CanRecover
	for _, strategy := range verdict.Strategies {
		body.Strategies = append(body.Strategies, strategyJSON{
			strategy.ActionType, verdict.Confidence, strategy.Rationale, strategy.EstimatedRisk, []string{},
		})
	}
	if assessment := verdict.Assessment; assessment != nil {
		body.Recovery = &recoveryJSON{
			assessmentJSON{
				assessment.FailureUnderstood, assessment.FailureReason, assessment.StateChanged, row.SignalType,
			},
			row.Summary,
		}
	}
}

func choiceOf(choice Choice, id string) choiceJSON {
	return choiceJSON{
		ID: id, Version: choice.Version, Image: choice.ContainerImage,
		Confidence: choice.Confidence, Rationale: choice.Rationale,
	}
}

// fill puts the request's values in place of <ns>, <name> and <previous>.
func (p Prompt) fill(parameters map[string]string) map[string]string {
	replace := strings.NewReplacer("<ns>", p.Namespace, "<name>", p.Name, "<previous>", p.PreviousWorkflow)
	filled := make(map[string]string, len(parameters))
	for name, value := range parameters {
		filled[name] = replace.Replace(value)
	}
	return filled
}
