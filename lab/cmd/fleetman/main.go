// Command fleetman runs the fleet of the manifests under k8s/ on one machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"fleetman.example/lab/usage"
)

// Exit codes.
const (
	exitFailure     = 1   // failure
	exitUsage       = 2   // usage error: a wrong command line, experiment or directory of records
	exitUnmeasured  = 4   // failure of compare and report, of which 1 is a missed goal: no verdict
	exitInterrupted = 130 // Ctrl-C or SIGTERM came before it was done, as shells have it
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the program; it returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (code int) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	out := &checkedOutput{to: stdout}
	root := newCommand(environ, out, stderr)
	root.SetArgs(args)
	valid := false // the command line
	root.PersistentPreRun = func(*cobra.Command, []string) { valid = true }
	cmd, err := root.ExecuteContextC(ctx)
	err = interrupted(ctx, err, func() string { return unfinished(err) })
	if err == nil {
		err, valid = out.failure(), true // help has not run it
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "fleetman: %v\n", err)
	_, isUsage := errors.AsType[usage.Error](err)
	_, isInterrupted := errors.AsType[interruptedError](err)
	goals, isGoals := errors.AsType[goalsError](err)
	switch {
	case !valid || isUsage:
		return exitUsage
	case isGoals:
		return goals.code
	case isInterrupted:
		return exitInterrupted
	case judges(cmd):
		return exitUnmeasured
	}
	return exitFailure
}

// goalsError is a report with a goal that is not met.
type goalsError struct {
	code int // the exit code
	text string
}

func (e goalsError) Error() string { return e.text }

// judges reports whether a command's exit code 1 is the verdict on goals.
func judges(cmd *cobra.Command) bool { return cmd.Name() == "compare" || cmd.Name() == "report" }

// Groups of commands, as the help shows them.
const (
	groupFleet   = "fleet"
	groupInspect = "inspect"
	groupFaults  = "faults"
	groupMeasure = "measure"
	groupSetUp   = "setup"
)

func newCommand(environ []string, stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "fleetman",
		Short: "Run the fleet of the manifests on this machine",
		Long: `Run the fleet of the manifests on this machine: each pod is a process, and a mesh
is an istiod with an Envoy for each injected pod.

Exit codes:
  0    done; of up: ended by Ctrl-C, SIGTERM, SIGHUP or fleetman down
  1    failure, or a promise does not hold; of compare and report: a goal is missed
  2    usage error: a wrong command line, or a mistake in an experiment or its records
  3    of compare and report: a goal is not decided by so few requests, and none is missed
  4    failure of compare and report: a run could not be measured, a file not be written
  130  interrupted before it was done`,
		Example: `  fleetman up
  fleetman up --mesh canary-weighted
  fleetman fault staff-service 'delay=0s..5s;status=502,rate=0.5'
  fleetman status`,
		Version:       readVersion().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	subcommandsOnly(root)
	root.SetVersionTemplate("fleetman {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	where := &places{environ: environ}
	where.add(root)

	further := furtherCommands(where)
	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{groupFleet, "Fleet:", []*cobra.Command{upCommand(where), downCommand(where), applyCommand(where), setCommand(where), scenariosCommand(where), envoyCommand(where)}},
		{groupInspect, "Inspection:", []*cobra.Command{statusCommand(where), podsCommand(where), logsCommand(where), meshCommand(where), prometheusConfigCommand(where)}},
		{groupFaults, "Fault injection:", []*cobra.Command{faultCommand(where), killCommand(where)}},
		{groupMeasure, "Checks and measurements:", nil},
		{groupSetUp, "Setup:", []*cobra.Command{binariesCommand(where), envCommand(where), versionCommand(where), relayCommand(), loadCommand()}},
	} {
		commands := append(group.commands, further[group.id]...)
		if len(commands) > 0 {
			root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		}
		for _, command := range commands {
			command.GroupID = group.id
			root.AddCommand(command)
		}
	}
	addStandardCommands(root)
	return root
}

// addStandardCommands adds cobra's own commands, with examples. They write to
// root's output as it is set at the call.
func addStandardCommands(root *cobra.Command) {
	root.SetHelpCommandGroupID(groupSetUp)
	root.SetCompletionCommandGroupID(groupSetUp)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	examples := map[string]string{
		"help":       "  fleetman help compare",
		"completion": "  source <(fleetman completion bash)",
		"bash":       "  source <(fleetman completion bash)",
		"zsh":        "  source <(fleetman completion zsh)",
		"fish":       "  fleetman completion fish | source",
		"powershell": "  fleetman completion powershell | Out-String | Invoke-Expression",
	}
	for _, command := range root.Commands() {
		switch command.Name() {
		case "completion":
			subcommandsOnly(command)
		case "help":
			knownOnly(command)
		}
		for _, c := range append(command.Commands(), command) {
			if c.Example == "" {
				c.Example = examples[c.Name()]
			}
		}
	}
}
