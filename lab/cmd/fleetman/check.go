//go:build !local

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/runner"
	"fleetman.example/lab/scenario/check"
	"fleetman.example/lab/usage"
)

// checkFlags are the values of the flags of `fleetman check`.
type checkFlags struct {
	up          upFlags
	output      output
	junit, only string
	against     string
	noControl   bool
	jobs, again int
	seed        uint64
}

func checkCommand(where *places) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [SCENARIO|DIR...]",
		Short: "Check the promises of scenarios, and that each check can fail",
		Long: `Start the fleet of each scenario, send the requests of its expect.yaml and check
the answers: one line for each promise. Then do the same with the control, a fleet
on which the promise must not hold, such as one without the rules of the mesh. A
check that passes there too proves nothing, and fails. The control sends requests
until it is decided.

An argument is the name of a scenario, or a directory with scenarios in it. The
default is all scenarios. Shares are tested with the binomial distribution at the
confidence in expect.yaml. The exit code is 1 when a promise does not hold.

With -o json and -o yaml, the lines go to standard error, and all findings to
standard output at the end.

With --context, the fleets run on a cluster, one after the other in one namespace, which
is removed at the end. --against compares the verdicts with those of another run.`,
		Example: `  fleetman check canary-weighted
  fleetman check --jobs 4 -o json --junit check.xml >check.json
  fleetman check --run 'one answer in ten'
  fleetman check --context kind-kind --against check.json`,
		ValidArgsFunction: where.completeManifests,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := where.find(); err != nil {
				return err
			}
			if err := f.checkPlace(cmd, where); err != nil {
				return err
			}
			return checkAll(cmd, *where, f, args)
		},
	}
	f.output.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.only, "run", "", "regular expression that \"SCENARIO: PROMISE\" must match")
	flags.BoolVar(&f.noControl, "no-control", false, "skip the controls")
	flags.IntVar(&f.jobs, "jobs", 1, "number of fleets at once, each on the next two networks and the next node address")
	flags.IntVar(&f.again, "again", 0, "number of times that a promise that failed is checked again, after the others and alone")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of the choices of faults, addresses and times (default: random, printed)")
	flags.StringVar(&f.junit, "junit", "", "also write the results to this file, as JUnit XML")
	flags.DurationVar(&f.up.readyTimeout, "ready-timeout", 30*time.Second, "limit of the time until all pods are ready")
	flags.StringVar(&f.up.network, "network", "127.0.1.0/24", "network of the pods")
	flags.StringVar(&f.up.nodeAddress, "node-address", "127.0.0.1", "address of the NodePorts")
	flags.StringVar(&f.up.bin, "bin", "", "directory of the services' programs (default: build them)")
	flags.IntVar(&f.up.ingressPort, "ingress-port", 0, "port of the ingress gateway at the node address; 0 is a free port, as for every NodePort")
	flags.StringVar(&f.against, "against", "", "compare the verdicts with those in a file that check -o json wrote, such as on this machine")
	flags.StringVar(&where.cluster.Images, "images", "", "with --context: what stands before the names of the images, such as registry.example/team")
	f.up.cluster.addYes(cmd)
	where.addCluster(cmd)
	f.up.restartBackoff = 250 * time.Millisecond
	return cmd
}

func checkAll(cmd *cobra.Command, where places, f checkFlags, args []string) (failed error) {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	scenarios, err := findScenarios(where, args)
	if err != nil {
		return err
	}
	if err := f.checkOnly(scenarios); err != nil {
		return usage.Error{Err: err}
	}
	others, err := f.others()
	if err != nil {
		return err
	}
	checker, release, err := f.start(cmd, where, scenarios)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, release()) }()
	lines := cmd.OutOrStdout()
	if f.output.structured() {
		lines = stderr
	}
	checker.Done = func(r check.Result) { _ = check.WriteLine(lines, r) }
	began := time.Now()
	results, runErr := checker.Run(ctx, scenarios)
	err = f.output.print(cmd, where.environ, check.Report(results), func(*printer) {}) // for people the lines are the output
	err = errors.Join(err, writeJUnit(f.junit, func(w io.Writer) error { return check.WriteJUnit(w, results) }))
	differs := f.compare(results, others, lines)
	if err = errors.Join(runErr, err); err != nil {
		return interrupted(ctx, err, func() string {
			return fmt.Sprintf("%d promises were checked, see above; --run checks the others alone", len(results))
		})
	}
	return errors.Join(f.verdict(results, time.Since(began), stderr), differs)
}

