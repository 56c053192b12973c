package deploy

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The moment of the table: the wait began at noon, now it is a minute later.
var (
	noon      = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	minuteOn  = noon.Add(time.Minute)
	rolledOut = `{metadata: {name: web, namespace: ns, uid: d, generation: 1, annotations: {deployment.kubernetes.io/revision: "2"}}, spec: {replicas: 1},
		status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1}}`
	rolling = strings.ReplaceAll(rolledOut, "availableReplicas: 1", "availableReplicas: 0")
	newRS   = `{metadata: {name: web-2, uid: r2, annotations: {deployment.kubernetes.io/revision: "2"}, ownerReferences: [{uid: d}]}}`
	oldRS   = `{metadata: {name: web-1, uid: r1, annotations: {deployment.kubernetes.io/revision: "1"}, ownerReferences: [{uid: d}]}}`
	job     = `{metadata: {name: seed, namespace: ns, uid: j}, status: {active: 1}}`
)

func parse[T any](t *testing.T, texts ...string) []T {
	t.Helper()
	out := make([]T, len(texts))
	for i, text := range texts {
		if err := yaml.UnmarshalStrict([]byte(text), &out[i]); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	return out
}

// podOf is a pod of the current ReplicaSet with that status and spec.
func podOf(owner, spec, status string) string {
	return `{metadata: {name: web-2-x, namespace: ns, uid: p, ownerReferences: [{uid: ` + owner + `}]}, spec: {nodeName: node1, ` + spec + `}, status: {` + status + `}}`
}

func eventOf(reason, first, last, message string) string {
	return `{metadata: {name: e}, involvedObject: {uid: p, fieldPath: "spec.containers{web}"}, reason: ` + reason + `, message: "` + message +
		`", firstTimestamp: "2026-03-02T` + first + `Z", lastTimestamp: "2026-03-02T` + last + `Z"}`
}

type causeRow struct {
	pod    string
	events []string
	now    time.Time // zero: minuteOn
	cause  Cause     // empty: nothing is wrong yet
	detail string
	again  time.Time // when it will look again
	log    *LogRequest
}

func causeRows() map[string]causeRow {
	const limit = `containers: [{name: web, resources: {limits: {memory: 64Mi}}}]`
	waiting := func(reason, message string) string {
		return `containerStatuses: [{name: web, image: img, imageID: "", ready: false, restartCount: 0, state: {waiting: {reason: ` + reason + `, message: "` + message + `"}}}]`
	}
	ended := func(restarts, code, reason, at string) string {
		return `containerStatuses: [{name: web, image: img, imageID: "", ready: false, restartCount: ` + restarts + `, state: {running: {startedAt: "2026-03-02T12:00:50Z"}},
			lastState: {terminated: {exitCode: ` + code + `, reason: ` + reason + `, finishedAt: "2026-03-02T` + at + `Z"}}}]`
	}
	running := `containerStatuses: [{name: web, image: img, imageID: "", ready: false, started: true, restartCount: 0, state: {running: {startedAt: "2026-03-02T12:00:00Z"}}}]`
	previous := &LogRequest{Namespace: "ns", Pod: "web-2-x", Container: "web", Previous: true}
	unschedulable := `conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: no cpu, lastTransitionTime: "2026-03-02T12:00:57Z"}]`
	return map[string]causeRow{
		"image never pulled": {pod: podOf("r2", "containers: []", waiting("ErrImageNeverPull", "not present")), cause: CauseImage,
			detail: "pod web-2-x: ErrImageNeverPull: img of container web on node node1: not present"},
		"image back-off":  {pod: podOf("r2", "containers: []", waiting("ImagePullBackOff", "")), cause: CauseImage},
		"image pull":      {pod: podOf("r2", "containers: []", waiting("ErrImagePull", "")), cause: CauseImage},
		"image name":      {pod: podOf("r2", "containers: []", waiting("InvalidImageName", "")), cause: CauseImage},
		"still creating":  {pod: podOf("r2", "containers: []", waiting("ContainerCreating", ""))},
		"crash loop":      {pod: podOf("r2", "containers: []", waiting("CrashLoopBackOff", "")), cause: CauseCrash, detail: "exited with code unknown"},
		"second restart":  {pod: podOf("r2", "containers: []", ended("2", "3", "Error", "12:00:45")), cause: CauseCrash, detail: "container web exited with code 3, 2 restart(s)", log: previous},
		"first restart":   {pod: podOf("r2", "containers: []", ended("1", "3", "Error", "12:00:45"))},
		"older restarts":  {pod: podOf("r2", "containers: []", ended("7", "3", "Error", "11:59:59"))},
		"out of memory":   {pod: podOf("r2", limit, ended("1", "137", "OOMKilled", "12:00:45")), cause: CauseMemory, detail: "its limit of 64Mi (exit code 137)", log: previous},
		"config missing":  {pod: podOf("r2", "containers: []", waiting("CreateContainerConfigError", `secret x not found`)), cause: CauseConfig, detail: "secret x not found"},
		"mount failing":   {pod: podOf("r2", "containers: []", waiting("ContainerCreating", "")), events: []string{eventOf("FailedMount", "12:00:45", "12:00:53", "configmap y not found")}, cause: CauseConfig, detail: "configmap y not found"},
		"mount failed":    {pod: podOf("r2", "containers: []", waiting("ContainerCreating", "")), events: []string{eventOf("FailedMount", "12:00:45", "12:00:46", "was late")}},
		"mount so far":    {pod: podOf("r2", "containers: []", waiting("ContainerCreating", "")), events: []string{eventOf("FailedMount", "12:00:52", "12:00:59", "z")}, again: noon.Add(62 * time.Second)},
		"unschedulable":   {pod: podOf("r2", "containers: []", unschedulable), now: noon.Add(62 * time.Second), cause: CauseUnschedulable, detail: "pod web-2-x: no cpu"},
		"to be bound":     {pod: podOf("r2", "containers: []", strings.Replace(unschedulable, "no cpu", "pod has unbound immediate PersistentVolumeClaims", 1)), now: noon.Add(62 * time.Second), again: noon.Add(117 * time.Second)},
		"to be scheduled": {pod: podOf("r2", "containers: []", unschedulable), again: noon.Add(62 * time.Second)},
		"probe failing": {pod: podOf("r2", "containers: []", running), events: []string{eventOf("Unhealthy", "12:00:10", "12:00:20", "Readiness probe failed: 503")}, cause: CauseProbe,
			detail: "container web runs since 12:00:00: Readiness probe failed: 503", log: &LogRequest{Namespace: "ns", Pod: "web-2-x", Container: "web"}},
		"probe so far": {pod: podOf("r2", "containers: []", running), events: []string{eventOf("Unhealthy", "12:00:40", "12:00:41", "x")}, again: noon.Add(70 * time.Second)},
		"starting, allowed to": {pod: podOf("r2", "containers: [{name: web, startupProbe: {periodSeconds: 1, failureThreshold: 90}}]", strings.ReplaceAll(running, "started: true", "started: false")),
			events: []string{eventOf("Unhealthy", "12:00:05", "12:00:20", "x")}, again: noon.Add(95 * time.Second)},
		"init done after tries": {pod: podOf("r2", "containers: []", `initContainerStatuses: [{name: m, image: i, imageID: "", ready: true, restartCount: 2,
			state: {terminated: {exitCode: 0, finishedAt: "2026-03-02T12:00:50Z"}}, lastState: {terminated: {exitCode: 1, finishedAt: "2026-03-02T12:00:40Z"}}}]`)},
		"old ReplicaSet": {pod: podOf("r1", "containers: []", waiting("ErrImageNeverPull", ""))},
		"being deleted":  {pod: strings.ReplaceAll(podOf("r2", "containers: []", waiting("ErrImageNeverPull", "")), "uid: p,", `uid: p, deletionTimestamp: "2026-03-02T12:00:00Z",`)},
	}
}

func TestCausesOfPods(t *testing.T) {
	for name, row := range causeRows() {
		t.Run(name, func(t *testing.T) {
			o := &observed{now: row.now, since: noon, deployments: parse[appsv1.Deployment](t, rolling), replicaSets: parse[appsv1.ReplicaSet](t, oldRS, newRS),
				pods: parse[corev1.Pod](t, row.pod), events: parse[corev1.Event](t, row.events...)}
			if o.now.IsZero() {
				o.now = minuteOn
			}
			v := judge(o, target{kind: "Deployment", namespace: "ns", name: "web", uid: "d", generation: 1})
			got := finding{}
			if v.failed != nil {
				got = *v.failed
			}
			if v.done || got.cause != row.cause || !strings.Contains(got.detail, row.detail) {
				t.Errorf("got %+v with %+v, want %q %q", v, got, row.cause, row.detail)
			}
			if !v.recheck.Equal(row.again) {
				t.Errorf("looks again at %s, want %s", v.recheck, row.again)
			}
			if row.log != nil && (got.log == nil || *got.log != *row.log) {
				t.Errorf("log is %+v, want %+v", got.log, row.log)
			}
		})
	}
}

func TestRollouts(t *testing.T) {
	deployed := target{kind: "Deployment", namespace: "ns", name: "web", uid: "d", generation: 1}
	for name, row := range map[string]struct {
		deployment string
		rs         string
		target     target
		done       bool
		cause      Cause
		state      string
	}{
		"rolled out":         {rolledOut, newRS, deployed, true, "", ""},
		"scaled to none":     {strings.NewReplacer("replicas: 1", "replicas: 0", "Replicas: 1", "Replicas: 0").Replace(rolledOut), newRS, deployed, true, "", ""},
		"older generation":   {rolledOut, newRS, target{kind: "Deployment", name: "web", uid: "d", generation: 2}, false, "", "not seen yet"},
		"another uid":        {rolledOut, newRS, target{kind: "Deployment", name: "web", uid: "other"}, false, "", "not seen yet"},
		"not noticed":        {strings.Replace(rolledOut, "observedGeneration: 1", "observedGeneration: 0", 1), newRS, deployed, false, "", "not yet noticed"},
		"old pod lives":      {strings.Replace(rolledOut, " replicas: 1, updated", " replicas: 2, updated", 1), newRS, deployed, false, "", "1 of 1 updated, 1 available"},
		"not available":      {rolling, newRS, deployed, false, "", "1 of 1 updated, 0 available"},
		"no ReplicaSet":      {rolling, oldRS, deployed, false, "", "0 available"},
		"deadline":           {strings.Replace(rolling, "status: {", "status: {conditions: [{type: Progressing, status: \"False\", reason: ProgressDeadlineExceeded, message: m}], ", 1), newRS, deployed, false, CauseRollout, ""},
		"creation forbidden": {rolling, strings.TrimSuffix(newRS, "}") + `, status: {replicas: 0, conditions: [{type: ReplicaFailure, status: "True", reason: FailedCreate, message: quota}]}}`, deployed, false, CauseCreate, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := &observed{now: minuteOn, since: noon, deployments: parse[appsv1.Deployment](t, row.deployment), replicaSets: parse[appsv1.ReplicaSet](t, row.rs)}
			v := judge(o, row.target)
			if v.done != row.done || (v.failed == nil) != (row.cause == "") || v.failed != nil && v.failed.cause != row.cause || !strings.Contains(v.state, row.state) {
				t.Errorf("got %+v (%+v), want done %t cause %q state %q", v, v.failed, row.done, row.cause, row.state)
			}
		})
	}
}

