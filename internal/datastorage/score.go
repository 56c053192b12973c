package datastorage

import "slices"

// Score is how well a workflow fits a search. All figures are exact: the parts are ratios of small integers, and only
// the result is rounded.
type Score struct {
	TenThousandths int // the score, 0..10000
	Boost, Penalty int // matched and conflicting weights of detected labels, in two-hundredths
}

// Value is the score as a number from 0 to 1.
func (s Score) Value() float64 { return float64(s.TenThousandths) / 10_000 }

// Factors of the three parts, in hundredths.
const (
	factorSpecificity = 50
	factorDetected    = 35
	factorCustom      = 15
)

// detectedWeights are in two-hundredths, so that half a weight is whole.
var detectedWeights = map[string]int{
	"gitOpsManaged": 20, "gitOpsTool": 20,
	"pdbProtected": 10, "serviceMesh": 10,
	"networkIsolated": 6,
	"helmManaged":     4, "stateful": 4, "hpaEnabled": 4,
}

func canConflict(label string) bool { return label == "gitOpsManaged" || label == "gitOpsTool" }

// part is one of the three, a ratio from 0 to 1 with its factor.
type part struct{ factor, num, den int }

// Score weighs what the search asks against what the candidate says. The weighted mean of the parts that apply:
// 0.50 specificity (always), 0.35 detected labels and 0.15 custom labels (if any is asked), rounded half up.
func (s Search) Score(c Candidate) Score {
	parts := []part{{factorSpecificity, specificity(s.Labels, c.Labels), 3}}
	detected, boost, penalty := scoreDetected(s.DetectedLabels, c.DetectedLabels)
	parts = append(parts, detected, scoreCustom(s.CustomLabels, c.CustomLabels))

	num, den, factors := int64(0), int64(1), int64(0)
	for _, p := range parts {
		if p.den == 0 {
			continue // nothing of this part was asked
		}
		num = num*int64(p.den) + int64(p.factor)*int64(p.num)*den
		den *= int64(p.den)
		factors += int64(p.factor)
	}
	den *= factors
	return Score{TenThousandths: int((2*10_000*num + den) / (2 * den)), Boost: boost, Penalty: penalty}
}

// specificity counts the labels that fit by name, not by wildcard.
func specificity(asked, has Labels) int {
	named := 0
	for _, pair := range [][2]string{
		{asked.Component, has.Component}, {asked.Environment, has.Environment}, {asked.Priority, has.Priority},
	} {
		if pair[0] == pair[1] && pair[0] != Wildcard {
			named++
		}
	}
	return named
}

// scoreDetected is (S + P) / (W + P): W all asked weights, P those that can conflict, S what was reached of them.
func scoreDetected(asked, has DetectedLabels) (p part, boost, penalty int) {
	all, conflicting := 0, 0
	offered := has.values()
	for label, want := range asked.values() {
		if slices.Contains(asked.FailedDetections, label) {
			continue
		}
		weight := detectedWeights[label]
		all += weight
		if canConflict(label) {
			conflicting += weight
		}
		got, offers := offered[label]
		switch {
		case offers && got == want:
			boost += weight
		case offers && (got == Wildcard || want == Wildcard):
			boost += weight / 2
		case canConflict(label):
			penalty += weight
		}
	}
	if all == 0 {
		return part{}, 0, 0
	}
	return part{factorDetected, boost - penalty + conflicting, all + conflicting}, boost, penalty
}

// scoreCustom is the mean over the asked values: 1 equal, 0.5 by a wildcard on either side, else 0.
func scoreCustom(asked, has CustomLabels) part {
	halves, values := 0, 0
	for subdomain, wants := range asked {
		offered := has[subdomain]
		for _, want := range wants {
			values++
			switch {
			case slices.Contains(offered, want):
				halves += 2
			case slices.Contains(offered, Wildcard), want == Wildcard && len(offered) > 0:
				halves++
			}
		}
	}
	return part{factorCustom, halves, 2 * values}
}
