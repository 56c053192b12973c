// Command mockllm is the deterministic language model of the end-to-end suite: it speaks the OpenAI wire format and
// answers from one scenario file. It is the suite's only fake.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "mockllm:", err)
		stop()
		os.Exit(1)
	}
}

// run serves until ctx ends. Nothing listens before both files are read and agree with each other.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("mockllm", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", ":8080", "address to listen on")
	scenarios := flags.String("scenarios", "/etc/mockllm/scenarios/scenarios.yaml", "scenario file")
	seed := flags.String("seed", "/etc/mockllm/seed/workflows.yaml", "workflow seed file the scenarios are checked against")
	if err := flags.Parse(args); err != nil {
		return err
	}
	book, err := LoadBook(*scenarios, *seed)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listening on %q: %w", *listen, err)
	}
	if _, err := fmt.Fprintf(stderr, "mockllm: listening on %s with %d rows\n", listener.Addr(), len(book.Rows)); err != nil {
		return fmt.Errorf("writing the start line: %w", err)
	}
	return serve(ctx, listener, NewServer(book, time.Now))
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		stopped <- server.Shutdown(limit)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return <-stopped
}
