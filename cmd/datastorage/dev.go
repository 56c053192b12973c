package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// missingError is something that this host lacks: exit code 3.
type missingError struct{ error }

func (e missingError) Unwrap() error { return e.error }

const (
	devStart = 20 * time.Second // for initdb and for the servers to start
	devStop  = 10 * time.Second // for a server to end
)

// serveDev serves on 127.0.0.1:8080 from a PostgreSQL of its own, and a Redis if there is one, in a folder that is removed
// at the end.
func (p program) serveDev(ctx context.Context) (err error) {
	binaries, err := findPostgres(ctx, os.Geteuid())
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "datastorage-dev-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	// The servers outlive the signal: requests that are being finished need them.
	servers, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	postgres, err := p.startPostgres(servers, binaries, folder)
	if err != nil {
		return err
	}
	defer end(postgres)
	redis, queue := p.startRedis(servers, folder)
	defer end(redis)
	config := filepath.Join(folder, "config.yaml")
	if err := writeDevConfig(folder, config, queue); err != nil {
		return err
	}
	p.args = []string{"--config", config, "--create-app-role", "--wait", devStart.String()}
	if err := p.migrate(ctx); err != nil {
		said, _ := os.ReadFile(filepath.Join(folder, "postgres.log")) // absent: it said nothing
		return fmt.Errorf("%w\nPostgreSQL says:\n%s", err, said)
	}
	c, _, err := p.config(config)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "serving on http://%s until Ctrl-C; everything is removed then\nother commands, such as seed: --config %s\n",
		net.JoinHostPort(c.Server.Host, strconv.Itoa(c.Server.Port)), config)
	p.args = []string{"--config", config}
	return p.serve(ctx)
}

// instead of programs of this host.
const instead = "or use a container: podman run -e POSTGRES_PASSWORD=... -p 5432:5432 postgres:17"

// findPostgres is the folder of the newest PostgreSQL programs of this host.
func findPostgres(ctx context.Context, uid int) (string, error) {
	if uid == 0 {
		return "", missingError{errors.New("PostgreSQL refuses to run as root: run this as an ordinary user, " + instead)}
	}
	folders := filepath.SplitList(os.Getenv("PATH"))
	if out, err := output(ctx, "pg_config", "--bindir"); err == nil {
		folders = append(folders, strings.TrimSpace(out))
	}
	for _, usual := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		found, _ := filepath.Glob(usual) // the patterns are good
		folders = append(folders, found...)
	}
	return newestPostgres(ctx, folders)
}

// newestPostgres is the folder that has the newest PostgreSQL of all, which must be 15 at least.
func newestPostgres(ctx context.Context, folders []string) (string, error) {
	best, newest := "", 0
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err != nil {
			continue
		}
		out, err := output(ctx, filepath.Join(folder, "postgres"), "--version")
		version := majorVersion(out)
		if err == nil && version > newest {
			best, newest = folder, version
		}
	}
	if newest < 15 {
		return "", missingError{errors.New("no PostgreSQL 15 or newer was found: install the package postgresql, " + instead)}
	}
	return best, nil
}

var versionNumber = regexp.MustCompile(`\d+`)

func majorVersion(text string) int {
	n, err := strconv.Atoi(versionNumber.FindString(text))
	if err != nil {
		return 0
	}
	return n
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, devStart)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%s: %w: %s", name, err, failed.Stderr)
	}
	return string(out), err
}

// startPostgres makes a database that only this user can reach, through a socket in the folder.
func (p program) startPostgres(ctx context.Context, binaries, folder string) (*exec.Cmd, error) {
	data := filepath.Join(folder, "postgres")
	if _, err := output(ctx, filepath.Join(binaries, "initdb"), "--pgdata="+data, "--username=owner", "--auth=trust", "--encoding=UTF8", "--no-instructions"); err != nil {
		return nil, fmt.Errorf("making a database: %w", err)
	}
	return p.start(ctx, data+".log", filepath.Join(binaries, "postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=")
}

// startRedis is nil where there is none; then events have no queue.
func (p program) startRedis(ctx context.Context, folder string) (*exec.Cmd, string) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		socket := filepath.Join(folder, "redis.sock")
		server, err := p.start(ctx, socket+".log", path, "--port", "0", "--unixsocket", socket, "--dir", folder, "--appendonly", "yes",
			"--appendfsync", "always", "--maxmemory-policy", "noeviction")
		if err == nil {
			return server, socket
		}
	}
	fmt.Fprintln(p.stderr, "datastorage: no redis-server or valkey-server was found: without PostgreSQL events are refused")
	return nil, ""
}

// start runs a server in a process group of its own, so that a Ctrl-C is ours alone. What it says goes to a file.
func (p program) start(ctx context.Context, says, name string, args ...string) (*exec.Cmd, error) {
	log, err := os.Create(says) //nolint:gosec // in the folder that serveDev made
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the server has it open itself
	server := exec.CommandContext(ctx, name, args...)
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGINT) } // fast, for PostgreSQL
	server.WaitDelay = devStop
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return server, nil
}

// end stops a server and waits for its end.
func end(server *exec.Cmd) {
	if server != nil {
		_ = server.Cancel() // it may be gone already
		_ = server.Wait()
	}
}

func writeDevConfig(folder, config, queue string) error {
	for name, content := range map[string]string{
		filepath.Join(folder, "owner.yaml"): "username: owner\npassword: unused\n",
		filepath.Join(folder, "app.yaml"):   "username: app\npassword: unused\n",
		config: fmt.Sprintf(`server: {host: 127.0.0.1, port: 8080, metrics_port: 0}
logging: {format: console}
database: {host: %[1]q, port: 5432, name: postgres, user: app, ssl_mode: disable, secrets_file: %[2]q, owner_secrets_file: %[3]q}
redis: {enabled: %[4]t, addr: %[5]q}
shutdown: {propagation_delay: 0s}
`, folder, filepath.Join(folder, "app.yaml"), filepath.Join(folder, "owner.yaml"), queue != "", cmp.Or(queue, "none")),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
