// Command datastorage is kubernaut's Data Storage service: serve it, migrate its database, seed its catalog.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version and revision are set by the linker; the revision of an image is the digest of what it was built from.
var version, revision = "dev", "unknown"

// usageError is a mistake of whoever started the program: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// program is what a command sees of the outside.
type program struct {
	args    []string
	environ []string
	stdout  io.Writer
	stderr  io.Writer
	// serviceAccount is where Kubernetes mounts the token; empty is the usual place.
	serviceAccount string
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(1) // asked twice: at once
	}()
	err := program{args: os.Args[1:], environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "datastorage:", err)
	}
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	var mistake usageError
	var missing missingError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &mistake):
		return 2
	case errors.As(err, &missing):
		return 3
	}
	return 1
}

func (p program) run(ctx context.Context) error {
	if len(p.args) == 0 {
		return usageError{fmt.Errorf("no command given\n\n%s", usage)}
	}
	command := p.args[0]
	p.args = p.args[1:]
	run, known := map[string]func(context.Context) error{
		"serve": p.serve, "migrate": p.migrate, "seed": p.seed, "partitions": p.partitions, "dlq": p.deadLetters,
		"openapi": p.openapi, "version": p.version, "help": p.help, "-h": p.help, "--help": p.help,
	}[command]
	if !known {
		return usageError{fmt.Errorf("unknown command %q\n\n%s", command, usage)}
	}
	err := run(ctx)
	if errors.Is(err, flag.ErrHelp) { // the flags have been explained
		return nil
	}
	return err
}
