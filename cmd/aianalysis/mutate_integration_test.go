//go:build integration

package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// hostile are values that stand where others belong. Some of them are right in some places.
var hostile = []any{
	nil, true, false, int64(0), int64(1), int64(-1), int64(2147483648), int64(-9223372036854775808), 0.5, 1e300,
	"", " ", "x", "0", "null", "critical", "production", "argocd", "90s", "0s", "1ns", "-5s", "9999999999h", "1 hour", "5", "2026-03-02T08:00:00Z",
	"2026-03-02t08:00:00z", "2026-02-31T08:00:00Z", "2026-03-02T08:00:00+25:00", "0000-00-00T00:00:00Z", "10000-01-01T00:00:00Z",
	"\u0000", "a\u0000b", "\u0007\u001b[31m", "\ufffd", "\U0001f525", "e\u0301", "\u202eabc", "'; DROP TABLE audit_events; --", "{{ .Values }}", "../../etc/passwd", "%s%n",
	strings.Repeat("x", 63), strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("é", 200),
	strings.Repeat("long ", 4000), []any{}, []any{nil}, []any{"x", "x"}, []any{int64(1), "x", map[string]any{}}, []any{[]any{[]any{}}},
	map[string]any{}, map[string]any{"": ""}, map[string]any{"x": nil}, map[string]any{"kind": "Pod", "name": "n", "namespace": "s"},
}

// branch is a place in a tree that can be changed.
type branch struct {
	of  any // the map or list that it is in
	key string
	at  int
}

func (b branch) put(value any) {
	switch in := b.of.(type) {
	case map[string]any:
		in[b.key] = value
	case []any:
		in[b.at] = value
	}
}

func (b branch) get() any {
	if in, ok := b.of.(map[string]any); ok {
		return in[b.key]
	}
	return b.of.([]any)[b.at]
}

// branches are all places of a tree, always in the same order.
func branches(tree any) (all []branch) {
	switch in := tree.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(in)) {
			all = append(append(all, branch{of: in, key: key}), branches(in[key])...)
		}
	case []any:
		for i := range in {
			all = append(append(all, branch{of: in, at: i}), branches(in[i])...)
		}
	}
	return all
}

// mutate changes a tree in two to five places. The same numbers give the same tree.
func mutate(tree map[string]any, random *rand.Rand) {
	for range 2 + random.IntN(4) {
		places := branches(map[string]any{"spec": tree["spec"]})
		place := places[random.IntN(len(places))]
		switch random.IntN(8) {
		case 0: // away
			if in, ok := place.of.(map[string]any); ok {
				delete(in, place.key)
				break
			}
			place.put(nil)
		case 1: // a stranger beside it
			if in, ok := place.of.(map[string]any); ok {
				in["unknown"] = hostile[random.IntN(len(hostile))]
			}
		case 2: // what stands elsewhere
			place.put(clone(places[random.IntN(len(places))].get()))
		case 3: // all the way down
			place.put(nested(place.get(), 1+random.IntN(60)))
		default:
			place.put(clone(hostile[random.IntN(len(hostile))]))
		}
		if tree["spec"] == nil && random.IntN(2) == 0 {
			delete(tree, "spec")
			return
		}
	}
	if random.IntN(10) == 0 {
		tree["status"] = map[string]any{"phase": "Completed", "approvalRequired": true}
	}
}

func nested(value any, depth int) any {
	for range depth {
		value = map[string]any{"x": clone(value)}
	}
	return value
}

func clone(value any) any {
	switch in := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range in {
			out[key] = clone(inner)
		}
		return out
	case []any:
		out := make([]any, len(in))
		for i, inner := range in {
			out[i] = clone(inner)
		}
		return out
	}
	return value
}

// absent names every required member that a stored tree lacks. Required is what our types always write.
func absent(tree any, of reflect.Type, path string) (all []string) {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if list, ok := tree.([]any); ok && of.Kind() == reflect.Slice {
		for i, inner := range list {
			all = append(all, absent(inner, of.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
		}
		return all
	}
	have, ok := tree.(map[string]any)
	if !ok || of.Kind() != reflect.Struct || !strings.HasSuffix(of.PkgPath(), "api/v1alpha1") {
		return nil
	}
	for i := range of.NumField() {
		name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		value, there := have[name]
		if there && value == nil || !there && !strings.Contains(options, "omit") {
			all = append(all, path+"."+name)
		}
		if there {
			all = append(all, absent(value, of.Field(i).Type, path+"."+name)...)
		}
	}
	return all
}

// bad names what must never be stored in a spec, by the rules for people rather than by the schema.
func bad(spec *v1alpha1.AIAnalysisSpec) (all []string) {
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	signal := &spec.AnalysisRequest.SignalContext
	refuse(spec.RemediationID == "" || utf8.RuneCountInString(spec.RemediationID) > 255, "remediationId %.80q", spec.RemediationID)
	refuse(strings.ContainsFunc(spec.RemediationID, unicode.IsControl), "control character in remediationId %.80q", spec.RemediationID)
	refuse(spec.RecoveryAttemptNumber < 0, "recoveryAttemptNumber %d", spec.RecoveryAttemptNumber)
	refuse(len(spec.AnalysisRequest.AnalysisTypes) == 0, "no analysisTypes")
	refuse(utf8.RuneCountInString(signal.Fingerprint) > 64, "fingerprint %q", signal.Fingerprint)
	refuse(!slices.Contains([]string{"critical", "warning", "info"}, signal.Severity), "severity %q", signal.Severity)
	for name, text := range map[string]string{"environment": signal.Environment, "businessPriority": signal.BusinessPriority} {
		refuse(text == "" || utf8.RuneCountInString(text) > 63, "%s %q", name, text)
	}
	if labels := signal.EnrichmentResults.DetectedLabels; labels != nil {
		refuse(!slices.Contains([]string{"", "argocd", "flux"}, labels.GitOpsTool), "gitOpsTool %q", labels.GitOpsTool)
		refuse(!slices.Contains([]string{"", "istio", "linkerd"}, labels.ServiceMesh), "serviceMesh %q", labels.ServiceMesh)
	}
	if limits := spec.TimeoutConfig; limits != nil {
		for _, limit := range []v1alpha1.Duration{limits.InvestigatingTimeout, limits.AnalyzingTimeout} {
			refuse(limit.Unreadable != "" || limit.Duration < 0, "timeout %+v", limit)
		}
	}
	for _, run := range spec.PreviousExecutions {
		refuse(run.Failure.FailedStepIndex < 0, "failedStepIndex %d", run.Failure.FailedStepIndex)
		refuse(run.Failure.FailedAt.IsZero() || run.Failure.FailedAt.Year() > 9999, "failedAt %v", run.Failure.FailedAt.Format(time.RFC3339))
	}
	return all
}
