package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// oddJSON are bodies that no operation takes, and texts that no member takes.
var (
	oddJSON  = []string{"", "null", "[]", "{}", `"x"`, "{", "{}{}", `{"a":1e130000}`, "\xff", "\x00", strings.Repeat("[", 100)}
	oddTexts = []string{`"\u0000"`, `"\ud800"`, "\"\xff\"", `""`, `null`, `1`, `{}`, `"` + strings.Repeat("x", 256) + `"`, `"\ud83d\ude00"`}
)

// seeds are a good body, odd ones, and the good one with an odd text in the place of each of its words.
func seeds(f *testing.F, good string, words ...string) {
	f.Helper()
	f.Add([]byte(good))
	for _, body := range oddJSON {
		f.Add([]byte(body))
	}
	for _, word := range words {
		if !strings.Contains(good, word) {
			f.Fatalf("no %s in %s", word, good)
		}
		for _, text := range oddTexts {
			f.Add([]byte(strings.Replace(good, word, text, 1)))
		}
	}
}

// accepted tells whether the body was taken; if not, it must have done no harm and have reached nobody.
func (f *fixture) accepted(t *testing.T, method, path string, body []byte, success int) bool {
	t.Helper()
	f.workflow, f.change, f.search, f.events = nil, nil, nil, nil
	f.log.Reset()
	w := f.do(method, path, string(body))
	f.harmless(t, w)
	switch w.Code {
	case success:
		if len(body) > 0 && !json.Valid(body) || !json.Valid(w.Body.Bytes()) || !utf8.Valid(w.Body.Bytes()) {
			t.Errorf("%d %s of %q", w.Code, w.Body, body)
		}
		return true
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		if problemOf(t, w, w.Code); f.workflow != nil || f.search != nil {
			t.Errorf("%d %s, but the catalog got it: %q", w.Code, w.Body, body)
		}
	default:
		t.Errorf("%d %s of %q", w.Code, w.Body, body)
	}
	return false
}

func within(t *testing.T, name, value string, least, most int) {
	t.Helper()
	if n := utf8.RuneCountInString(value); n < least || n > most || !utf8.ValidString(value) || strings.Contains(value, "\x00") {
		t.Errorf("%s is %q", name, value)
	}
}

func customWithin(t *testing.T, labels datastorage.CustomLabels) {
	t.Helper()
	if len(labels) > 10 {
		t.Errorf("%d subdomains", len(labels))
	}
	for subdomain, values := range labels {
		if within(t, "subdomain", subdomain, 1, 63); len(values) > 5 {
			t.Errorf("%d values", len(values))
		}
		for _, value := range values {
			within(t, "value", value, 1, 100)
		}
	}
}

func labelsWithin(t *testing.T, l datastorage.Labels, priorities ...string) {
	t.Helper()
	within(t, "signal_type", l.SignalType, 1, 100)
	within(t, "component", l.Component, 1, 100)
	within(t, "environment", l.Environment, 1, 100)
	if !slices.Contains([]string{"critical", "high", "medium", "low"}, l.Severity) || !slices.Contains(append(priorities, "P0", "P1", "P2", "P3"), l.Priority) {
		t.Errorf("labels %+v", l)
	}
}

var states = []string{"active", "disabled", "deprecated", "archived"}

