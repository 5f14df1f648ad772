package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/compare"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/process"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
)

// compareFlags are the flags of `fleetman compare`, as they are written.
type compareFlags struct {
	arms, profile, faults, target, service, out, bin, network string

	seed          uint64
	seeds         int
	rate          float64
	duration      time.Duration
	quick, asJSON bool
}

func compareCommand(where *places, environ []string) *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Compare arms (no resilience, the library, the mesh, ...) with the same faults",
		Long: `Compare arms with the same faults under the same load. Each run has a fleet of
its own. The records are kept; fleetman report computes the same tables from
them.

Arms:
` + list(compare.Arms, func(a compare.Arm) (string, string) { return a.Name, a.Meaning }) + `
Profiles, which are lists of arms:
` + list(compare.Profiles, func(p compare.Profile) (string, string) { return p.Name, p.Arms + ": " + p.Meaning }) + `
Faults:
` + list(compare.Faults, func(f compare.Fault) (string, string) { return f.Name, f.Meaning }),
		Example: `  fleetman compare --quick
  fleetman compare --profile matched --faults healthy
  fleetman compare --arms none,library --faults all-bad --target page`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := where.find(); err != nil {
				return err
			}
			options, err := f.options(cmd, *where, environ)
			if err != nil {
				return usageError{err}
			}
			return runComparison(cmd.Context(), options, f.asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.add(cmd)
	return cmd
}

func (f *compareFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.arms, "arms", "", "the arms, separated by commas")
	flags.StringVar(&f.profile, "profile", compare.Profiles[0].Name, "the arms, by a profile's name")
	flags.StringVar(&f.faults, "faults", compare.Usual, fmt.Sprintf("the faults, separated by commas (--quick: %s; with more than %d arms %s)", compare.Quick, compare.Few, compare.QuickMany))
	flags.StringVar(&f.target, "target", compare.Gateway, "where the load goes: "+strings.Join(compare.Targets, ", "))
	flags.StringVar(&f.service, "service", compare.Services[0], "the service that has the fault: "+strings.Join(compare.Services, ", "))
	flags.Uint64Var(&f.seed, "seed", 0, "the first seed: the same seed, the same choices of addresses, faults and routes (default: random, printed)")
	flags.IntVar(&f.seeds, "seeds", 2, fmt.Sprintf("how many seeds, each one more than the last (more than %d arms: 1; --quick: as many of %d as fit into %v, and one for a fault in all replicas)", compare.Few, quickSeeds, quickTime))
	flags.BoolVar(&f.quick, "quick", false, fmt.Sprintf("one or two faults, shorter: %v at most with the arms of any profile", quickTime))
	flags.Float64Var(&f.rate, "rate", 10, "requests per second")
	flags.DurationVar(&f.duration, "duration", compare.Full.Fault, "how long a fault lasts (--quick: "+compare.QuickOnes.Fault.String()+")")
	flags.StringVar(&f.out, "out", "", "directory for the records (default ROOT/.cache/compare/TIME)")
	flags.BoolVar(&f.asJSON, "json", false, "write the report as JSON")
	flags.StringVar(&f.network, "network", "127.0.77.0/24", "the pods' addresses, and, at .250, the NodePorts'")
	flags.StringVar(&f.bin, "bin", "", "a directory of ready-made programs (default: build them)")
}

// A quick comparison takes this many seeds, if they fit into this time.
const (
	quickSeeds = 3
	quickTime  = 3 * time.Minute
)

func list[T any](known []T, of func(T) (name, meaning string)) string {
	var text strings.Builder
	for _, one := range known {
		name, meaning := of(one)
		fmt.Fprintf(&text, "  %-13s %s\n", name, meaning)
	}
	return text.String()
}

func (f compareFlags) options(cmd *cobra.Command, where places, environ []string) (o compare.Options, err error) {
	o = compare.Options{
		Root: where.root, Bin: f.bin, Out: f.out, Environ: environ,
		Rate: f.rate, Timing: compare.Full, Quick: f.quick, Target: f.target, Service: f.service,
	}
	given := cmd.Flags().Changed
	if o.Arms, err = f.pickArms(given); err != nil {
		return o, err
	}
	if o.Faults, err = f.pickFaults(given, len(o.Arms)); err != nil {
		return o, err
	}
	if f.quick {
		o.Timing = compare.QuickOnes
	}
	if given("duration") {
		o.Timing.Fault = f.duration
	}
	if !given("seed") {
		f.seed = rand.Uint64N(1_000_000) + 1
	}
	if err := f.check(&o); err != nil {
		return o, err
	}
	f.pickSeeds(&o, given("seeds"))
	if o.Out == "" {
		o.Out = filepath.Join(where.root, ".cache", "compare", time.Now().Format("20060102-150405"))
	}
	return o, nil
}

