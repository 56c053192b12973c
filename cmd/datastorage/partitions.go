package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

// partitions works as the owner of the schema, like migrate.
func (p program) partitions(ctx context.Context) error {
	set, path := p.flags("partitions")
	before := set.String("drop-before", "", "drop the months before this one (YYYY-MM) with all their events")
	repair := set.Bool("repair", false, "move the events of the default partition into partitions of their months")
	yes := set.Bool("yes", false, "really drop; without it the months are only listed, and the exit code is 2")
	if _, err := p.parse(set, 0); err != nil {
		return err
	}
	month, err := time.Parse("2006-01", *before)
	if *before != "" && err != nil {
		return usageError{fmt.Errorf("--drop-before: must be a month as YYYY-MM (got %s)", datastorage.Quote(*before))}
	}
	if *before != "" && *repair {
		return usageError{errors.New("--repair and --drop-before: one at a time")}
	}
	owner, err := p.owner(ctx, *path)
	if err != nil {
		return err
	}
	defer owner.Close(context.WithoutCancel(ctx))
	switch {
	case *repair:
		moved, err := owner.Repair(ctx)
		return errors.Join(err, p.list("moved to %s: %d events\n", moved))
	case *before == "":
		found, err := owner.Partitions(ctx)
		return errors.Join(err, p.list("%s: %d events\n", found))
	case *yes:
		dropped, err := owner.DropBefore(ctx, month)
		return errors.Join(err, p.list("dropped %s: %d events\n", dropped))
	}
	return p.wouldDrop(ctx, owner, month)
}

// wouldDrop lists what --yes would drop.
func (p program) wouldDrop(ctx context.Context, owner *postgres.Owner, month time.Time) error {
	found, err := owner.Partitions(ctx)
	if err != nil {
		return err
	}
	var old []postgres.Partition
	for _, partition := range found {
		first, err := time.Parse("audit_events_2006_01", partition.Name)
		if err == nil && first.Before(month) {
			old = append(old, partition)
		}
	}
	if err := p.list("would drop %s: %d events\n", old); err != nil {
		return err
	}
	return usageError{errors.New("nothing was dropped: add --yes")}
}

func (p program) list(form string, partitions []postgres.Partition) error {
	for _, partition := range partitions {
		if _, err := fmt.Fprintf(p.stdout, form, partition.Name, partition.Rows); err != nil {
			return err
		}
	}
	return nil
}

// owner connects with the account of database.owner_secrets_file.
func (p program) owner(ctx context.Context, path string) (*postgres.Owner, error) {
	c, _, err := p.config(path)
	if err != nil {
		return nil, err
	}
	to, err := ownerTarget(c)
	if err != nil {
		return nil, err
	}
	return postgres.ConnectOwner(ctx, to)
}
