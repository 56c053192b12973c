package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
)

const usage = `usage: datastorage COMMAND [flags]

  serve                     answer requests until SIGTERM
  serve --dev               the same from a throw-away PostgreSQL of this host
  migrate                   bring the database up to date   [--wait 60s] [--create-app-role]
  migrate status            list the schema's files         [--wait 60s]
  seed FILE                 add workflows to the catalog    [--wait 60s]
  partitions                list the months of audit events [--repair] [--drop-before YYYY-MM [--yes]]
  dlq status                what waits in the queue
  dlq list --dead           what could not be stored        [--limit 100]
  dlq replay                try what could not be stored again
  openapi                   print the contract
  version                   what this program is

All but serve --dev, openapi and version need --config FILE or CONFIG_PATH. datastorage help COMMAND tells more.
migrate and partitions work as the owner of the schema (database.owner_secrets_file).
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 this host lacks something.
`

// details are what help COMMAND says before the flags.
var details = map[string]string{
	"serve": `datastorage serve [--dev]

Answers requests until SIGTERM: probes at once, data as soon as PostgreSQL or Redis can keep it. It works with the account of
database.secrets_file. With --dev it needs no configuration: it starts a PostgreSQL (15 or newer) that is installed on this
host, and a redis-server or valkey-server if there is one, in a temporary folder, serves on 127.0.0.1:8080, and removes
everything at the end. Not for root.
`,
	"migrate": `datastorage migrate [--wait 60s] [--create-app-role]
datastorage migrate status [--wait 60s]

Brings the schema up to date as its owner (database.owner_secrets_file), makes the partitions of the coming months and gives
the application's role its rights. Any number may run at once: one works, the others wait. A file that fails is named with
its line, and nothing of it stays. --create-app-role makes the role, for which the owner needs CREATEROLE. status lists the
files and changes nothing.
`,
	"seed": `datastorage seed FILE [--wait 60s]

Adds the workflows of a YAML or JSON list, at least one, to the catalog, all or none. content_file may stand for content, and
a missing content_hash is computed. A version that is there already is skipped if it is the same, else nothing is added: exit
code 1.
`,
	"partitions": `datastorage partitions
datastorage partitions --repair
datastorage partitions --drop-before YYYY-MM [--yes]

Lists the months of audit events with their numbers, as the owner of the schema (database.owner_secrets_file). --repair moves
the events of months without a partition into partitions of their own; writes wait meanwhile. --drop-before drops whole
months, with all their events, and nothing brings them back; without --yes it tells which and ends with exit code 2.
`,
	"dlq": `datastorage dlq status
datastorage dlq list --dead [--limit 100]
datastorage dlq replay

Shows how many events wait in Redis for PostgreSQL, and how many could not be stored; lists the latter, the oldest first, with
the time and the reason; puts all of them back to the end of the queue, to be tried again by the service.
`,
	"openapi": "datastorage openapi\n\nPrints the contract (OpenAPI 3.0.3, YAML) that this program serves.\n",
	"version": "datastorage version\n\nPrints the versions of the program, its contract and its schema.\n",
}

// help explains everything, or one command.
func (p program) help(ctx context.Context) error {
	if len(p.args) == 0 {
		_, err := fmt.Fprint(p.stdout, usage)
		return err
	}
	if _, known := details[p.args[0]]; !known || len(p.args) > 1 {
		return usageError{fmt.Errorf("help: unknown command %q\n\n%s", strings.Join(p.args, " "), usage)}
	}
	p.args = []string{p.args[0], "-h"}
	return p.run(ctx)
}

// parse reads flags that may stand before and after the arguments, and demands one of these numbers of arguments.
func (p program) parse(set *flag.FlagSet, numbers ...int) ([]string, error) {
	var found []string
	for rest := p.args; ; {
		if err := set.Parse(rest); errors.Is(err, flag.ErrHelp) {
			return nil, p.explain(set)
		} else if err != nil {
			return nil, usageError{fmt.Errorf("%s: %w\n\n%s", set.Name(), err, details[set.Name()])}
		}
		if rest = set.Args(); len(rest) == 0 {
			break
		}
		found, rest = append(found, rest[0]), rest[1:]
	}
	if !slices.Contains(numbers, len(found)) {
		want := strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", " or "), "[]")
		return nil, usageError{fmt.Errorf("%s: %d arguments instead of %s\n\n%s", set.Name(), len(found), want, details[set.Name()])}
	}
	return found, nil
}

// explain prints what a command does and its flags; its error is flag.ErrHelp, which ends the command well.
func (p program) explain(set *flag.FlagSet) error {
	if _, err := fmt.Fprintln(p.stdout, "usage: "+details[set.Name()]); err != nil {
		return err
	}
	set.SetOutput(p.stdout)
	set.PrintDefaults()
	return flag.ErrHelp
}