// check refuses what cannot be compared.
func (f compareFlags) check(o *compare.Options) error { //nolint:gocyclo // a flat list of bounds
	network, err := netip.ParsePrefix(f.network)
	o.Network = network
	ingress := slices.ContainsFunc(o.Arms, func(a compare.Arm) bool { return a.Ingress })
	switch {
	case err != nil || !network.Addr().Is4() || network.Bits() > 24:
		return fmt.Errorf("--network %q: must be an IPv4 network of at least 256 addresses, such as 127.0.77.0/24", f.network)
	case !(f.rate >= 1 && f.rate <= 1000): // NaN too
		return fmt.Errorf("--rate %v: must be between 1 and 1000 requests per second", f.rate)
	case o.Timing.Fault < report.Window || o.Timing.Fault > time.Hour:
		return fmt.Errorf("--duration %v: must be between %v and 1h", o.Timing.Fault, report.Window)
	case f.seeds < 1 || f.seeds > 100:
		return fmt.Errorf("--seeds %d: must be between 1 and 100", f.seeds)
	case f.seed < 1 || f.seed > 1<<62-100:
		return fmt.Errorf("--seed %d: must be between 1 and %d", f.seed, 1<<62-100)
	case !slices.Contains(compare.Targets, f.target):
		return fmt.Errorf("--target %q: must be one of %s", f.target, strings.Join(compare.Targets, ","))
	case ingress && f.target != compare.Gateway:
		return fmt.Errorf("--target %s: must be %s with the arm ingress", f.target, compare.Gateway)
	case !slices.Contains(compare.Services, f.service):
		return fmt.Errorf("--service %q: must be one of %s", f.service, strings.Join(compare.Services, ","))
	case o.Root == "":
		return errors.New("--root: not given, and no repository here: must be the directory of go.work")
	}
	return nil
}

// pickFaults picks fewer faults for a quick comparison.
func (f compareFlags) pickFaults(given func(string) bool, arms int) ([]compare.Fault, error) {
	switch {
	case !f.quick || given("faults"):
	case arms > compare.Few:
		f.faults = compare.QuickMany
	default:
		f.faults = compare.Quick
	}
	faults, err := compare.Pick(compare.Faults, func(f compare.Fault) string { return f.Name }, f.faults)
	if err != nil {
		return nil, fmt.Errorf("--faults %w", err)
	}
	return faults, nil
}

// pickSeeds takes those that are given. A quick comparison takes as many as fit
// into its time otherwise.
func (f compareFlags) pickSeeds(o *compare.Options, given bool) {
	n := f.seeds
	switch {
	case given:
	case f.quick:
		n, o.OneSeedForAll = quickSeeds, true
		if !slices.ContainsFunc(o.Faults, func(f compare.Fault) bool { return !f.All }) {
			n = 1
		}
	case len(o.Arms) > compare.Few:
		n = 1
	}
	for ; ; n-- {
		o.Seeds = nil
		for i := range n {
			o.Seeds = append(o.Seeds, f.seed+uint64(i))
		}
		if n == 1 || given || !f.quick || compare.Expected(*o) <= quickTime {
			return
		}
	}
}

func (f compareFlags) pickArms(given func(string) bool) ([]compare.Arm, error) {
	if given("arms") && given("profile") {
		return nil, fmt.Errorf("--arms %s, --profile %s: must be one of them", f.arms, f.profile)
	}
	flag, names := "--arms", f.arms
	if !given("arms") {
		picked, err := compare.Pick(compare.Profiles, func(p compare.Profile) string { return p.Name }, f.profile)
		if err != nil || len(picked) > 1 {
			return nil, fmt.Errorf("--profile %q: must be one of %s", f.profile, profileNames())
		}
		flag, names = "--profile", picked[0].Arms
	}
	arms, err := compare.Pick(compare.Arms, func(a compare.Arm) string { return a.Name }, names)
	if err != nil {
		return nil, fmt.Errorf("%s %w", flag, err)
	}
	return arms, nil
}

func profileNames() string {
	var names []string
	for _, p := range compare.Profiles {
		names = append(names, p.Name)
	}
	return strings.Join(names, ",")
}

func runComparison(ctx context.Context, o compare.Options, asJSON bool, stdout, stderr io.Writer) error {
	o.Progress = func(line string) { fmt.Fprintln(stderr, line) }
	o.Binaries = binaries.Source{Root: o.Root, Getenv: process.Getenv(o.Environ), Progress: o.Progress}.Find
	o.Progress(fmt.Sprintf("%d runs, about %v; seeds %s; records in %s", compare.Runs(o), compare.Expected(o).Round(time.Second), numbers(o.Seeds), o.Out))
	if err := compare.Run(ctx, o); err != nil {
		return interrupted(ctx, err, func() string { return keptRuns(o) })
	}
	return reportFlags{asJSON: asJSON}.run([]string{o.Out}, nil, stdout)
}

// keptRuns describes which runs an interrupted comparison has kept, and how
// to go on.
func keptRuns(o compare.Options) string {
	kept := 0
	path := filepath.Join(o.Out, compare.RecordsFile)
	if file, err := os.Open(path); err == nil {
		defer file.Close()
		if comparison, err := record.Read(file, path); err == nil {
			kept = len(comparison.Runs)
		}
	}
	again := fmt.Sprintf("the same flags with --seed %d and another --out measure all again", o.Seeds[0])
	if kept == 0 {
		return "no run was complete; " + again
	}
	return fmt.Sprintf("%d of %d runs are kept: fleetman report %s shows them; %s",
		kept, compare.Runs(o), o.Out, again)
}

func numbers(seeds []uint64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(seeds), " ", ", "), "[]")
}
