package datastorage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	maxContent    = 1 << 20
	maxParameters = 256 << 10
	maxSubdomain  = 63
)

// catalogNamespace makes every cluster derive the same id for the same version of a workflow.
var catalogNamespace = uuid.MustParse("f965e0b5-18cb-5d87-82ee-c4d9f1c09119")

// WorkflowID is the id of a version of a workflow.
func WorkflowID(workflowName, version string) uuid.UUID {
	return uuid.NewSHA1(catalogNamespace, []byte(workflowName+"@"+version))
}

// ContentHash is the SHA-256 of the content in lower-case hex.
func ContentHash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// Definition is what the author of a workflow version says. It never changes.
type Definition struct {
	WorkflowName            string
	Version                 string
	Title                   string
	Description             string
	Owner                   string
	Maintainer              string
	Content                 string
	ContentHash             string
	Parameters              json.RawMessage // a JSON object, or nil
	ExecutionEngine         string
	ContainerImage          string
	ContainerDigest         string
	Labels                  Labels
	CustomLabels            CustomLabels
	DetectedLabels          DetectedLabels
	PreviousVersion         string
	DeprecationNotice       string
	VersionNotes            string
	ChangeSummary           string
	ApprovedBy              string
	ApprovedAt              *time.Time
	ExpectedSuccessRate     *float64
	ExpectedDurationSeconds *int32
	CreatedBy               string
}

// Workflow is a version of a workflow as it stands in the catalog.
type Workflow struct {
	Definition
	ID                   uuid.UUID
	Status               string
	IsLatest             bool
	DisabledAt           *time.Time
	DisabledBy           string
	DisabledReason       string
	ActualSuccessRate    *float64
	TotalExecutions      int32
	SuccessfulExecutions int32
	CreatedAt, UpdatedAt time.Time
	UpdatedBy            string
	RowVersion           int64
}

// Check holds a new workflow, which keeps the rules of the contract, against the rules that a contract cannot state.
func (w Workflow) Check() error {
	if len(w.Content) > maxContent {
		return &Error{Kind: TooLarge, Detail: fmt.Sprintf("content: must be at most %d bytes (got %d)", maxContent, len(w.Content))}
	}
	var errs FieldErrors
	errs.Add("workflow_name", checkNoControl(w.WorkflowName))
	errs.Add("version", checkNoControl(w.Version))
	if got := ContentHash(w.Content); !strings.EqualFold(got, w.ContentHash) {
		errs.Add("content_hash", fmt.Sprintf("must equal the SHA-256 of content, %s (got %s)", got, Quote(w.ContentHash)))
	}
	if w.Parameters != nil {
		if len(w.Parameters) > maxParameters {
			errs.Add("parameters", fmt.Sprintf("must be at most %d bytes (got %d)", maxParameters, len(w.Parameters)))
		}
		errs.Add("parameters", CheckObject(w.Parameters))
	}
	if !possible(w.ApprovedAt) {
		errs.Add("approved_at", "must be between the years 1 and 9999 in UTC")
	}
	w.CustomLabels.check("custom_labels", &errs)
	return errs.Err()
}

// check tests what the contract leaves open: the length of a subdomain.
func (c CustomLabels) check(path string, errs *FieldErrors) {
	for _, subdomain := range sortedKeys(c) {
		if n := utf8.RuneCountInString(subdomain); n < 1 || n > maxSubdomain {
			errs.Add(path, fmt.Sprintf("subdomain %s must have 1 to %d characters", Quote(subdomain), maxSubdomain))
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func checkNoControl(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "must not contain control characters"
	}
	return ""
}

// Quote makes a value from a request fit for a message: cut to 64 characters, control characters escaped.
func Quote(s string) string { return `"` + Cut(s) + `"` }

// Cut is Quote without the quotes.
func Cut(s string) string {
	if r := []rune(s); len(r) > 64 {
		s = string(r[:64]) + "..."
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// Complete fixes what follows from the rest.
func (w Workflow) Complete() Workflow {
	w.ID = WorkflowID(w.WorkflowName, w.Version)
	w.ContentHash = strings.ToLower(w.ContentHash)
	return w
}

// Differences names the parts in which two definitions of one version differ. What the server fills in when the author
// left it out, the previous version, does not count.
func (d Definition) Differences(stored Definition) []string {
	var names []string
	mine, theirs := reflect.ValueOf(d), reflect.ValueOf(stored)
	for i := range mine.NumField() {
		name := mine.Type().Field(i).Name
		if name == "PreviousVersion" && d.PreviousVersion == "" {
			continue
		}
		if !sameValue(mine.Field(i).Interface(), theirs.Field(i).Interface()) {
			names = append(names, name)
		}
	}
	return names
}

func sameValue(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	switch a := a.(type) {
	case *time.Time:
		b, _ := b.(*time.Time)
		return a != nil && b != nil && a.Truncate(time.Microsecond).Equal(*b)
	case CustomLabels:
		b, _ := b.(CustomLabels)
		return len(a) == 0 && len(b) == 0
	case json.RawMessage:
		b, _ := b.(json.RawMessage)
		var av, bv any
		return json.Unmarshal(a, &av) == nil && json.Unmarshal(b, &bv) == nil && reflect.DeepEqual(av, bv)
	}
	return false
}

// WorkflowFilter selects workflows by exact labels; a nil member selects all.
type WorkflowFilter struct{ Status, Environment, Priority, Component *string }

// SeedResult tells what became of one workflow of a seed.
type SeedResult struct {
	ID                    uuid.UUID
	WorkflowName, Version string
	Created               bool
}

// MaxVersions is how many versions of a name one answer holds.
const MaxVersions = 1000

// WorkflowStore keeps the catalog.
type WorkflowStore interface {
	// CreateWorkflow adds a version and makes it the latest of its name; a taken (name, version) is a Conflict. The audit
	// event of it is written with it.
	CreateWorkflow(ctx context.Context, w Workflow, origin Origin) (Workflow, error)
	// UpdateWorkflow changes the state of a version, with its audit event, unless there is nothing to change.
	UpdateWorkflow(ctx context.Context, id uuid.UUID, change Change, origin Origin) (Workflow, error)
	// ListVersions hands over the versions of a name, newest first, at most MaxVersions, and returns how many there are.
	ListVersions(ctx context.Context, workflowName string, each func(Workflow) error) (int, error)
	GetWorkflow(ctx context.Context, id uuid.UUID) (Workflow, error)
	// ListWorkflows hands over one page, newest first, and returns the number of all matches. An error of each ends it.
	ListWorkflows(ctx context.Context, filter WorkflowFilter, page Page, each func(Workflow) error) (int, error)
	// Candidates returns what passes the hard filters of a search, newest first, at most limit.
	Candidates(ctx context.Context, search Search, limit int) ([]Candidate, error)
}
