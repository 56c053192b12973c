package deploy

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// until returns once done says so about the object; nil stands for "not there".
// One LIST, then a WATCH from its version; a watch that the server ends is
// begun anew the same way.
func (c *Client) until(ctx context.Context, o *unstructured.Unstructured, done func(*unstructured.Unstructured) (bool, error)) error {
	endpoint, err := c.resource(o)
	if err != nil {
		return err
	}
	for {
		finished, err := untilOnce(ctx, endpoint, o.GetName(), done)
		if ctx.Err() != nil && !finished {
			return &TimeoutError{Object: describe(o), Detail: "still being waited for", Err: context.Cause(ctx)}
		}
		if err != nil {
			return err
		}
		if finished {
			return nil
		}
	}
}

// untilOnce looks through one LIST and one WATCH. Finished false without an
// error means that the watch ended early.
func untilOnce(ctx context.Context, endpoint dynamic.ResourceInterface, name string, done func(*unstructured.Unstructured) (bool, error)) (bool, error) {
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	list, err := endpoint.List(ctx, only)
	if err != nil {
		return false, fmt.Errorf("listing %q: %w", name, err)
	}
	var current *unstructured.Unstructured
	for i := range list.Items {
		if list.Items[i].GetName() == name {
			current = &list.Items[i]
		}
	}
	if finished, err := done(current); finished || err != nil {
		return finished, err
	}
	only.ResourceVersion = list.GetResourceVersion()
	changes, err := endpoint.Watch(ctx, only)
	if err != nil {
		return false, fmt.Errorf("watching %q: %w", name, err)
	}
	defer changes.Stop()
	for {
		var event watch.Event
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case next, open := <-changes.ResultChan():
			if !open {
				return false, nil
			}
			event = next
		}
		if event.Type == watch.Error {
			if err := apierrors.FromObject(event.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
				return false, fmt.Errorf("watching %q: %w", name, err)
			}
			return false, nil
		}
		now, ok := event.Object.(*unstructured.Unstructured)
		if !ok || now.GetName() != name {
			continue
		}
		if event.Type == watch.Deleted {
			now = nil
		}
		if finished, err := done(now); finished || err != nil {
			return finished, err
		}
	}
}

type condition struct{ status, reason, message string }

func (c condition) String() string {
	if c.reason == "" {
		return c.message
	}
	return c.reason + ": " + c.message
}

// conditionOf is the status condition of that type, zero if it is not there.
func conditionOf(o *unstructured.Unstructured, kind string) condition {
	status, _ := o.Object["status"].(map[string]any)
	for _, m := range maps(status["conditions"]) {
		if m["type"] == kind {
			text := func(key string) string { s, _ := m[key].(string); return s }
			return condition{text("status"), text("reason"), text("message")}
		}
	}
	return condition{}
}