func FuzzWorkflowBody(f *testing.F) {
	good := fmt.Sprintf(`{"workflow_name":"w1","version":"1","name":"n1","description":"d","owner":"o1","maintainer":"a@b.c","content":"x","content_hash":%q,
		"parameters":{"a":[1.5,"p1"]},"execution_engine":"tekton","labels":{"signal_type":"s1","severity":"high","component":"c1","environment":"e1","priority":"*"},
		"custom_labels":{"k1":["v1"]},"detected_labels":{"gitOpsTool":"flux","stateful":true,"failed_detections":["stateful"]},"status":"active",
		"approved_at":"2026-01-01T00:00:00Z","expected_success_rate":0.5,"expected_duration_seconds":5}`, datastorage.ContentHash("x"))
	seeds(f, good, `"w1"`, `"o1"`, `"p1"`, `"c1"`, `"k1"`, `"v1"`, `"flux"`, `"active"`, `"high"`, `0.5`, `"a@b.c"`, `"x"`)
	fixture := newFixture(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		if !fixture.accepted(t, http.MethodPost, workflowPath, body, http.StatusCreated) {
			return
		}
		w := fixture.workflow
		for _, c := range []struct {
			name, value string
			least, most int
		}{
			{"workflow_name", w.WorkflowName, 1, 255}, {"version", w.Version, 1, 50}, {"name", w.Title, 1, 255}, {"description", w.Description, 1, 10_000},
			{"owner", w.Owner, 0, 255}, {"maintainer", w.Maintainer, 0, 255}, {"content", w.Content, 1, 1 << 20}, {"execution_engine", w.ExecutionEngine, 1, 50},
			{"container_image", w.ContainerImage, 0, 1024}, {"container_digest", w.ContainerDigest, 0, 71}, {"previous_version", w.PreviousVersion, 0, 50},
			{"version_notes", w.VersionNotes, 0, 10_000}, {"approved_by", w.ApprovedBy, 0, 255}, {"created_by", w.CreatedBy, 0, 255},
		} {
			within(t, c.name, c.value, c.least, c.most)
		}
		labelsWithin(t, w.Labels, "*")
		customWithin(t, w.CustomLabels)
		rate, seconds := w.ExpectedSuccessRate, w.ExpectedDurationSeconds
		if w.ContentHash != datastorage.ContentHash(w.Content) || w.ID != datastorage.WorkflowID(w.WorkflowName, w.Version) || !slices.Contains(states, w.Status) ||
			strings.ContainsFunc(w.WorkflowName+w.Version, unicode.IsControl) || w.Parameters != nil && datastorage.CheckObject(w.Parameters) != "" ||
			rate != nil && !(*rate >= 0 && *rate <= 1) || seconds != nil && *seconds < 0 {
			t.Errorf("%+v", w)
		}
	})
}

func FuzzChangeBody(f *testing.F) {
	seeds(f, `{"status":"disabled","disabled_by":"me","disabled_reason":"why","other":{"a":"b"}}`, `"disabled"`, `"me"`, `"why"`, `"b"`, `"other"`)
	seeds(f, `{"reason":"why","updated_by":"me"}`, `"why"`, `"me"`)
	f.Add([]byte(`{"content":"x","status":"active"}`))
	fixture := newFixture(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{onePath, onePath + "/disable"} {
			if !fixture.accepted(t, http.MethodPatch, path, body, http.StatusOK) {
				continue
			}
			c := fixture.change
			if c.DisabledBy != nil {
				within(t, "disabled_by", *c.DisabledBy, 0, 255)
			}
			if c.DisabledReason != nil {
				within(t, "disabled_reason", *c.DisabledReason, 0, 2000)
			}
			var members map[string]json.RawMessage
			if err := json.Unmarshal(body, &members); err != nil && len(body) > 0 {
				t.Errorf("%v: %q", err, body)
			}
			for name := range members {
				if _, known := contract()["RemediationWorkflow"].Properties[name]; known && path == onePath && contract()["WorkflowUpdateRequest"].Properties[name] == nil {
					t.Errorf("%s was taken: %q", name, body)
				}
			}
			if c.Status != nil && !slices.Contains(states, *c.Status) || c.RowVersion != nil || c.KeepDisabled != (path != onePath) {
				t.Errorf("%+v", c)
			}
		}
	})
}

func FuzzSearchBody(f *testing.F) {
	seeds(f, `{"filters":{"signal_type":"s1","severity":"high","component":"c1","environment":"e1","priority":"P1","custom_labels":{"k1":["v1"]},
		"detected_labels":{"gitOpsTool":"flux","stateful":true},"status":["active"]},"remediation_id":"r1","top_k":3,"min_score":0.5,"include_disabled":true}`,
		`"s1"`, `"high"`, `"c1"`, `"P1"`, `"k1"`, `"v1"`, `"flux"`, `"active"`, `"r1"`, `3`, `0.5`, `true`)
	fixture := newFixture(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		if !fixture.accepted(t, http.MethodPost, searchPath, body, http.StatusOK) {
			return
		}
		s := fixture.search
		labelsWithin(t, s.Labels)
		customWithin(t, s.CustomLabels)
		within(t, "remediation_id", s.RemediationID, 0, 255)
		if s.TopK < 1 || s.TopK > 100 || !(s.MinScore >= 0 && s.MinScore <= 1) || slices.ContainsFunc(s.Statuses, func(state string) bool { return !slices.Contains(states, state) }) {
			t.Errorf("%+v", s)
		}
	})
}
