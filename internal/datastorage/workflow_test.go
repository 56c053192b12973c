package datastorage

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestWorkflowID(t *testing.T) {
	for name, want := range map[string]string{
		"oomkill-increase-memory-v1@1.0.0": "a075949c-3e59-5585-aecb-59fa16dad7e7",
		"crashloop-config-fix-v1@1.0.0":    "5fa4960c-ca8d-5dfd-a87e-d4ae406e0eaf",
		"oom-raise-limit@1.2.0":            "17954e75-d826-5302-ae8d-34acf0a4db3d",
	} {
		workflowName, version, _ := strings.Cut(name, "@")
		if got := WorkflowID(workflowName, version).String(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	const hash = "a63d2cb8f264483bdb21c643dc0e345158943be73d18ac4096696a5a9829a51a"
	if got := ContentHash("steps:\n  - raise-memory-limit\n"); got != hash {
		t.Errorf("hash %s, want %s", got, hash)
	}
}

// W2: the hash is that of the content, in either case.
func TestCheckWorkflow(t *testing.T) {
	good := Workflow{Definition: Definition{WorkflowName: "w", Version: "1", Content: "x", ContentHash: strings.ToUpper(ContentHash("x"))}}
	if got := good.Complete().ContentHash; good.Check() != nil || got != ContentHash("x") {
		t.Errorf("an upper-case hash: %v, stored %s", good.Check(), got)
	}
	for _, c := range []struct {
		name   string
		change func(*Workflow)
		kind   Kind
		field  string
	}{
		{"content too large", func(w *Workflow) { w.Content = strings.Repeat("x", maxContent+1) }, TooLarge, ""},
		{"wrong hash", func(w *Workflow) { w.ContentHash = ContentHash("y") }, Invalid, "content_hash"},
		{"control character", func(w *Workflow) { w.WorkflowName = "a\nb" }, Invalid, "workflow_name"},
		{"parameters too large", func(w *Workflow) { w.Parameters = []byte(`{"a":"` + strings.Repeat("x", maxParameters) + `"}`) }, Invalid, "parameters"},
		{"parameters with NUL", func(w *Workflow) { w.Parameters = []byte(`{"a":"\u0000"}`) }, Invalid, "parameters"},
		{"long subdomain", func(w *Workflow) { w.CustomLabels = CustomLabels{strings.Repeat("s", 64): {"v"}} }, Invalid, "custom_labels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good
			c.change(&w)
			var known *Error
			if err := w.Check(); !errors.As(err, &known) || known.Kind != c.kind || c.field != "" && !known.Fields.Has(c.field) {
				t.Errorf("got %v, want kind %d and field %q", err, c.kind, c.field)
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	a := Definition{Title: "t", Parameters: []byte(`{"a":1,"b":[2]}`), CustomLabels: CustomLabels{}}
	b := Definition{Title: "t", Parameters: []byte(`{ "b": [2], "a": 1 }`), PreviousVersion: "0.9"}
	if got := a.Differences(b); len(got) != 0 {
		t.Errorf("the same definition differs in %v", got)
	}
	b.Title, b.Labels.Component, b.Parameters = "u", "pod", []byte(`{}`)
	if got := a.Differences(b); !slices.Equal(got, []string{"Title", "Parameters", "Labels"}) {
		t.Errorf("differences %v", got)
	}
}

func TestQuote(t *testing.T) {
	if got := Quote("a\x00\n" + strings.Repeat("x", 100)); !strings.HasPrefix(got, `"a\x00\n`) || len(got) > 80 {
		t.Errorf("got %s", got)
	}
}
