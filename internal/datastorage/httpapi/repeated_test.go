package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

// The last of repeated members wins, whatever the earlier ones are, at every depth and in each kind of body.
func TestRepeatedMembers(t *testing.T) {
	twice := func(first, body string) string { return strings.Replace(body, "{", "{"+first+",", 1) }
	for name, c := range map[string]struct {
		path, body string
		status     int
	}{
		"good, then good": {eventsPath, twice(`"version":"0.9"`, event(nil)), 201},
		"bad, then good":  {eventsPath, twice(`"version":5,"event_data":[],"event_timestamp":null`, event(nil)), 201},
		"good, then bad":  {eventsPath, strings.TrimSuffix(event(nil), "}") + `,"version":5}`, 400},
		"in a batch":      {batchPath, "[" + event(nil) + "," + twice(`"version":5`, event(nil)) + "]", 201},
		"in a filter": {"/api/v1/workflows/search", `{"filters":{"severity":5,"signal_type":"OOMKilled","severity":"high","component":"a",
			"environment":"b","priority":"P0"}}`, 200},
	} {
		f := newFixture(t)
		w := f.do(http.MethodPost, c.path, c.body)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		for _, e := range f.events {
			if e.Version != "1.0" || string(e.Data) != `{"a":1}` {
				t.Errorf("%s: stored %+v", name, e)
			}
		}
	}
	if w := newFixture(t).do(http.MethodPost, eventsPath, twice(`"version":"1.0"`, strings.Replace(event(nil), `"version":"1.0"`, `"version":5`, 1))); !strings.Contains(w.Body.String(), `"version":"`) {
		t.Errorf("the last one is at fault and not named: %s", w.Body)
	}
}
