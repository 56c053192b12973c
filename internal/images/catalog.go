// Package images is the one list of our images.
package images

import "github.com/kubernaut-ai/kubernaut/pkg/image"

// Build arguments that name the base images, and MiB that a cold build needs.
const (
	goBase, pythonBase     = "GO_IMAGE", "PYTHON_IMAGE"
	goMemory, pythonMemory = 1024, 3584
	megabyte               = 1_000_000
	revision               = "REVISION" // argument of programs that tell their revision: the digest of their inputs
)

// Catalog has every image that we build, a line each.
var Catalog = []image.Image{
	{Name: "datastorage", Kind: image.Go, Dockerfile: "docker/datastorage.Dockerfile", Context: ".", Main: "./cmd/datastorage", Base: goBase, Revision: revision, Memory: goMemory, MaxBytes: 20 * megabyte},
	{Name: "holmesgpt-api", Kind: image.Python, Dockerfile: "holmesgpt-api/Dockerfile", Context: "holmesgpt-api", Base: pythonBase, Memory: pythonMemory, MaxBytes: 600 * megabyte},
	{Name: "aianalysis", Kind: image.Go, Dockerfile: "docker/aianalysis.Dockerfile", Context: ".", Main: "./cmd/aianalysis", Base: goBase, Revision: revision, Memory: goMemory, MaxBytes: 40 * megabyte},
	{Name: "mockllm", Kind: image.Go, Dockerfile: "docker/mockllm.Dockerfile", Context: ".", Main: "./test/mockllm", Base: goBase, Memory: goMemory, MaxBytes: 20 * megabyte},
}