// findScenarios returns the scenarios that the command line names.
func findScenarios(where places, args []string) ([]check.Scenario, error) {
	if where.root == "" && len(args) == 0 {
		return nil, noRepository(", or name the directory of a scenario")
	}
	dirs := []string{where.scenarios()}
	if len(args) > 0 {
		var err error
		if dirs, err = where.manifests(args); err != nil {
			return nil, err
		}
	}
	return check.Find(where.scenarios(), dirs...)
}

// checkOnly returns an error unless --run matches a promise.
func (f checkFlags) checkOnly(scenarios []check.Scenario) error {
	only, err := regexp.Compile(f.only)
	if err != nil {
		return fmt.Errorf("--run %s: must be a regular expression: %w", quoted(f.only), err)
	}
	for _, s := range scenarios {
		for _, promise := range s.File.Promises {
			if only.MatchString(s.Name + ": " + promise.Promise) {
				return nil
			}
		}
	}
	return fmt.Errorf("--run %s: must match \"SCENARIO: PROMISE\" of a promise", quoted(f.only))
}

// start returns the runner of the checks, and a function that releases the place where the fleets run.
func (f checkFlags) start(cmd *cobra.Command, where places, scenarios []check.Scenario) (r check.Runner, release func() error, err error) {
	fleets, r, err := f.runner(where, cmd.ErrOrStderr())
	if err != nil {
		return r, nil, usage.Error{Err: err}
	}
	if where.onCluster() {
		return f.startOnCluster(cmd, where, r, scenarios)
	}
	unlock, err := local.Lock(where.state) // for all fleets: none may be in use when the first promise is checked
	if err != nil {
		return r, nil, err
	}
	if err := fleets.CheckFree(f.jobs); err != nil {
		unlock()
		return r, nil, err
	}
	return r, func() error { unlock(); return nil }, nil
}

// runner returns the options of the fleets, and the runner of the checks. Its errors are usage errors.
func (f checkFlags) runner(where places, stderr io.Writer) (fleets runner.Options, r check.Runner, err error) {
	options, err := f.up.options(where)
	options.Locked = true
	r.Only = regexp.MustCompile(f.only) // checkOnly has compiled it
	if err := errors.Join(err, checkRange("jobs", f.jobs, 1, 8), checkRange("again", f.again, 0, 9), checkOutput("junit", f.junit)); err != nil {
		return fleets, r, err
	}
	if f.seed == 0 {
		f.seed = 1 + rand.Uint64()>>33 // short enough to be typed
	}
	r.Progress = func(line string) { fmt.Fprintln(stderr, line) }
	find := onlyOnce(where.source(r.Progress).Find)
	fleets = runner.Options{Local: options, IngressPort: f.up.ingressPort, Binaries: find}
	r.Start = runner.Starter(fleets)
	r.Scenarios, r.NoControl, r.Jobs, r.Again, r.Seed = where.scenarios(), f.noControl, f.jobs, f.again, f.seed
	return fleets, r, nil
}

// verdict is an error unless every promise holds.
func (f checkFlags) verdict(results []check.Result, took time.Duration, stderr io.Writer) error {
	failed := count(results, func(r check.Result) bool { return !r.OK() })
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d promises do not hold, or prove nothing", failed, len(results))
	case len(results) == 1:
		fmt.Fprintf(stderr, "1 promise holds, in %s\n", took.Round(time.Second))
	default:
		fmt.Fprintf(stderr, "%d promises hold, in %s\n", len(results), took.Round(time.Second))
	}
	return nil
}

// onlyOnce returns find with its first result kept.
func onlyOnce(find func(context.Context) (binaries.Set, error)) func(context.Context) (binaries.Set, error) {
	var found *binaries.Set
	var asking sync.Mutex
	return func(ctx context.Context) (binaries.Set, error) {
		asking.Lock()
		defer asking.Unlock()
		if found != nil {
			return *found, nil
		}
		all, err := find(ctx)
		if err == nil {
			found = &all
		}
		return all, err
	}
}

// writeJUnit writes the file of --junit, if there is one.
func writeJUnit(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err == nil {
		err = errors.Join(write(file), file.Close())
	}
	if err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	return nil
}
