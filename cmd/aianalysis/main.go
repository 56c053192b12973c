// Command aianalysis is the controller of the AIAnalysis resource.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis/settings"
)

// Set by the linker; the commit of an image is the digest of what it was built from.
var version, commit, built = "dev", "unknown", "unknown"

func main() {
	if err := run(ctrl.SetupSignalHandler(), os.Args[1:], os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "aianalysis:", err)
		os.Exit(1)
	}
}

// run is the whole program. It returns nil when ctx ended it.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("aianalysis", flag.ContinueOnError)
	flags.SetOutput(out)
	showVersion := flags.Bool("version", false, "print version, commit and build time")
	config.RegisterFlags(flags)
	logging := zap.Options{}
	logging.BindFlags(flags)
	chosen, err := settings.Load(flags, args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err == nil && *showVersion:
		_, err = fmt.Fprintf(out, "aianalysis %s, commit %s, built %s\n", version, commit, built)
		return err
	case err != nil:
		return fmt.Errorf("configuration:\n%w", err)
	}
	logger := newLogger(&logging, chosen, out)
	ctrl.SetLogger(logger)
	if len(chosen.Ignored) > 0 {
		logger.Info("configuration keys without meaning here", "keys", chosen.Ignored)
	}
	return serve(ctx, chosen, logger)
}
