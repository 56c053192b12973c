package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

// partitionsLimit bounds the command: counting or moving years of events takes its time.
const partitionsLimit = 30 * time.Minute

// partitions works as the owner of the schema, like migrate.
func (p program) partitions(ctx context.Context) error {
	set, path := flags("partitions")
	before := set.String("drop-before", "", "drop the months before this one (YYYY-MM) with all their events")
	repair := set.Bool("repair", false, "move the events of the default partition into partitions of their months")
	yes := set.Bool("yes", false, "really drop; without it the months are only listed, and the exit code is 2")
	if _, err := p.parse(set, 0); err != nil {
		return err
	}
	month, err := oldest(*before)
	switch {
	case err != nil:
		return usageError{fmt.Errorf("--drop-before: %w", err)}
	case *before != "" && *repair:
		return usageError{errors.New("--repair and --drop-before: one at a time")}
	case *yes && *before == "":
		return usageError{errors.New("--yes: is for --drop-before")}
	}
	ctx, cancel := context.WithTimeout(ctx, partitionsLimit)
	defer cancel()
	owner, err := p.owner(ctx, *path)
	if err != nil {
		return err
	}
	defer owner.Close(context.WithoutCancel(ctx))
	switch {
	case *repair:
		moved, err := owner.Repair(ctx)
		return p.list(err, "moved to %s: %d events\n", moved, "nothing to move\n")
	case *before == "":
		found, err := owner.Partitions(ctx)
		return p.list(err, "%s: %d events\n", found, "")
	case *yes:
		dropped, err := owner.DropBefore(ctx, month)
		return p.list(err, "dropped %s: %d events\n", dropped, "nothing to drop\n")
	}
	return p.wouldDrop(ctx, owner, month)
}

// oldest reads the first month that shall stay; none is the zero time. A later one than this is a slip: it would drop
// everything.
func oldest(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	month, err := time.Parse("2006-01", text)
	if err != nil {
		return month, fmt.Errorf("must be a month as YYYY-MM (got %s)", datastorage.Quote(text))
	}
	if month.After(time.Now()) {
		return month, fmt.Errorf("must not be after this month (got %s)", text)
	}
	return month, nil
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
	if err := p.list(nil, "would drop %s: %d events\n", old, "nothing to drop\n"); err != nil {
		return err
	}
	return usageError{errors.New("nothing was dropped: add --yes")}
}

// list prints partitions, or what to say without any, unless there was an error.
func (p program) list(err error, form string, partitions []postgres.Partition, none string) error {
	if err != nil {
		return err
	}
	if len(partitions) == 0 {
		_, err = fmt.Fprint(p.stdout, none)
		return err
	}
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
