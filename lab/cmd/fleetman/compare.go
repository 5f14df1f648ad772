package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fleetman.example/lab/compare"
	"fleetman.example/lab/mesh/parts"
	"fleetman.example/lab/report"
)

// compareFlags are those of `fleetman compare`, as they are written.
type compareFlags struct {
	arms, profile, faults, out, bin, network string
	seed                                     uint64
	seeds                                    int
	rate                                     float64
	duration                                 time.Duration
	quick, asJSON                            bool
}

func compareCommand(where *places, environ []string) *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Let arms (no resilience, the library, the mesh, ...) meet the same faults, and show what each makes of them",
		Long: `Let arms meet the same faults under the same load, each in a fleet of its own,
and show what each makes of them. The raw records are kept; fleetman report
computes the same table from them.

Arms:
` + list(compare.Arms, func(a compare.Arm) (string, string) { return a.Name, a.Meaning }) + `
Profiles, which are lists of arms:
` + list(compare.Profiles, func(p compare.Profile) (string, string) { return p.Name, p.Arms + ": " + p.Meaning }) + `
Faults:
` + list(compare.Faults, func(f compare.Fault) (string, string) { return f.Name, f.Meaning }),
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
	flags.StringVar(&f.arms, "arms", "", "the arms, with commas")
	flags.StringVar(&f.profile, "profile", compare.Profiles[0].Name, "the arms, by a profile's name")
	flags.StringVar(&f.faults, "faults", compare.Usual, fmt.Sprintf("the faults, with commas (--quick: %s; with more than %d arms %s)", compare.Quick, compare.Few, compare.QuickMany))
	flags.Uint64Var(&f.seed, "seed", 0, "the first seed: the same seed, the same choices of addresses, faults and routes (default: drawn, and told)")
	flags.IntVar(&f.seeds, "seeds", 2, fmt.Sprintf("how many seeds, each one more than the last (--quick, or more than %d arms: 1)", compare.Few))
	flags.BoolVar(&f.quick, "quick", false, "one or two faults, one seed, shorter: within three minutes with the arms of any profile; more take the time that is told")
	flags.Float64Var(&f.rate, "rate", 10, "requests a second at the gateway")
	flags.DurationVar(&f.duration, "duration", compare.Full.Fault, "how long a fault lasts (--quick: "+compare.QuickOnes.Fault.String()+")")
	flags.StringVar(&f.out, "out", "", "directory for the records (default ROOT/.cache/compare/TIME)")
	flags.BoolVar(&f.asJSON, "json", false, "the report as JSON")
	flags.StringVar(&f.network, "network", "127.0.77.0/24", "the pods' addresses, and, at .250, the NodePorts'")
	flags.StringVar(&f.bin, "bin", "", "a directory of ready-made programs (default: build them)")
}

func list[T any](known []T, of func(T) (name, meaning string)) string {
	var text strings.Builder
	for _, one := range known {
		name, meaning := of(one)
		fmt.Fprintf(&text, "  %-13s %s\n", name, meaning)
	}
	return text.String()
}

func (f compareFlags) options(cmd *cobra.Command, where places, environ []string) (o compare.Options, err error) {
	o = compare.Options{Root: where.root, Bin: f.bin, Out: f.out, Environ: environ, Rate: f.rate, Timing: compare.Full}
	given := cmd.Flags().Changed
	if o.Arms, err = f.pickArms(given); err != nil {
		return o, err
	}
	many := len(o.Arms) > compare.Few
	if f.quick {
		o.Timing = compare.QuickOnes
		switch {
		case given("faults"):
		case many:
			f.faults = compare.QuickMany
		default:
			f.faults = compare.Quick
		}
	}
	if (f.quick || many) && !given("seeds") {
		f.seeds = 1
	}
	if given("duration") {
		o.Timing.Fault = f.duration
	}
	if !given("seed") {
		f.seed = rand.Uint64N(1_000_000) + 1
	}
	if o.Faults, err = compare.Pick(compare.Faults, func(f compare.Fault) string { return f.Name }, f.faults); err != nil {
		return o, fmt.Errorf("--faults %w", err)
	}
	switch network, err := netip.ParsePrefix(f.network); {
	case err != nil || !network.Addr().Is4() || network.Bits() > 24:
		return o, fmt.Errorf("--network %q: a network such as 127.0.77.0/24 is expected", f.network)
	case !(f.rate >= 1 && f.rate <= 1000): // NaN too
		return o, fmt.Errorf("--rate %v: 1 to 1000 requests a second are expected", f.rate)
	case o.Timing.Fault < report.Window || o.Timing.Fault > time.Hour:
		return o, fmt.Errorf("--duration %v: %v to 1h is expected", o.Timing.Fault, report.Window)
	case f.seeds < 1 || f.seeds > 100:
		return o, fmt.Errorf("--seeds %d: 1 to 100 are expected", f.seeds)
	case f.seed < 1 || f.seed > 1<<62-100:
		return o, fmt.Errorf("--seed %d: 1 to %d is expected", f.seed, 1<<62-100)
	case where.root == "":
		return o, fmt.Errorf("compare: no repository here; name it with --root")
	default:
		o.Network = network
	}
	for i := range f.seeds {
		o.Seeds = append(o.Seeds, f.seed+uint64(i))
	}
	if o.Out == "" {
		o.Out = filepath.Join(where.root, ".cache", "compare", time.Now().Format("20060102-150405"))
	}
	return o, nil
}

func (f compareFlags) pickArms(given func(string) bool) ([]compare.Arm, error) {
	if given("arms") && given("profile") {
		return nil, fmt.Errorf("--arms %s, --profile %s: one of them is expected", f.arms, f.profile)
	}
	flag, names := "--arms", f.arms
	if !given("arms") {
		picked, err := compare.Pick(compare.Profiles, func(p compare.Profile) string { return p.Name }, f.profile)
		if err != nil || len(picked) > 1 {
			return nil, fmt.Errorf("--profile %q: one of %s is expected", f.profile, profileNames())
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
	o.Parts = parts.Source{Root: o.Root, Getenv: getenv(o.Environ), Progress: o.Progress}.Find
	o.Progress(fmt.Sprintf("%d runs, about %v; seeds %s; records in %s", len(o.Arms)*len(o.Faults)*len(o.Seeds), compare.Expected(o).Round(time.Second), numbers(o.Seeds), o.Out))
	if err := compare.Run(ctx, o); err != nil {
		return err
	}
	format := "text"
	if asJSON {
		format = "json"
	}
	return show([]string{o.Out}, format, stdout)
}

func numbers(seeds []uint64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(seeds), " ", ", "), "[]")
}
