// Command fleetman runs the fleet of the manifests under k8s/ on one machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFailure     = 1   // what was asked for could not be done
	exitUsage       = 2   // usage error: a wrong command line
	exitInterrupted = 130 // Ctrl-C or SIGTERM came before it was done, as shells have it
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the program; its result is the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (code int) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	root := newCommand(environ)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := interrupted(ctx, root.ExecuteContext(ctx), nil)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "fleetman: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	var ended interruptedError
	if errors.As(err, &ended) {
		return exitInterrupted
	}
	return exitFailure
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func newCommand(environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "fleetman",
		Short:         "Run the fleet of the manifests on this machine",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("no command %q; see fleetman --help", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	var where places
	flags := root.PersistentFlags()
	flags.StringVar(&where.root, "root", "", "the repository (default: the directory of go.work, here or above)")
	flags.StringVar(&where.state, "state", "", "the fleet's directory: control socket, hosts file, logs (default ROOT/.cache/fleetman)")
	root.AddCommand(upCommand(&where, environ), podsCommand(&where), logsCommand(&where), killCommand(&where), partsCommand(&where, environ))
	root.AddCommand(meshCommand(&where), applyCommand(&where), checkCommand(&where, environ))
	root.AddCommand(faultCommand(&where), compareCommand(&where, environ), reportCommand())
	return root
}

// places are the directories that every command needs.
type places struct{ root, state string }

// find fills in what is not given. There may be no repository: root is empty
// then.
func (p *places) find() error {
	here, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the repository: %w", err)
	}
	if p.root != "" {
		if p.root, err = filepath.Abs(p.root); err != nil {
			return fmt.Errorf("--root: %w", err)
		}
	}
	if p.root == "" {
		for dir := here; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
				p.root = dir
				break
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	} else if _, err := os.Stat(filepath.Join(p.root, "go.work")); err != nil {
		return usageError{fmt.Errorf("--root %s: no repository of the fleet, it has no go.work", p.root)}
	}
	if p.state == "" {
		p.state = filepath.Join(p.root, ".cache", "fleetman") // below here when there is no repository
	}
	return nil
}

// exactly wants one argument of the given name.
func exactly(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s: one %s is expected, not %d", cmd.CommandPath(), name, len(args))}
		}
		return nil
	}
}

func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s: no argument is expected, not %q", cmd.CommandPath(), args[0])}
	}
	return nil
}
