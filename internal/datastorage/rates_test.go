package datastorage

import (
	"fmt"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	for _, c := range []struct {
		rate       Rate
		percent    float64
		confidence string
	}{
		{Rate{}, 0, "insufficient_data"}, {Rate{4, 4}, 100, "insufficient_data"}, {Rate{5, 0}, 0, "low"}, {Rate{19, 6}, 31.58, "low"},
		{Rate{20, 10}, 50, "medium"}, {Rate{99, 98}, 98.99, "medium"}, {Rate{100, 1}, 1, "high"}, {Rate{3, 2}, 66.67, "insufficient_data"},
	} {
		if c.rate.Percent() != c.percent || c.rate.Confidence() != c.confidence {
			t.Errorf("%+v: %v %s", c.rate, c.rate.Percent(), c.rate.Confidence())
		}
	}
}

func TestBreakdown(t *testing.T) {
	all := []Executions{
		{"oom", "w1", "1", "restart", Rate{4, 2}}, {"oom", "w1", "2", "restart", Rate{1, 1}}, {"crash", "w1", "1", "scale", Rate{4, 0}},
		{"oom", "w2", "1", "scale", Rate{8, 8}},
	}
	if sum := SumOf(all); sum != (Rate{17, 11}) {
		t.Errorf("sum %+v", sum)
	}
	got := Breakdown(all, func(e Executions) [2]string { return [2]string{e.WorkflowID, e.WorkflowVersion} })
	text := ""
	for _, e := range got {
		text += fmt.Sprintf("%s@%s %d/%d ", e.WorkflowID, e.WorkflowVersion, e.Successful, e.Total)
	}
	if text != "w1@1 2/8 w2@1 8/8 w1@2 1/1 " {
		t.Errorf("%q", text)
	}
	if none := Breakdown(nil, func(Executions) [2]string { return [2]string{} }); none == nil || len(none) > 0 {
		t.Errorf("nothing is %v", none)
	}
}

func TestParseTimeRange(t *testing.T) {
	for s, want := range map[string]time.Duration{"1h": time.Hour, "7d": 7 * 24 * time.Hour, "365d": maxTimeRange, "8760h": maxTimeRange,
		"366d": 0, "8761h": 0, "0h": 0, "07d": 0, "d": 0, "": 0, "1": 0, "1w": 0, "-1d": 0, "1.5h": 0, "99999d": 0, "+1h": 0} {
		if got, ok := ParseTimeRange(s); ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %s %v", s, got, ok)
		}
	}
}
