package deploy

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// How long a state that may still mend itself is tolerated.
const (
	mountPatience    = 10 * time.Second
	schedulePatience = 5 * time.Second
	// A claim is bound by the controller manager, which on a new cluster first has to get its own leases and caches.
	bindPatience    = 60 * time.Second
	probePatience   = 30 * time.Second
	restartsAllowed = 1 // the second restart ends the wait
)

// observed is what the API server has said so far about one namespace.
type observed struct {
	now         time.Time
	since       time.Time // the wait's beginning: restarts before it are history
	deployments []appsv1.Deployment
	replicaSets []appsv1.ReplicaSet
	pods        []corev1.Pod
	jobs        []batchv1.Job
	events      []corev1.Event
}

// finding is what one row of the table of causes sees in one pod.
type finding struct {
	cause  Cause // empty: nothing to object to
	detail string
	due    time.Time   // the cause counts from then on; zero is at once
	log    *LogRequest // the log that explains it
	image  string      // the image concerned, CauseImage only
}

// podRows is the table of causes for pods, the most telling first: an
// out-of-memory kill also looks like a crash loop.
func podRows() []func(*observed, *corev1.Pod) finding {
	return []func(*observed, *corev1.Pod) finding{
		imageRow, memoryRow, crashRow, configRow, mountRow, scheduleRow, probeRow,
	}
}

func imageRow(_ *observed, pod *corev1.Pod) finding {
	for _, c := range containers(pod) {
		if c.State.Waiting == nil {
			continue
		}
		switch c.State.Waiting.Reason {
		case "ErrImageNeverPull", "ImagePullBackOff", "ErrImagePull", "InvalidImageName":
			return finding{cause: CauseImage, image: c.Image, detail: fmt.Sprintf("%s: %s of container %s on node %s: %s",
				c.State.Waiting.Reason, c.Image, c.Name, pod.Spec.NodeName, c.State.Waiting.Message)}
		}
	}
	return finding{}
}

func memoryRow(o *observed, pod *corev1.Pod) finding {
	for _, c := range containers(pod) {
		end := lastEnd(c, o.since)
		if end == nil || end.Reason != "OOMKilled" {
			continue
		}
		return finding{cause: CauseMemory, log: logOf(pod, c), detail: fmt.Sprintf(
			"container %s was killed at its limit of %s (exit code %d)", c.Name, memoryLimit(pod, c.Name), end.ExitCode)}
	}
	return finding{}
}

func crashRow(o *observed, pod *corev1.Pod) finding {
	if pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
		return finding{} // a failed try of a Job: the Job's condition decides
	}
	for _, c := range containers(pod) {
		end := lastEnd(c, o.since)
		looping := c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff"
		if !looping && (end == nil || c.RestartCount <= restartsAllowed) {
			continue
		}
		code := "unknown"
		if end := lastEnd(c, time.Time{}); end != nil {
			code = fmt.Sprint(end.ExitCode)
		}
		return finding{cause: CauseCrash, log: logOf(pod, c), detail: fmt.Sprintf(
			"container %s exited with code %s, %d restart(s)", c.Name, code, c.RestartCount)}
	}
	return finding{}
}

func configRow(_ *observed, pod *corev1.Pod) finding {
	for _, c := range containers(pod) {
		if w := c.State.Waiting; w != nil && w.Reason == "CreateContainerConfigError" {
			return finding{cause: CauseConfig, detail: fmt.Sprintf("container %s: %s", c.Name, w.Message)}
		}
	}
	return finding{}
}

func mountRow(o *observed, pod *corev1.Pod) finding {
	for _, c := range containers(pod) {
		if c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil {
			return finding{} // a container has run: the volumes are mounted
		}
	}
	first, event := firstEvent(o.events, pod.UID, "FailedMount", time.Time{})
	if event == nil {
		return finding{}
	}
	if _, last := span(event); last.Sub(first) < mountPatience/2 {
		return finding{} // failed in the beginning, not since: the kubelet tries again after 0.5, 1, 2, 4, 8 s
	}
	return finding{cause: CauseConfig, detail: event.Message, due: first.Add(mountPatience)}
}

func scheduleRow(_ *observed, pod *corev1.Pod) finding {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			patience := schedulePatience
			if strings.Contains(c.Message, "unbound immediate PersistentVolumeClaims") {
				patience = bindPatience
			}
			return finding{cause: CauseUnschedulable, detail: c.Message, due: c.LastTransitionTime.Add(patience)}
		}
	}
	return finding{}
}

