package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Prompt is what the head of the user message tells: lines of its own, up to the first empty line.
type Prompt struct {
	RemediationID, Kind, SignalType string
	Attempt                         int
	ResourceKind, Namespace, Name   string
	// PreviousWorkflow is the id or name of the last execution's workflow, or "none"; only in recovery.
	PreviousWorkflow string
}

// Kinds of analysis.
const (
	Incident = "incident"
	Recovery = "recovery"
)

var attemptForm = regexp.MustCompile(`^([1-3])/3$`)

// MissingLineError names the line of the prompt that is absent or unreadable.
type MissingLineError struct{ Line, Why string }

func (e *MissingLineError) Error() string { return fmt.Sprintf("prompt line %q %s", e.Line, e.Why) }

// ParsePrompt reads the head of a user message. The first missing line is the error; what could be read is returned
// with it, so that the refusal can be counted for its remediation.
func ParsePrompt(message string) (Prompt, error) {
	head := readHead(message)
	prompt := Prompt{RemediationID: head["Remediation ID"], Kind: head["Analysis"], SignalType: head["Signal Type"]}
	for _, line := range []string{"Remediation ID", "Analysis", "Signal Type", "Attempt", "Resource"} {
		if head[line] == "" {
			return prompt, &MissingLineError{Line: line, Why: "is missing"}
		}
	}
	if prompt.Kind != Incident && prompt.Kind != Recovery {
		return prompt, &MissingLineError{Line: "Analysis", Why: "must be incident or recovery"}
	}
	attempt := attemptForm.FindStringSubmatch(head["Attempt"])
	if attempt == nil {
		return prompt, &MissingLineError{Line: "Attempt", Why: "must be n/3"}
	}
	prompt.Attempt, _ = strconv.Atoi(attempt[1]) // the form admits one digit only
	if !prompt.readResource(head["Resource"]) {
		return prompt, &MissingLineError{Line: "Resource", Why: "must be <kind> <namespace>/<name>"}
	}
	prompt.PreviousWorkflow = head["Previous Workflow"]
	if prompt.Kind == Recovery && prompt.PreviousWorkflow == "" {
		return prompt, &MissingLineError{Line: "Previous Workflow", Why: "is missing"}
	}
	return prompt, nil
}

// readHead maps each label to its trimmed value; of a repeated label the first counts.
func readHead(message string) map[string]string {
	head := map[string]string{}
	for line := range strings.SplitSeq(message, "\n") {
		line = strings.TrimRight(line, "\r")
		if strings.TrimSpace(line) == "" {
			break
		}
		label, value, found := strings.Cut(line, ":")
		if _, seen := head[label]; found && !seen {
			head[label] = strings.TrimSpace(value)
		}
	}
	return head
}

// readResource takes `<kind> <namespace>/<name>`; each part may be empty, the slash may not.
func (p *Prompt) readResource(value string) bool {
	before, name, found := strings.Cut(value, "/")
	if !found {
		return false
	}
	if kind, namespace, spaced := strings.Cut(before, " "); spaced {
		p.ResourceKind, p.Namespace = kind, namespace
	} else {
		// Trimmed: either the kind or the namespace was empty, and a namespace is lower case.
		if before == strings.ToLower(before) {
			p.Namespace = before
		} else {
			p.ResourceKind = before
		}
	}
	p.Name = name
	return true
}
