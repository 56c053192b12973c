package image

import (
	"context"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Names of the token pools that Limit takes from.
const (
	PoolBuilder = "builder" // engine builds at once
	PoolMemory  = "memory"  // MiB
)

// Limit admits a build when a builder and the image's memory are free. Nothing
// is held while waiting, and a demand above the pool runs alone.
func Limit(b Builder, pools *stage.Pools) Builder { return limit{b, pools} }

type limit struct {
	next  Builder
	pools *stage.Pools
}

func (l limit) Build(ctx context.Context, p Plan) (Result, error) {
	release, err := l.pools.Acquire(ctx, map[string]int64{PoolBuilder: 1, PoolMemory: p.Image.Memory})
	if err != nil {
		return Result{}, err
	}
	defer release()
	return l.next.Build(ctx, p)
}
