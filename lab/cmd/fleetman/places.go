package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"fleetman.example/lab/control"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/process"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/usage"
)

// rootVariable names the repository for commands that are started outside of
// one.
const rootVariable = "FLEETMAN_ROOT"

// places are the directories that every command needs, and the environment.
type places struct {
	root, state string
	environ     []string
	cluster     clusterOptions // without a context: this machine
}

// fleet is a running fleet, on this machine or on a cluster.
type fleet interface {
	Status(ctx context.Context) (control.Status, error)
	Logs(ctx context.Context, pod string, o local.LogOptions, w io.Writer) error
	Kill(ctx context.Context, pod string, sig syscall.Signal) (string, error)
	Mesh(ctx context.Context) (mesh.Status, error)
	Apply(ctx context.Context, paths []string) (mesh.Applied, error)
	Set(ctx context.Context, o control.Override) (mesh.Applied, error)
}

// add adds the flags that all commands have.
func (p *places) add(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&p.root, "root", "", "directory of the repository (default: the one around the current directory, else $"+rootVariable+")")
	flags.StringVar(&p.state, "state", "", "directory of the fleet: control socket, hosts file, logs (default ROOT/.cache/fleetman)")
	_ = root.MarkPersistentFlagDirname("root")  // an error: there is no such flag
	_ = root.MarkPersistentFlagDirname("state") // as above
}

// find sets the directories that no flag gives. Outside of a repository, root is
// empty and state is below the current directory.
func (p *places) find() error {
	here, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	given, name := p.root, "--root "
	if given == "" {
		p.root = repositoryAbove(here)
	}
	if p.root == "" {
		given, name = process.Getenv(p.environ)(rootVariable), rootVariable+"="
	}
	if given != "" {
		if p.root, err = filepath.Abs(given); err != nil {
			return fmt.Errorf("%s%s: %w", name, given, err)
		}
		if !isRepository(p.root) {
			return usage.Errorf("%s%s: must be a clone of the repository, with go.work and k8s/base", name, given)
		}
	}
	if p.state == "" {
		p.state = filepath.Join(cmp.Or(p.root, here), ".cache", "fleetman")
	}
	return nil
}

func isRepository(dir string) bool {
	for _, path := range []string{"go.work", "k8s/base"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			return false
		}
	}
	return true
}

// repositoryAbove returns the repository that a directory is in; empty: none.
func repositoryAbove(dir string) string {
	for !isRepository(dir) {
		if dir == filepath.Dir(dir) {
			return ""
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// findRoot is find for a command that needs a repository.
func (p *places) findRoot() error {
	if err := p.find(); err != nil || p.root != "" {
		return err
	}
	return noRepository("")
}

// noRepository is the error of a command that needs a repository.
func noRepository(or string) error {
	return usage.Errorf("no repository here: start fleetman inside a clone, or name it with --root or %s%s", rootVariable, or)
}

// connect returns a client of the running fleet.
func (p *places) connect() (*control.Client, error) {
	given := p.state != ""
	if err := p.find(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(p.state); err != nil && p.root == "" && !given {
		return nil, noRepository(", or the fleet's directory with --state")
	}
	return control.NewClient(p.state)
}

// status returns the status of the fleet that the command line names.
func (p *places) status(ctx context.Context) (control.Status, error) {
	client, err := p.fleet()
	if err != nil {
		return control.Status{}, err
	}
	return client.Status(ctx)
}

// launcherFaults returns the access to the faults of a fleet on this machine.
func (p *places) launcherFaults() (faults.Access, error) {
	launcher, err := p.connect()
	return faults.Access{Client: new(faults.Client), Connections: launcher}, err
}

// scenarios is the directory of the scenarios, "" without a repository.
func (p *places) scenarios() string {
	if p.root == "" {
		return ""
	}
	return filepath.Join(p.root, "k8s", "scenarios")
}

// manifests returns the paths of arguments. One that does not exist is the name
// of a scenario.
func (p *places) manifests(args []string) ([]string, error) {
	var paths, names []string
	for _, arg := range args {
		_, err := os.Stat(arg)
		if !errors.Is(err, fs.ErrNotExist) {
			paths = append(paths, arg)
			continue
		}
		if p.root == "" {
			return nil, usage.Errorf("%s: must be a file or a directory; for a scenario's name, start fleetman inside the repository", quoted(arg))
		}
		if dir := filepath.Join(p.scenarios(), filepath.FromSlash(arg)); filepath.IsLocal(arg) && scenario.IsOne(dir) {
			paths = append(paths, dir)
			continue
		}
		all, err := scenario.List(p.scenarios())
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			names = append(names, s.Name)
		}
		hint := usage.DidYouMean(usage.Suggest(arg, names))
		if hint == "" {
			hint = "; fleetman scenarios lists them"
		}
		return nil, usage.Errorf("%s: must be a file, a directory or a scenario%s", quoted(arg), hint)
	}
	return paths, nil
}

// absolute returns the absolute paths of manifests, for commands in other directories.
func absolute(paths []string) ([]string, error) {
	all := make([]string, len(paths))
	for i, path := range paths {
		var err error
		if all[i], err = filepath.Abs(path); err != nil {
			return nil, fmt.Errorf("manifests: %w", err)
		}
	}
	return all, nil
}

// source returns what finds the binaries of a mesh.
func (p *places) source(progress func(string)) binaries.Source {
	return binaries.Source{Root: p.root, Progress: progress, Getenv: process.Getenv(p.environ)}
}
