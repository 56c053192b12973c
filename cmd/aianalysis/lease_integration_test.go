//go:build integration

package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// A leader takes, renews and releases its lease with what the Role grants, and needs all of it.
func TestLeaderElectionNeedsWhatTheRoleGrants(t *testing.T) {
	c, namespace := cluster(t)
	proxy, access := newAPIProxy(t, leastAccess(t, c))
	content, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	role := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(bytes.SplitN(content, []byte("\n---\n"), 2)[1], &role.Object); err != nil {
		t.Fatal(err)
	}
	role.SetName(testAccount)
	role.SetNamespace(namespace)
	binding := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": rbac.SchemeGroupVersion.String(), "kind": "RoleBinding", "metadata": map[string]any{"name": testAccount, "namespace": namespace},
		"roleRef":  map[string]any{"apiGroup": rbac.GroupName, "kind": "Role", "name": testAccount},
		"subjects": []any{map[string]any{"apiGroup": rbac.GroupName, "kind": "User", "name": testAccount}},
	}}
	for _, object := range []client.Object{role, binding} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", access)
	if err != nil {
		t.Fatal(err)
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	lease := metav1.ObjectMeta{Name: leaderElectionID, Namespace: namespace}
	ctx, release := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock:            &resourcelock.LeaseLock{LeaseMeta: lease, Client: clients.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: "one"}},
			ReleaseOnCancel: true, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 100 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) {}, OnStoppedLeading: func() {}},
		})
	}()
	holder := func(ctx context.Context) string {
		var have coordination.Lease
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: leaderElectionID}, &have) // past the proxy
		if err != nil || have.Spec.HolderIdentity == nil {
			return ""
		}
		return *have.Spec.HolderIdentity
	}
	until(t, "the lease is taken and renewed", func(ctx context.Context) bool {
		asked, _ := proxy.seen()
		return holder(ctx) == "one" && asked["update coordination.k8s.io/leases"]
	})
	release()
	<-ended
	if have := holder(t.Context()); have != "" {
		t.Errorf("the lease is still held by %q", have)
	}
	asked, _ := proxy.seen()
	for _, granted := range grantedBy(t) {
		if strings.HasSuffix(granted, "/leases") && !asked[granted] {
			t.Errorf("%s is granted and not called", granted)
		}
	}
	for called := range asked {
		if !slices.Contains(grantedBy(t), called) {
			t.Errorf("%s is called and not granted", called)
		}
	}
}
