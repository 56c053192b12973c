package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// target is one thing to wait for, as Apply left it. What the watch shows may
// still be older: an object with another uid or a lower generation says nothing.
type target struct {
	kind, namespace, name string
	uid                   types.UID
	generation            int64
}

func (t target) String() string { return named(t.kind, t.namespace, t.name) }

func (t target) is(m *metav1.ObjectMeta) bool {
	return m.Name == t.name && (t.uid == "" || m.UID == t.uid) && m.Generation >= t.generation
}

// verdict is what can be said about a target now.
type verdict struct {
	done    bool
	state   string    // what is missing, if not done
	failed  *finding  // why it never will be
	recheck time.Time // when to look again even if nothing changes; zero is never
}

// judge looks at one target. It is pure: the same observations give the same
// verdict.
func judge(o *observed, t target) verdict {
	if t.kind == "Job" {
		return judgeJob(o, t)
	}
	return judgeDeployment(o, t)
}

func judgeDeployment(o *observed, t target) verdict {
	i := slices.IndexFunc(o.deployments, func(d appsv1.Deployment) bool { return t.is(&d.ObjectMeta) })
	if i < 0 {
		return verdict{state: "not seen yet"}
	}
	d := &o.deployments[i]
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	if s.ObservedGeneration < d.Generation {
		return verdict{state: "not yet noticed by the Deployment controller"}
	}
	if s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want {
		return verdict{done: true}
	}
	state := fmt.Sprintf("%d of %d updated, %d available", s.UpdatedReplicas, want, s.AvailableReplicas)
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			return verdict{state: state, failed: &finding{cause: CauseRollout, detail: c.Message}}
		}
	}
	rs := currentReplicaSet(o, d)
	if rs == nil {
		return verdict{state: state}
	}
	for _, c := range rs.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			return verdict{state: state, failed: &finding{cause: CauseCreate, detail: c.Reason + ": " + c.Message}}
		}
	}
	return judgePods(o, rs.UID, state)
}

// currentReplicaSet is the one that carries the Deployment's revision.
func currentReplicaSet(o *observed, d *appsv1.Deployment) *appsv1.ReplicaSet {
	const revision = "deployment.kubernetes.io/revision"
	for i := range o.replicaSets {
		rs := &o.replicaSets[i]
		if owned(&rs.ObjectMeta, d.UID) && rs.Annotations[revision] == d.Annotations[revision] {
			return rs
		}
	}
	return nil
}

func judgeJob(o *observed, t target) verdict {
	i := slices.IndexFunc(o.jobs, func(j batchv1.Job) bool { return t.is(&j.ObjectMeta) })
	if i < 0 {
		return verdict{state: "not seen yet"}
	}
	job := &o.jobs[i]
	state := fmt.Sprintf("%d pod(s) active, %d failed", job.Status.Active, job.Status.Failed)
	for _, c := range job.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			return verdict{done: true}
		case batchv1.JobFailed:
			f := &finding{cause: CauseJob, detail: c.Reason + ": " + c.Message}
			if pod := newestPod(o, job.UID); pod != nil {
				f.log = &LogRequest{Namespace: pod.Namespace, Pod: pod.Name, Container: pod.Spec.Containers[0].Name}
				f.detail += ", pod " + pod.Name
			}
			return verdict{state: state, failed: f}
		}
	}
	if _, event := firstEvent(o.events, job.UID, "FailedCreate", time.Time{}); event != nil && job.Status.Active == 0 {
		return verdict{state: state, failed: &finding{cause: CauseCreate, detail: "FailedCreate: " + event.Message}}
	}
	return judgePods(o, job.UID, state)
}

// judgePods asks every row of the table of causes about every pod of an owner.
func judgePods(o *observed, owner types.UID, state string) verdict {
	v := verdict{state: state}
	for i := range o.pods {
		pod := &o.pods[i]
		if !owned(&pod.ObjectMeta, owner) || pod.DeletionTimestamp != nil {
			continue
		}
		v.state += "; " + podState(pod)
		for _, row := range podRows() {
			f := row(o, pod)
			if f.cause == "" {
				continue
			}
			f.detail = "pod " + pod.Name + ": " + f.detail
			if !f.due.After(o.now) {
				v.failed = &f
				return v
			}
			if v.recheck.IsZero() || f.due.Before(v.recheck) {
				v.recheck = f.due
			}
		}
	}
	return v
}

func podState(pod *corev1.Pod) string {
	parts := []string{"pod " + pod.Name + " " + string(pod.Status.Phase)}
	for _, c := range containers(pod) {
		switch {
		case c.State.Waiting != nil:
			parts = append(parts, c.Name+" "+c.State.Waiting.Reason)
		case c.State.Running != nil && !c.Ready:
			parts = append(parts, c.Name+" not ready")
		}
	}
	return strings.Join(parts, ", ")
}

func newestPod(o *observed, owner types.UID) *corev1.Pod {
	var own []*corev1.Pod
	for i := range o.pods {
		if owned(&o.pods[i].ObjectMeta, owner) {
			own = append(own, &o.pods[i])
		}
	}
	if own == nil {
		return nil
	}
	return slices.MaxFunc(own, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
}

func owned(m *metav1.ObjectMeta, owner types.UID) bool {
	return slices.ContainsFunc(m.OwnerReferences, func(r metav1.OwnerReference) bool { return r.UID == owner })
}
