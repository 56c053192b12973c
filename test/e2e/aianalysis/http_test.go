//go:build e2e

package aianalysis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// answer is what an HTTP server said.
type answer struct {
	url    string
	status int
	header http.Header
	body   []byte
	took   time.Duration // to the last byte
}

// maxAnswer is what is read of a body: far more than any answer here has.
const maxAnswer = 16 << 20

func get(ctx context.Context, url string) (*answer, error) { return ask(ctx, web, url) }

func ask(ctx context.Context, through *http.Client, url string) (_ *answer, err error) {
	begun := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", url, err)
	}
	resp, err := through.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	return &answer{url, resp.StatusCode, resp.Header, body, time.Since(begun)}, nil
}

func statusOf(ctx context.Context, url string) (int, error) {
	a, err := get(ctx, url)
	if err != nil {
		return 0, err
	}
	return a.status, nil
}

// bodyOf is the text of a 200.
func bodyOf(ctx context.Context, through *http.Client, url string) (string, error) {
	a, err := ask(ctx, through, url)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		return "", fmt.Errorf("%s answers %d: %.300s", a.url, a.status, a.body)
	}
	return string(a.body), nil
}

// decode reads the body into a typed value and refuses members that it does not know.
func (a *answer) decode(into any) error {
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("decoding the answer of %s: %w: %.500s", a.url, err, a.body)
	}
	return nil
}

// decodeLoose is for objects of Kubernetes, whose schema is not ours to hold.
func (a *answer) decodeLoose(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("decoding the answer of %s: %w", a.url, err)
	}
	return nil
}

// catalogWorkflow has every member that Data Storage may send of a workflow.
type catalogWorkflow struct {
	WorkflowID     string          `json:"workflow_id"`
	WorkflowName   string          `json:"workflow_name"`
	Version        string          `json:"version"`
	Name           string          `json:"name"`
	Description    string          `json:"description"`
	Owner          string          `json:"owner"`
	Maintainer     string          `json:"maintainer"`
	Content        string          `json:"content"`
	ContentHash    string          `json:"content_hash"`
	Parameters     json.RawMessage `json:"parameters"`
	Engine         string          `json:"execution_engine"`
	Image          string          `json:"container_image"`
	Digest         string          `json:"container_digest"`
	Labels         json.RawMessage `json:"labels"`
	CustomLabels   json.RawMessage `json:"custom_labels"`
	DetectedLabels json.RawMessage `json:"detected_labels"`
	Status         string          `json:"status"`
	DisabledAt     *time.Time      `json:"disabled_at"`
	DisabledBy     string          `json:"disabled_by"`
	DisabledReason string          `json:"disabled_reason"`
	Latest         bool            `json:"is_latest_version"`
	Previous       string          `json:"previous_version"`
	Deprecation    string          `json:"deprecation_notice"`
	VersionNotes   string          `json:"version_notes"`
	ChangeSummary  string          `json:"change_summary"`
	ApprovedBy     string          `json:"approved_by"`
	ApprovedAt     *time.Time      `json:"approved_at"`
	ExpectedRate   float64         `json:"expected_success_rate"`
	ExpectedTime   int64           `json:"expected_duration_seconds"`
	ActualRate     *float64        `json:"actual_success_rate"`
	Executions     int64           `json:"total_executions"`
	Successes      int64           `json:"successful_executions"`
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
	CreatedBy      string          `json:"created_by"`
	UpdatedBy      string          `json:"updated_by"`
}

func workflow(ctx context.Context, id string) (*catalogWorkflow, error) {
	a, err := get(ctx, opt.datastorage+"/api/v1/workflows/"+id)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d: %.200s", a.url, a.status, a.body)
	}
	found := &catalogWorkflow{}
	return found, a.decode(found)
}
