package datastorage

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

var (
	fiveAsked = Labels{"OOMKilled", "critical", "deployment", "production", "P1"}
	anyWhere  = Labels{"OOMKilled", "critical", "*", "*", "*"}
	anyKind   = Labels{"OOMKilled", "critical", "*", "production", "P1"}
	detected  = DetectedLabels{GitOpsManaged: true, GitOpsTool: "argocd", PDBProtected: true}
	custom    = CustomLabels{"team": {"payments"}}
)

// S1: the worked examples of the specification, and more.
func TestScore(t *testing.T) {
	five, all := Search{Labels: fiveAsked}, Search{Labels: fiveAsked, DetectedLabels: detected, CustomLabels: custom}
	for _, c := range []struct {
		name           string
		search         Search
		workflow       Candidate
		score          int
		boost, penalty int
	}{
		{"five, all named", five, Candidate{Labels: fiveAsked}, 10000, 0, 0},
		{"five, any component", five, Candidate{Labels: anyKind}, 6667, 0, 0},
		{"five, wildcards only", five, Candidate{Labels: anyWhere}, 0, 0, 0},
		{"everything equal", all, Candidate{Labels: fiveAsked, DetectedLabels: detected, CustomLabels: custom}, 10000, 50, 0},
		{"half fits", all, Candidate{Labels: anyKind, CustomLabels: CustomLabels{"team": {"*"}},
			DetectedLabels: DetectedLabels{GitOpsManaged: true, GitOpsTool: "*"}}, 6806, 30, 0},
		{"conflicts", all, Candidate{Labels: fiveAsked,
			DetectedLabels: DetectedLabels{GitOpsTool: "flux", PDBProtected: true}}, 5389, 10, 40},
		{"a failed detection is not asked",
			Search{Labels: fiveAsked, DetectedLabels: DetectedLabels{GitOpsManaged: true, FailedDetections: []string{"gitOpsManaged"}}},
			Candidate{Labels: fiveAsked}, 10000, 0, 0},
		{"any tool asked, one named", Search{Labels: fiveAsked, DetectedLabels: DetectedLabels{GitOpsTool: "*"}},
			Candidate{Labels: fiveAsked, DetectedLabels: DetectedLabels{GitOpsTool: "flux"}}, 8971, 10, 0},
		{"any tool asked, none there", Search{Labels: fiveAsked, DetectedLabels: DetectedLabels{GitOpsTool: "*"}},
			Candidate{Labels: fiveAsked}, 5882, 0, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.search.Score(c.workflow)
			if want := (Score{c.score, c.boost, c.penalty}); got != want {
				t.Errorf("score %+v, want %+v", got, want)
			}
		})
	}
}

