package image_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/image"
)

// An image that has grown above its limit is no finished build: it says which, how large and how large it may be.
func TestEngineBuilderRefusesALargeImage(t *testing.T) {
	for name, c := range map[string]struct {
		size, most int64
		refused    bool
	}{
		"below":    {19_000_000, 20_000_000, false},
		"at":       {20_000_000, 20_000_000, false},
		"above":    {20_100_000, 20_000_000, true},
		"no limit": {1 << 40, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &buildEngine{store: store{found: engine.Image{ID: "id", Size: c.size}}}
			b := image.EngineBuilder{Engine: fake, Planner: image.Planner{Store: fake, Memory: t.TempDir()}, Root: "/src", Log: func(context.Context) io.Writer { return io.Discard }}
			p := plan("a")
			p.Image.MaxBytes = c.most
			result, err := b.Build(t.Context(), p)
			if !c.refused {
				if err != nil || result.SizeBytes != c.size {
					t.Error(result, err)
				}
				return
			}
			const want = "image a is 20.1 MB, above its limit of 20.0 MB"
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error %v", err)
			}
			digest := image.Inputs{"base:GO_IMAGE": "b"}.Digest()
			fake.found.Labels = map[string]string{image.LabelDigest: digest, image.LabelImage: "a"}
			again := goImage
			again.MaxBytes = c.most
			if _, err := (image.Planner{Store: fake}).Plan(t.Context(), again, image.Inputs{}, "b"); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("it is reused: %v", err)
			}
		})
	}
}
