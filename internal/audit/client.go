// Package audit delivers audit events to Data Storage: a bounded buffer, one sender, and the patience to send again until stored.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

const (
	batchPath  = "/api/v1/audit/events/batch"
	readyPath  = "/health/ready"
	maxReply   = 1 << 20
	timeFormat = "2006-01-02T15:04:05.000000Z"

	maxRetryAfter = 5 * time.Minute
)

// event is one AuditEventRequest of Data Storage.
type event struct {
	EventID        string          `json:"event_id"`
	Version        string          `json:"version"`
	EventType      string          `json:"event_type"`
	EventTimestamp string          `json:"event_timestamp"`
	EventCategory  string          `json:"event_category"`
	EventAction    string          `json:"event_action"`
	EventOutcome   string          `json:"event_outcome"`
	ActorType      string          `json:"actor_type"`
	ActorID        string          `json:"actor_id"`
	ResourceType   string          `json:"resource_type"`
	ResourceID     string          `json:"resource_id"`
	CorrelationID  string          `json:"correlation_id"`
	Namespace      string          `json:"namespace,omitempty"`
	DurationMS     *int64          `json:"duration_ms,omitempty"`
	EventData      json.RawMessage `json:"event_data"`
}

func encode(e aianalysis.AuditEvent) ([]byte, error) {
	return json.Marshal(event{
		EventID: e.ID, Version: "1.0", EventType: e.Type, EventTimestamp: e.At.UTC().Format(timeFormat),
		EventCategory: "analysis", EventAction: e.Action, EventOutcome: e.Outcome,
		ActorType: "service", ActorID: aianalysis.Component, ResourceType: "AIAnalysis", ResourceID: e.Name,
		CorrelationID: e.CorrelationID, Namespace: e.Namespace, DurationMS: e.DurationMS, EventData: e.Data,
	})
}

// reply is what Data Storage made of a batch. status 0: no answer, see err.
type reply struct {
	status     int
	retryAfter time.Duration
	date       time.Time // the server's clock; zero if it did not say
	ids        []string
	invalid    []int // indexes of refused events
	detail     string
	err        error
}

// Client posts batches. It never retries.
type Client struct {
	url, tokenFile string
	http           *http.Client
}

// NewClient makes a client for the Data Storage at base. tokenFile may be empty.
func NewClient(base, tokenFile string, timeout time.Duration) *Client {
	return &Client{url: strings.TrimRight(base, "/"), tokenFile: tokenFile, http: &http.Client{Timeout: timeout}}
}

// Ready asks whether Data Storage can take events.
func (c *Client) Ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+readyPath, nil)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return errors.Unwrap(err) // without the method and URL that net/http puts before it
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxReply)); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d", answer.StatusCode)
	}
	return nil
}

// post sends encoded events as one array.
func (c *Client) post(ctx context.Context, events [][]byte) reply {
	body := append(append([]byte{'['}, bytes.Join(events, []byte{','})...), ']')
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+batchPath, bytes.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if c.tokenFile != "" {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return reply{err: fmt.Errorf("reading token file: %w", err)}
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return reply{err: errors.Unwrap(err)}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReply))
	if err != nil {
		return reply{err: err}
	}
	return read(answer, text)
}

// read is tolerant: a body that cannot be read is an empty one, the status decides.
func read(answer *http.Response, text []byte) reply {
	var body struct {
		EventIDs []string `json:"event_ids"`
		Invalid  []int    `json:"invalid_indexes"`
		Title    string   `json:"title"`
		Detail   string   `json:"detail"`
	}
	result := reply{status: answer.StatusCode}
	if json.Unmarshal(text, &body) == nil {
		result.ids, result.invalid = body.EventIDs, body.Invalid
		result.detail = strings.Trim(body.Title+": "+body.Detail, ": ")
	}
	if seconds, err := strconv.ParseInt(answer.Header.Get("Retry-After"), 10, 32); err == nil && seconds > 0 {
		result.retryAfter = min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		result.date = date
	}
	return result
}