// probeRow looks at running containers that are not ready. Patience counts from
// the first failed probe of this container; while it is still starting, a
// startup probe that allows more than that has its way. The kubelet reports
// only some of many equal failures, so the last one need not be recent.
func probeRow(o *observed, pod *corev1.Pod) finding {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running == nil || c.Ready {
			continue
		}
		started := c.State.Running.StartedAt.Time
		first, event := firstEvent(o.events, pod.UID, "Unhealthy", started)
		if event == nil || !strings.Contains(event.InvolvedObject.FieldPath, "{"+c.Name+"}") {
			continue
		}
		patience := probePatience
		if c.Started == nil || !*c.Started {
			patience = max(patience, startupAllowance(pod, c.Name))
		}
		return finding{cause: CauseProbe, due: first.Add(patience),
			log:    &LogRequest{Namespace: pod.Namespace, Pod: pod.Name, Container: c.Name},
			detail: fmt.Sprintf("container %s runs since %s: %s", c.Name, started.UTC().Format(time.TimeOnly), event.Message)}
	}
	return finding{}
}

func startupAllowance(pod *corev1.Pod, container string) time.Duration {
	for i := range pod.Spec.Containers {
		if p := pod.Spec.Containers[i].StartupProbe; p != nil && pod.Spec.Containers[i].Name == container {
			return time.Duration(p.InitialDelaySeconds+p.PeriodSeconds*p.FailureThreshold) * time.Second
		}
	}
	return 0
}

// containers are the pod's container states, init containers first.
func containers(pod *corev1.Pod) []corev1.ContainerStatus {
	all := make([]corev1.ContainerStatus, 0, len(pod.Status.InitContainerStatuses)+len(pod.Status.ContainerStatuses))
	return append(append(all, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
}

// lastEnd is how the container last ended, nil if it never did, ended well, or
// ended before since (whose fraction of a second the API server does not keep).
func lastEnd(c corev1.ContainerStatus, since time.Time) *corev1.ContainerStateTerminated {
	end := c.LastTerminationState.Terminated
	if now := c.State.Terminated; now != nil {
		if end = now; now.ExitCode == 0 {
			return nil
		}
	}
	if end == nil || end.FinishedAt.Time.Before(since.Truncate(time.Second)) {
		return nil
	}
	return end
}

func logOf(pod *corev1.Pod, c corev1.ContainerStatus) *LogRequest {
	return &LogRequest{Namespace: pod.Namespace, Pod: pod.Name, Container: c.Name, Previous: c.State.Terminated == nil && c.RestartCount > 0}
}

func memoryLimit(pod *corev1.Pod, container string) string {
	for _, c := range append(append([]corev1.Container(nil), pod.Spec.InitContainers...), pod.Spec.Containers...) {
		if limit, ok := c.Resources.Limits[corev1.ResourceMemory]; ok && c.Name == container {
			return limit.String()
		}
	}
	return "the node"
}

// firstEvent finds when events of that reason began for an object, not counting
// those that ended before since, and the latest of them.
func firstEvent(events []corev1.Event, uid types.UID, reason string, since time.Time) (time.Time, *corev1.Event) {
	var first time.Time
	var latest *corev1.Event
	for i := range events {
		e := &events[i]
		begin, end := span(e)
		if e.InvolvedObject.UID != uid || e.Reason != reason || end.Before(since.Truncate(time.Second)) {
			continue
		}
		if begin.Before(since) {
			begin = since
		}
		if latest == nil || begin.Before(first) {
			first = begin
		}
		if latest == nil {
			latest = e
		} else if _, latestEnd := span(latest); end.After(latestEnd) {
			latest = e
		}
	}
	return first, latest
}

// span is the time from an event's first to its last occurrence, whichever of
// the two event interfaces wrote it.
func span(e *corev1.Event) (begin, end time.Time) {
	begin, end = e.FirstTimestamp.Time, e.LastTimestamp.Time
	if begin.IsZero() {
		begin = e.EventTime.Time
	}
	if begin.IsZero() {
		begin = e.CreationTimestamp.Time
	}
	if e.Series != nil {
		end = e.Series.LastObservedTime.Time
	}
	if end.IsZero() {
		end = begin
	}
	return begin, end
}
