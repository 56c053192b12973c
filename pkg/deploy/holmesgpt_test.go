package deploy_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// HolmesGPT-API's root file system is read-only, so its one place to write is the temporary folder, which is its home too;
// the import of the SDK takes a whole core, so there is no limit on the processor.
func TestPodOfHolmesGPTAPI(t *testing.T) {
	spec := podSpec(t, read(t, "holmesgpt")["Deployment holmesgpt-api"])
	if pod := spec.SecurityContext; !*pod.RunAsNonRoot || *pod.RunAsUser == 0 || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod security is %+v", pod)
	}
	c := spec.Containers[0]
	if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || len(s.Capabilities.Drop) != 1 || len(s.Capabilities.Add) != 0 {
		t.Errorf("container security is %+v", s)
	}
	empty := map[string]bool{}
	for _, v := range spec.Volumes {
		empty[v.Name] = v.EmptyDir != nil
	}
	var writable []string
	for _, m := range c.VolumeMounts {
		if !m.ReadOnly {
			writable = append(writable, m.MountPath)
		}
		if !m.ReadOnly && !empty[m.Name] {
			t.Errorf("%s can be written and is no emptyDir", m.MountPath)
		}
	}
	if len(writable) != 1 || writable[0] != "/tmp" {
		t.Errorf("can write to %v, want /tmp alone", writable)
	}
	asks, limits := c.Resources.Requests, c.Resources.Limits
	if asks.Cpu().String() != "250m" || asks.Memory().String() != "384Mi" || limits.Memory().String() != "512Mi" || len(limits) != 1 {
		t.Errorf("requests %v, limits %v", asks, limits)
	}
}
