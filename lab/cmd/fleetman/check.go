package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/mesh"
	"fleetman.example/lab/scenario/check"
	"fleetman.example/lab/scenario/machine"
)

// maxJobs bounds the fleets at once: behind proxies, programs of so many networks
// have ports of their own. Each fleet takes half a gigabyte.
const maxJobs = 14

// checkFlags are those of `fleetman check`, as they are written.
type checkFlags struct {
	up                upFlags
	json, junit, only string
	noControl         bool
	jobs              int
	seed              uint64
}

func checkCommand(where *places, environ []string) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [DIR...]",
		Short: "Prove what scenarios promise, and that each proof can fail",
		Long: `Start each scenario's fleet, send the requests of its expect.yaml, and judge what
comes back: one line a promise. Then the same on a fleet where the promise must
not hold (without the mesh's rules, say): a check that passes there too proves
nothing, and fails. It ends there as soon as it is certain not to hold. Checks
marked as guards have to hold there, too.

DIR is a scenario, or a directory with scenarios below it; k8s/scenarios when
none is given. Shares are judged by the binomial distribution at the confidence
that expect.yaml states. The exit code is 1 when a promise does not hold.

With --jobs several fleets run at once, each further one at the next address
after --node-address, in the next but one network after --network, and with a
directory beside --state's, NAME-2 and so on. Promises whose requests take the
longest come first then, and each line when it is done; the files have the
scenarios' order.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := where.find(); err != nil {
				return err
			}
			if !cmd.Flags().Changed("seed") {
				f.seed = rand.Uint64N(1_000_000) + 1
			}
			return checkAll(cmd.Context(), *where, f, args, environ, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.only, "run", "", "check only promises whose \"SCENARIO: SENTENCE\" matches this regular expression")
	flags.BoolVar(&f.noControl, "no-control", false, "leave out the fleets where the promises must not hold")
	flags.IntVar(&f.jobs, "jobs", 1, "fleets that run at once")
	flags.Uint64Var(&f.seed, "seed", 0, "what the services draw from: FAULTS_SEED, UPSTREAM_SEED and SEED of those whose manifests do not say (default: drawn, and shown)")
	flags.StringVar(&f.json, "json", "", "write all that was seen to this file, as JSON")
	flags.StringVar(&f.junit, "junit", "", "write the results to this file, as JUnit XML")
	flags.DurationVar(&f.up.readyTimeout, "ready-timeout", 30*time.Second, "how long all pods may take to get ready")
	flags.StringVar(&f.up.network, "network", "127.0.1.0/24", "the pods' addresses")
	flags.StringVar(&f.up.nodeAddress, "node-address", "127.0.0.1", "where NodePorts are opened")
	flags.StringVar(&f.up.bin, "bin", "", "a directory of ready-made programs (default: build them)")
	f.up.restartBackoff, f.up.ingressPort = 250*time.Millisecond, mesh.IngressPort
	return cmd
}

func checkAll(ctx context.Context, where places, f checkFlags, dirs, environ []string, stdout, stderr io.Writer) error {
	options, err := f.up.options(where, environ)
	if err != nil {
		return usageError{err}
	}
	if f.jobs < 1 || f.jobs > maxJobs {
		return usageError{fmt.Errorf("--jobs %d: 1 to %d is expected", f.jobs, maxJobs)}
	}
	if _, err := machine.At(options, f.jobs-1); err != nil {
		return usageError{fmt.Errorf("--jobs %d: %w", f.jobs, err)}
	}
	var only *regexp.Regexp
	if f.only != "" {
		if only, err = regexp.Compile(f.only); err != nil {
			return usageError{fmt.Errorf("--run: %w", err)}
		}
	}
	if where.root == "" && len(dirs) == 0 {
		return usageError{errors.New("check: no scenarios: name a directory, or start it inside the repository, for k8s/scenarios")}
	}
	all := filepath.Join(where.root, "k8s", "scenarios")
	if len(dirs) == 0 {
		dirs = []string{all}
	}
	scenarios, err := check.Find(all, dirs...)
	if err != nil {
		return err
	}
	progress := func(line string) { fmt.Fprintln(stderr, line) }
	source := partsSource(&where, environ, progress)
	began := time.Now()
	runner := check.Runner{
		Start:     machine.Starter(machine.Options{Local: options, Parts: source.Find}),
		Scenarios: all, NoControl: f.noControl, Only: only, Jobs: f.jobs, Seed: f.seed, Progress: progress,
		Done: func(r check.Result) { _ = check.WriteLine(stdout, r) },
	}
	results, runErr := runner.Run(ctx, scenarios)
	for _, file := range []struct {
		path  string
		write func(io.Writer, []check.Result) error
	}{{f.json, check.WriteJSON}, {f.junit, check.WriteJUnit}} {
		if file.path != "" {
			runErr = errors.Join(runErr, writeFile(file.path, func(w io.Writer) error { return file.write(w, results) }))
		}
	}
	if runErr != nil {
		return runErr
	}
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
		return fmt.Errorf("%d of %d promises do not hold, or prove nothing; the same again: --seed %d", failed, len(results), f.seed)
	}
	fmt.Fprintf(stderr, "%d promises hold, in %s, with seed %d\n", len(results), time.Since(began).Round(time.Second), f.seed)
	return nil
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
