// Package image builds container images and knows when it need not: an image
// is named by the digest of everything that goes into it.
package image

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Kind tells how an image's inputs are found.
type Kind string

// Go images depend on what `go list -deps` of their main package names, Python
// images on their build context after the ignore file.
const (
	Go     Kind = "go"
	Python Kind = "python"
)

// Image is one line of a catalog. Paths are relative to the source tree's root.
type Image struct {
	Name       string
	Kind       Kind
	Dockerfile string
	Context    string
	Main       string            // Go: the main package, for example ./cmd/datastorage
	Base       string            // build argument that names the base image
	Revision   string            // build argument that takes the input digest, for a program that tells what it was made of; may be empty
	Args       map[string]string // further build arguments
	Memory     int64             // MiB that a cold build needs
	MaxBytes   int64             // how large the built image may be; 0: no limit
}

// Ignore is the ignore file beside the Dockerfile; it admits, it does not exclude.
func (i Image) Ignore() string { return i.Dockerfile + ".dockerignore" }

// Repository is the image's name without its tag.
func (i Image) Repository() string { return "localhost/kubernaut-" + i.Name }

// fits refuses a size above the image's limit, freshly built or found in the store.
func (i Image) fits(size int64) error {
	if i.MaxBytes == 0 || size <= i.MaxBytes {
		return nil
	}
	return fmt.Errorf("image %s is %.1f MB, above its limit of %.1f MB: take out what it need not carry, or raise MaxBytes in the catalog",
		i.Name, float64(size)/1e6, float64(i.MaxBytes)/1e6)
}

// Labels that every image of ours carries.
const (
	LabelDigest = "ai.kubernaut.digest" // full input digest
	LabelImage  = "ai.kubernaut.image"  // name in the catalog
	LabelRun    = "ai.kubernaut.run"    // run that built it
)

// Result is one finished build.
type Result struct {
	Ref       string
	ID        string
	SizeBytes int64
	PeakBytes int64 // largest process of the build; 0 where the engine's machine is not this one
	Wall      time.Duration
}

// Builder builds what a plan says. Limit, Share and Record decorate one.
type Builder interface {
	Build(ctx context.Context, p Plan) (Result, error)
}

// All builds the plans at once. Results stand in the order of the plans; the
// first failure cancels the others, and every failure is in the error, named.
func All(ctx context.Context, b Builder, plans []Plan) ([]Result, error) {
	results, failed := make([]Result, len(plans)), make([]error, len(plans))
	group, ctx := errgroup.WithContext(ctx)
	for i, p := range plans {
		group.Go(func() error {
			result, err := b.Build(ctx, p)
			if err != nil {
				failed[i] = fmt.Errorf("image %s: %w", p.Image.Name, err)
				return failed[i]
			}
			results[i] = result
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return results, errors.Join(failed...)
	}
	return results, nil
}