// S2: for any search and workflow the score is within its range; one more matching label of the workflow never lowers it,
// one more conflict never raises it, and a failed detection is as if the label was not asked for.
func TestScoreProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	choices := map[string][]any{"gitOpsTool": {"argocd", "flux", "*"}, "serviceMesh": {"istio", "linkerd", "*"}}
	for _, name := range []string{"gitOpsManaged", "pdbProtected", "hpaEnabled", "stateful", "helmManaged", "networkIsolated"} {
		choices[name] = []any{true}
	}
	some := func() map[string]any { // of the detected labels, with any values
		labels := map[string]any{}
		for name, values := range choices {
			if random.IntN(2) == 0 {
				labels[name] = values[random.IntN(len(values))]
			}
		}
		return labels
	}
	custom := func() CustomLabels {
		all := []string{"a", "b", "c", "*"}
		return CustomLabels{"team": all[:random.IntN(5)], "zone": all[random.IntN(5):]}
	}
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	for range 5000 {
		asked, has, own := some(), some(), custom()
		search := Search{Labels: fiveAsked, DetectedLabels: detectedOf(t, asked), CustomLabels: custom()}
		five := Labels{"OOMKilled", "critical", pick("*", "deployment"), pick("*", "production"), pick("*", "P1")}
		score := func(five Labels, detected map[string]any, own CustomLabels) int {
			return search.Score(Candidate{Labels: five, DetectedLabels: detectedOf(t, detected), CustomLabels: own}).TenThousandths
		}
		before := score(five, has, own)
		hold := func(what string, holds bool) {
			if !holds || before < 0 || before > 10_000 {
				t.Fatalf("%s: asked %v %v, workflow %v %v %v scores %d", what, asked, search.CustomLabels, five, has, own, before)
			}
		}
		named := five
		named.Component = fiveAsked.Component
		hold("named", score(named, has, own) >= before)
		for subdomain, values := range search.CustomLabels {
			for _, value := range values {
				more := CustomLabels{"team": own["team"], "zone": own["zone"]}
				more[subdomain] = append(slices.Clone(more[subdomain]), value)
				hold("one more custom label", score(five, has, more) >= before)
			}
		}
		for name, value := range asked {
			match, conflict := maps.Clone(has), maps.Clone(has)
			match[name] = value
			hold("one more match, "+name, score(five, match, own) >= before)
			switch {
			case name == "gitOpsTool" && value != "*":
				conflict[name] = map[any]any{"argocd": "flux", "flux": "argocd"}[value]
				hold("another tool", score(five, conflict, own) <= before)
				fallthrough
			case canConflict(name):
				delete(conflict, name)
				hold("one more conflict, "+name, score(five, conflict, own) <= before)
			}
			if name == "gitOpsTool" {
				continue // its detection cannot fail
			}
			failed, without := search, maps.Clone(asked)
			failed.DetectedLabels.FailedDetections = []string{name}
			delete(without, name)
			unasked := Search{Labels: fiveAsked, DetectedLabels: detectedOf(t, without), CustomLabels: search.CustomLabels}
			workflow := Candidate{Labels: five, DetectedLabels: detectedOf(t, has), CustomLabels: own}
			hold("failed detection, "+name, failed.Score(workflow) == unasked.Score(workflow))
		}
	}
}

// detectedOf are labels by their names in the contract.
func detectedOf(t *testing.T, labels map[string]any) (d DetectedLabels) {
	t.Helper()
	text, err := json.Marshal(labels)
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// S4: the same candidates in any order give the same result.
func TestRank(t *testing.T) {
	old, recent := time.Unix(100, 0), time.Unix(200, 0)
	first, second := WorkflowID("a", "1"), WorkflowID("b", "1")
	if slices.Compare(first[:], second[:]) > 0 {
		first, second = second, first
	}
	candidates := []Candidate{
		{ID: second, Labels: anyWhere, CreatedAt: recent},
		{ID: uuid.New(), Labels: anyWhere, CreatedAt: old},
		{ID: first, Labels: anyWhere, CreatedAt: recent},
		{ID: uuid.New(), Labels: anyKind, CreatedAt: old},
	}
	best, oldest := candidates[3].ID, candidates[1].ID
	for range 20 {
		rand.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
		ranked, total := Rank(Search{Labels: fiveAsked, TopK: 10}, candidates)
		var got []uuid.UUID
		for _, r := range ranked {
			got = append(got, r.ID)
		}
		if want := []uuid.UUID{best, first, second, oldest}; total != 4 || !slices.Equal(got, want) {
			t.Fatalf("got %v of %d, want %v", got, total, want)
		}
	}
	for _, c := range []struct {
		min         float32
		topK        int
		some, total int
	}{{0, 2, 2, 4}, {0.6667, 10, 1, 1}, {0.6668, 10, 0, 0}, {1, 1, 0, 0}} {
		if ranked, total := Rank(Search{Labels: fiveAsked, TopK: c.topK, MinScore: c.min}, candidates); len(ranked) != c.some || total != c.total {
			t.Errorf("min %v: %d of %d, want %d of %d", c.min, len(ranked), total, c.some, c.total)
		}
	}
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		search Search
		want   []string
	}{
		{Search{}, []string{"active"}},
		{Search{IncludeDisabled: true}, []string{"active", "disabled"}},
		{Search{IncludeDisabled: true, Statuses: []string{"archived"}}, []string{"archived"}},
	} {
		if got := c.search.States(); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.search, got, c.want)
		}
	}
}
