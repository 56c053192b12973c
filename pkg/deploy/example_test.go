package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/deploy"
)

// A component is read, applied and waited for; one that cannot succeed ends the
// wait early and says why.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := deploy.Connect("/path/to/kubeconfig", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	observer, err := client.Observe(ctx, "shop") // one for all components
	if err != nil {
		fmt.Println(err)
		return
	}
	defer observer.Close()
	set, err := deploy.Read("config/e2e/cart", map[string]string{"localhost/cart": "localhost/cart:3f9c"})
	if err != nil {
		fmt.Println(err)
		return
	}
	applied, err := client.Apply(ctx, set)
	if err == nil {
		err = observer.Wait(ctx, applied)
	}
	var failed *deploy.WaitError
	if errors.As(err, &failed) {
		fmt.Println(failed.Line())
	}
	if err := client.Delete(ctx, set); err != nil {
		fmt.Println(err)
	}
}

// Manifests are built without kubectl; what others need comes first.
func ExampleRead() {
	set, err := deploy.Read("../../config/e2e/catalog", map[string]string{"localhost/kubernaut-datastorage": "localhost/kubernaut-datastorage:3f9c"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range set {
		fmt.Println(o.GetKind(), o.GetNamespace()+"/"+o.GetName())
	}
	// Output: Job kubernaut-system/workflow-seed
}
