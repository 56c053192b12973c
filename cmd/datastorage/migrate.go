package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

// migrate works as the owner of the schema, whose secret file only it reads.
func (p program) migrate(ctx context.Context) error {
	set, path := p.flags("migrate")
	wait := set.Duration("wait", time.Minute, "how long PostgreSQL may take to answer")
	createRole := set.Bool("create-app-role", false, "make the application's role with the password of its secret file")
	if _, err := p.parse(set, 0); err != nil {
		return err
	}
	c, log, err := p.config(*path)
	if err != nil {
		return err
	}
	if c.Database.OwnerSecretsFile == "" {
		return usageError{errors.New("database.owner_secrets_file: is required by migrate")}
	}
	migration := postgres.Migration{
		Wait: *wait, MonthsAhead: c.Audit.PartitionMonthsAhead, CreateAppRole: *createRole}
	owner := datastorage.SecretFile{Path: c.Database.OwnerSecretsFile,
		UsernameKey: c.Database.Secrets.UsernameKey, PasswordKey: c.Database.Secrets.PasswordKey}
	if migration.Target, err = target(c, owner); err != nil {
		return err
	}
	app, err := target(c, c.Database.Secrets)
	if err != nil {
		return err
	}
	if migration.AppRole, migration.AppPassword, err = app.Credentials(); err != nil {
		return err
	}
	outcome, err := migration.Run(ctx)
	if err != nil {
		return err
	}
	if outcome.Owner.Superuser {
		log.Warn("the owner of the schema is a superuser; an ordinary role is enough", "role", outcome.Owner.Role)
	}
	return p.report(outcome, migration.AppRole)
}

func (p program) report(outcome postgres.Outcome, appRole string) error {
	for _, applied := range outcome.Applied {
		if _, err := fmt.Fprintf(p.stdout, "applied %s in %s\n", applied.File, applied.Took.Round(time.Millisecond)); err != nil {
			return err
		}
	}
	role := "kept"
	if outcome.RoleCreated {
		role = "created"
	}
	_, err := fmt.Fprintf(p.stdout, "schema %d, %d files applied, %d partitions made, role %s %s\n",
		postgres.RequiredSchema(), len(outcome.Applied), outcome.Partitions, appRole, role)
	return err
}
