package deploy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	applyAtOnce   = 8                // requests in flight within one rank
	establishedIn = 10 * time.Second // a CRD that takes longer has a problem
)

// Apply sends every object of the set in one server-side apply request, in the
// order namespaces, CRDs (each waited for), RBAC, config, Services, workloads,
// Jobs, and returns the objects as the server stored them: these go to Wait.
// Fields that another manager owns are not taken from it: that is an
// ApplyError. A pod that needs a ConfigMap or Secret which nobody has made is a
// MissingError, before anything is sent. An unchanged set changes nothing.
//
// A Job cannot be changed. One that is there with the same manifest and has not
// failed is kept; any other one is deleted and made anew.
func (c *Client) Apply(ctx context.Context, set Set) (Set, error) {
	set, err := c.stamp(ctx, set)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(set, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	var applied Set
	for len(set) > 0 {
		n := slices.IndexFunc(set, func(o *unstructured.Unstructured) bool { return rank(o) != rank(set[0]) })
		if n < 0 {
			n = len(set)
		}
		stored, err := c.applyRank(ctx, set[:n])
		applied = append(applied, stored...)
		if err != nil {
			return applied, err
		}
		set = set[n:]
	}
	return applied, nil
}

// applyRank applies objects that do not depend on each other.
func (c *Client) applyRank(ctx context.Context, set Set) (Set, error) {
	stored := make(Set, len(set))
	work, workCtx := errgroup.WithContext(ctx)
	work.SetLimit(applyAtOnce)
	for i, o := range set {
		work.Go(func() (err error) {
			stored[i], err = c.applyOne(workCtx, o)
			return err
		})
	}
	err := work.Wait()
	stored = slices.DeleteFunc(stored, func(o *unstructured.Unstructured) bool { return o == nil })
	return stored, err
}

func (c *Client) applyOne(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if kindIs(o, "batch", "Job") {
		kept, err := c.clearJob(ctx, o)
		if kept != nil || err != nil {
			return kept, err
		}
	}
	endpoint, err := c.resource(o)
	if err != nil {
		return nil, err
	}
	stored, err := endpoint.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: FieldManager})
	if err != nil {
		return nil, applyError(o, err)
	}
	switch {
	case kindIs(o, "apiextensions.k8s.io", "CustomResourceDefinition"):
		err = c.established(ctx, stored)
	case kindIs(o, "", "Namespace"):
		err = c.usable(ctx, stored)
	}
	return stored, err
}

// clearJob returns the stored Job if it can stay. Otherwise it makes sure that
// there is none.
func (c *Client) clearJob(ctx context.Context, job *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	endpoint, err := c.resource(job)
	if err != nil {
		return nil, err
	}
	stored, err := endpoint.Get(ctx, job.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", describe(job), err)
	}
	same := stored.GetAnnotations()[specAnnotation] == job.GetAnnotations()[specAnnotation]
	if same && stored.GetDeletionTimestamp() == nil && conditionOf(stored, "Failed").status != "True" {
		return stored, nil
	}
	return nil, c.remove(ctx, stored)
}

// established waits for the CRD: its names may be taken by another one.
func (c *Client) established(ctx context.Context, crd *unstructured.Unstructured) error {
	bounded, cancel := context.WithTimeout(ctx, establishedIn)
	defer cancel()
	last := condition{message: "no condition reported"}
	err := c.until(bounded, crd, func(o *unstructured.Unstructured) (bool, error) {
		if o == nil {
			return false, nil
		}
		if names := conditionOf(o, "NamesAccepted"); names.status == "False" {
			return false, &WaitError{Object: describe(crd), Cause: CauseCRD, Detail: "names not accepted: " + names.String()}
		}
		if is := conditionOf(o, "Established"); is.status != "" {
			last = is
		}
		return last.status == "True", nil
	})
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return &WaitError{Object: describe(crd), Cause: CauseCRD,
			Detail: fmt.Sprintf("not Established within %s: %s", establishedIn, last)}
	}
	return err
}

// usable waits for the default ServiceAccount: until it is there, admission
// refuses every pod of a new namespace.
func (c *Client) usable(ctx context.Context, namespace *unstructured.Unstructured) error {
	account := &unstructured.Unstructured{}
	account.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ServiceAccount"))
	account.SetNamespace(namespace.GetName())
	account.SetName("default")
	return c.until(ctx, account, found)
}

func found(o *unstructured.Unstructured) (bool, error) { return o != nil, nil }

// Delete removes every object of the set, the reverse of Apply's order, and
// returns when all are gone. What is not there is no error.
func (c *Client) Delete(ctx context.Context, set Set) error {
	set = slices.Clone(set)
	slices.SortStableFunc(set, func(a, b *unstructured.Unstructured) int { return rank(b) - rank(a) })
	for _, o := range set {
		if err := c.remove(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an object and waits until it is gone, or replaced by another
// one of its name. Its dependents follow in the background.
func (c *Client) remove(ctx context.Context, o *unstructured.Unstructured) error {
	endpoint, err := c.resource(o)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if uid := o.GetUID(); uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err = endpoint.Delete(ctx, o.GetName(), options)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", describe(o), err)
	}
	err = c.until(ctx, o, func(now *unstructured.Unstructured) (bool, error) {
		return now == nil || o.GetUID() != "" && now.GetUID() != o.GetUID(), nil
	})
	if err != nil {
		return fmt.Errorf("deleting %s: %w", describe(o), err)
	}
	return nil
}
