package cluster

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
)

func TestAwaitSaysWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock jumps over the wait
		late := object("v1", "Node", "", "n", map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "False", "message": "no network plugin"}}})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("a minute is over"))
		defer cancel()
		err := await(ctx, fake.NewSimpleDynamicClient(runtime.NewScheme(), late), []fact{{nodes, "", "n", condition("Ready")}}, nil)
		for _, part := range []string{"nodes n", "no network plugin", "a minute is over"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %v", part, err)
			}
		}
	})
}

func TestAwaitSeesAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{accounts: "ServiceAccountList"})
		done := make(chan error, 1)
		go func() { done <- await(t.Context(), client, usable(nil)[:1], nil) }()
		synctest.Wait() // the watch stands
		at := client.Resource(accounts).Namespace("default")
		if _, err := at.Create(t.Context(), object("v1", "ServiceAccount", "default", "other", nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it took another object for the one: %v", err)
		default:
		}
		if _, err := at.Create(t.Context(), object("v1", "ServiceAccount", "default", "default", nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestKindLogIsPlain(t *testing.T) {
	var out bytes.Buffer
	log := &kindLog{out: &out}
	log.V(0).Infof(" \u2713 %s \U0001F4E6 \n", "Preparing nodes")
	log.V(1).Info("detail")
	log.Warnf("old %s", "cgroup")
	if got := out.String(); got != "Preparing nodes\nwarning: old cgroup\n" {
		t.Errorf("got %q", got)
	}
}
