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

	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/runner"
	"fleetman.example/lab/scenario/check"
)

// checkFlags are those of `fleetman check`, as they are written.
type checkFlags struct {
	up          upFlags
	output      output
	junit, only string
	noControl   bool
	jobs        int
	seed        uint64
}

func checkCommand(where *places) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [SCENARIO|DIR...]",
		Short: "Prove what scenarios promise, and that each proof can fail",
		Long: `Start each scenario's fleet, send the requests of its expect.yaml, and judge what
comes back: one line a promise. Then the same on a fleet where the promise must
not hold (without the mesh's rules, say): a check that passes there too proves
nothing, and fails.

DIR is a scenario, or a directory with scenarios below it; k8s/scenarios when
none is given. Shares are judged by the binomial distribution at the confidence
that expect.yaml states. The exit code is 1 when a promise does not hold.

With -o json or yaml the lines go to standard error, and all that was seen to
standard output at the end.`,
		Example: `  fleetman check canary-weighted
  fleetman check --jobs 4 -o json --junit check.xml >check.json
  fleetman check --run 'one answer in ten'`,
		ValidArgsFunction: where.completeManifests(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := where.find(); err != nil {
				return err
			}
			return checkAll(cmd, *where, f, args)
		},
	}
	f.output.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.only, "run", "", "check only promises whose \"SCENARIO: SENTENCE\" matches this regular expression")
	flags.BoolVar(&f.noControl, "no-control", false, "leave out the fleets where the promises must not hold")
	flags.IntVar(&f.jobs, "jobs", 1, "how many fleets run at once, each on the next two networks and the node's next address")
	flags.Uint64Var(&f.seed, "seed", 0, "makes the same choices of faults, addresses and times again (default: random, printed where a promise does not hold)")
	flags.StringVar(&f.junit, "junit", "", "also write the results to this file, as JUnit XML")
	flags.DurationVar(&f.up.readyTimeout, "ready-timeout", 30*time.Second, "how long all pods may take to get ready")
	flags.StringVar(&f.up.network, "network", "127.0.1.0/24", "the pods' addresses")
	flags.StringVar(&f.up.nodeAddress, "node-address", "127.0.0.1", "where NodePorts are opened")
	flags.StringVar(&f.up.bin, "bin", "", "a directory of ready-made programs (default: build them)")
	flags.IntVar(&f.up.ingressPort, "ingress-port", 0, "where the mesh's ingress gateway is reached at the node's address (default: a free port, as for every NodePort)")
	f.up.restartBackoff = 250 * time.Millisecond
	return cmd
}

func checkAll(cmd *cobra.Command, where places, f checkFlags, args []string) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	runner, err := f.runner(where, stderr)
	if err != nil {
		return usageError{err}
	}
	if where.root == "" && len(args) == 0 {
		return noRepository(", or name the directory of a scenario")
	}
	dirs := []string{where.scenarios()}
	if len(args) > 0 {
		if dirs, err = where.manifests(args); err != nil {
			return err
		}
	}
	scenarios, err := check.Find(where.scenarios(), dirs...)
	if err != nil {
		return err
	}
	lines := cmd.OutOrStdout()
	if f.output.structured() {
		lines = stderr
	}
	runner.Done = func(r check.Result) { _ = check.WriteLine(lines, r) }
	began := time.Now()
	results, runErr := runner.Run(ctx, scenarios)
	err = f.output.print(cmd, where.environ, check.Report(results), func(*printer) {}) // the lines are the table
	if f.junit != "" {
		err = errors.Join(err, writeFile(f.junit, func(w io.Writer) error { return check.WriteJUnit(w, results) }))
	}
	if err = errors.Join(runErr, err); err != nil {
		return interrupted(ctx, err, func() string {
			return fmt.Sprintf("%d promises were checked, see above; --run checks the others alone", len(results))
		})
	}
	return f.verdict(results, time.Since(began), stderr)
}

// runner returns what checks; its errors are those of the command line.
func (f checkFlags) runner(where places, stderr io.Writer) (r check.Runner, err error) {
	options, err := f.up.options(where)
	if err != nil {
		return r, err
	}
	if f.only != "" {
		if r.Only, err = regexp.Compile(f.only); err != nil {
			return r, fmt.Errorf("--run %s: must be a regular expression: %w", quoted(f.only), err)
		}
	}
	if f.jobs < 1 || f.jobs > 8 {
		return r, fmt.Errorf("--jobs %d: must be between 1 and 8", f.jobs)
	}
	if f.seed == 0 {
		f.seed = 1 + rand.Uint64()>>33 // short enough to be typed
	}
	r.Progress = func(line string) { fmt.Fprintln(stderr, line) }
	find := onlyOnce(where.source(r.Progress).Find)
	r.Start = runner.Starter(runner.Options{Local: options, IngressPort: f.up.ingressPort, Binaries: find})
	r.Scenarios, r.NoControl, r.Jobs, r.Seed = where.scenarios(), f.noControl, f.jobs, f.seed
	return r, nil
}

// verdict is an error unless every promise holds.
func (f checkFlags) verdict(results []check.Result, took time.Duration, stderr io.Writer) error {
	failed := 0
	for _, r := range results {
		if !r.OK() {
			failed++
		}
	}
	switch {
	case len(results) == 0:
		return fmt.Errorf("check: no promise matches --run %q", f.only)
	case failed > 0:
		return fmt.Errorf("%d of %d promises do not hold, or prove nothing", failed, len(results))
	}
	fmt.Fprintf(stderr, "%d promises hold, in %s\n", len(results), took.Round(time.Second))
	return nil
}

// onlyOnce remembers the parts, and says where they are from.
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

func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return file.Close()
}
