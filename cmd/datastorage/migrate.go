package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

// migrate works as the owner of the schema, whose secret file only it reads.
func (p program) migrate(ctx context.Context) error {
	set, path := flags("migrate")
	wait := set.Duration("wait", time.Minute, "how long PostgreSQL may take to answer")
	createRole := set.Bool("create-app-role", false, "make the application's role with the password of its secret file; the owner needs CREATEROLE")
	args, err := p.parse(set, 0, 1)
	if err != nil {
		return err
	}
	status := len(args) == 1
	if status && args[0] != "status" {
		return usageError{fmt.Errorf("migrate: unknown %q, the only one is status", args[0])}
	}
	c, log, err := p.config(*path)
	if err != nil {
		return err
	}
	migration := postgres.Migration{
		Wait: *wait, MonthsAhead: c.Audit.PartitionMonthsAhead, CreateAppRole: *createRole}
	if migration.Target, err = ownerTarget(c); err != nil {
		return err
	}
	if status {
		return p.migrationStatus(ctx, migration)
	}
	app, err := target(c, c.Database.Secrets)
	if err != nil {
		return err
	}
	if migration.AppRole, migration.AppPassword, err = app.Credentials(); err != nil {
		return err
	}
	outcome, err := migration.Run(ctx)
	if err := errors.Join(err, p.reportFiles(outcome.Applied)); err != nil {
		return err
	}
	if outcome.Owner.Superuser {
		log.Warn("the owner of the schema is a superuser; an ordinary role is enough", "role", outcome.Owner.Role)
	}
	return p.report(outcome, migration.AppRole)
}

func (p program) migrationStatus(ctx context.Context, migration postgres.Migration) error {
	files, err := migration.Status(ctx)
	if err != nil {
		return err
	}
	for _, file := range files {
		state := "pending"
		if !file.Applied.IsZero() {
			state = "applied " + file.Applied.UTC().Format(time.RFC3339)
		}
		if _, err := fmt.Fprintf(p.stdout, "%s  %s\n", file.Name, state); err != nil {
			return err
		}
	}
	return nil
}

// reportFiles tells what was applied, also before a failure.
func (p program) reportFiles(files []postgres.Applied) error {
	for _, applied := range files {
		if _, err := fmt.Fprintf(p.stdout, "applied %s in %s\n", applied.File, applied.Took.Round(time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

func (p program) report(outcome postgres.Outcome, appRole string) error {
	role := "kept"
	if outcome.RoleCreated {
		role = "created"
	}
	_, err := fmt.Fprintf(p.stdout, "schema %d, %d files applied, %d partitions made, role %s %s\n",
		postgres.RequiredSchema(), len(outcome.Applied), outcome.Partitions, appRole, role)
	return err
}
