package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/kubernaut-ai/kubernaut/api/openapi"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/dlq"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/httpapi"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

// flags makes the flag set of a command with its --config.
func flags(command string) (*flag.FlagSet, *string) {
	set := bareFlags(command)
	return set, set.String("config", "", "configuration `file` (or CONFIG_PATH)")
}

// bareFlags makes the flag set of a command that needs no configuration. It prints nothing by itself: a mistake is told once.
func bareFlags(command string) *flag.FlagSet {
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	return set
}

// config reads the configuration and the logger that it describes. Every mistake is of exit code 2.
func (p program) config(path string) (datastorage.Config, *slog.Logger, error) {
	if path == "" {
		for _, variable := range p.environ {
			if value, found := strings.CutPrefix(variable, "CONFIG_PATH="); found {
				path = value
			}
		}
	}
	if path == "" {
		return datastorage.Config{}, nil, usageError{errors.New("--config or CONFIG_PATH is required")}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return datastorage.Config{}, nil, usageError{fmt.Errorf("reading the configuration: %w", err)}
	}
	c, err := datastorage.ReadConfig(file, p.environ)
	if err != nil {
		return c, nil, usageError{fmt.Errorf("configuration %q:\n%w", path, err)}
	}
	return c, logger(c, p.stderr), nil
}

func logger(c datastorage.Config, to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel()}
	var handler slog.Handler = slog.NewJSONHandler(to, options)
	if c.Logging.Format == "console" {
		handler = slog.NewTextHandler(to, options)
	}
	return slog.New(handler).With("service", "datastorage", "version", version)
}

// target is the database with the credentials of a secret file; a user name in the file wins.
func target(c datastorage.Config, secrets datastorage.SecretFile) (postgres.Target, error) {
	credentials := func() (string, string, error) {
		user, password, err := secrets.Read()
		if user == "" {
			user = c.Database.User
		}
		return user, password, err
	}
	if _, _, err := credentials(); err != nil {
		return postgres.Target{}, usageError{err}
	}
	d := c.Database
	return postgres.Target{
		Host: d.Host, Port: d.Port, Name: d.Name, SSLMode: d.SSLMode, SSLRootCert: d.SSLRootCert,
		Credentials: credentials, ConnectTimeout: d.ConnectTimeout,
	}, nil
}

func storeOptions(c datastorage.Config) (postgres.Options, error) {
	to, err := target(c, c.Database.Secrets)
	d := c.Database
	return postgres.Options{
		Target: to, MaxConns: d.MaxConns, ReadConns: d.ReadConns, MinConns: d.MinConns,
		ConnMaxLifetime: d.ConnMaxLifetime, ConnMaxIdleTime: d.ConnMaxIdleTime,
		SingleTimeout: c.Audit.SingleTimeout, BatchTimeout: c.Audit.BatchTimeout,
		QueryTimeout: c.Query.Timeout, MaxCount: c.Query.MaxCount,
	}, err
}

// openQueue is nil without an error if Redis is switched off.
func openQueue(c datastorage.Config) (*dlq.Queue, error) {
	r := c.Redis
	if !r.Enabled {
		return nil, nil
	}
	options := dlq.Options{Addr: r.Addr, DB: r.DB, TLS: r.TLS, CAFile: r.CAFile, Timeout: c.Audit.DLQTimeout, MaxLen: r.DLQMaxLen}
	if r.Secrets.Path != "" {
		if _, _, err := r.Secrets.Read(); err != nil {
			return nil, usageError{err}
		}
		options.Credentials = r.Secrets.Read
	}
	return dlq.Open(options)
}

func (p program) openapi(context.Context) error {
	if _, err := p.parse(bareFlags("openapi"), 0); err != nil {
		return err
	}
	contract, err := openapi.Files.ReadFile("datastorage.yaml")
	if err == nil {
		_, err = p.stdout.Write(contract)
	}
	return err
}

// ownerTarget is the database with the account of the owner of the schema.
func ownerTarget(c datastorage.Config) (postgres.Target, error) {
	if c.Database.OwnerSecretsFile == "" {
		return postgres.Target{}, usageError{errors.New("database.owner_secrets_file: is required here")}
	}
	return target(c, datastorage.SecretFile{Path: c.Database.OwnerSecretsFile,
		UsernameKey: c.Database.Secrets.UsernameKey, PasswordKey: c.Database.Secrets.PasswordKey})
}

func (p program) version(context.Context) error {
	if _, err := p.parse(bareFlags("version"), 0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "datastorage %s\nrevision %s\ncontract %s\nschema %d\n",
		version, revision, httpapi.ContractVersion(), postgres.RequiredSchema())
	return err
}
