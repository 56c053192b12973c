package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const ratesPath = "/api/v1/success-rate/"

func TestSuccessRates(t *testing.T) {
	f := newFixture(t)
	const common = `"total_executions":8,"successful_executions":6,"failed_executions":2,"success_rate":75,"confidence":"low","min_samples_met":`
	for query, want := range map[string]string{
		"incident-type?incident_type=oom": `{"incident_type":"oom","time_range":"7d",` + common +
			`true,"breakdown_by_workflow":[{"workflow_id":"w1","workflow_version":"1","executions":8,"success_rate":75}]}`,
		"workflow?workflow_id=w1&time_range=12h&min_samples=9": `{"workflow_id":"w1","time_range":"12h",` + common +
			`false,"breakdown_by_incident_type":[{"incident_type":"oom","executions":8,"success_rate":75}]}`,
		"multi-dimensional?workflow_id=w1&workflow_version=1": `{"dimensions":{"workflow_id":"w1","workflow_version":"1"},"time_range":"7d",` + common +
			`true,"breakdown_by_incident_type":[{"incident_type":"oom","executions":8,"success_rate":75}],` +
			`"breakdown_by_action":[{"action_type":"restart","executions":8,"success_rate":75}]}`,
	} {
		w := f.do("GET", ratesPath+query, "")
		if w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", query, w.Code, w.Body, want)
		}
	}
	f.do("GET", ratesPath+"workflow?workflow_id=w1&time_range=2d", "")
	if age := time.Since(f.rates.Since); age < 48*time.Hour || age > 48*time.Hour+time.Minute {
		t.Errorf("2d is %s", age)
	}
}

func TestBadSuccessRates(t *testing.T) {
	f := newFixture(t)
	for query, field := range map[string]string{
		"incident-type": "incident_type", "incident-type?incident_type=": "incident_type", "workflow?workflow_version=1": "workflow_id",
		"incident-type?incident_type=" + strings.Repeat("x", 256): "incident_type", "incident-type?incident_type=a&time_range=0d": "time_range",
		"incident-type?incident_type=a&time_range=366d": "time_range", "incident-type?incident_type=a&min_samples=0": "min_samples",
		"incident-type?incident_type=a&workflow_id=b": "workflow_id", "incident-type?incident_type=a&incident_type=b": "incident_type",
		"multi-dimensional": "incident_type", "multi-dimensional?incident_type=a&workflow_version=1": "workflow_version",
		"multi-dimensional?incident_type=%00": "incident_type",
	} {
		if p := problemOf(t, f.do("GET", ratesPath+query, ""), http.StatusBadRequest); p.FieldErrors[field] == "" {
			t.Errorf("%s: %v", query, p.FieldErrors)
		}
	}
}