func TestJobs(t *testing.T) {
	with := func(kind string) string {
		return strings.Replace(job, "active: 1", `conditions: [{type: `+kind+`, status: "True", reason: BackoffLimitExceeded, message: m}]`, 1)
	}
	failedTry := podOf("j", "restartPolicy: Never, containers: [{name: seed}]", `containerStatuses: [{name: seed, image: i, imageID: "", ready: false, restartCount: 0,
		state: {terminated: {exitCode: 1, finishedAt: "2026-03-02T12:00:50Z"}}}]`)
	refused := `{metadata: {name: e}, involvedObject: {uid: j}, reason: FailedCreate, message: no account, firstTimestamp: "2026-03-02T12:00:01Z"}`
	for name, row := range map[string]struct {
		job, event string
		done       bool
		cause      Cause
		detail     string
	}{
		"complete":  {with("Complete"), "", true, "", ""},
		"running":   {job, "", false, "", ""},
		"failed":    {with("Failed"), "", false, CauseJob, "BackoffLimitExceeded: m, pod web-2-x"},
		"no pod":    {strings.Replace(job, "active: 1", "active: 0", 1), refused, false, CauseCreate, "no account"},
		"other uid": {strings.Replace(with("Complete"), "uid: j", "uid: k", 1), "", false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := &observed{now: minuteOn, since: noon, jobs: parse[batchv1.Job](t, row.job), pods: parse[corev1.Pod](t, failedTry)}
			if row.event != "" {
				o.events = parse[corev1.Event](t, row.event)
			}
			v := judge(o, target{kind: "Job", namespace: "ns", name: "seed", uid: "j"})
			if v.done != row.done || (v.failed == nil) != (row.cause == "") || v.failed != nil && (v.failed.cause != row.cause || !strings.Contains(v.failed.detail, row.detail)) {
				t.Errorf("got %+v (%+v), want %t %q %q", v, v.failed, row.done, row.cause, row.detail)
			}
		})
	}
}
