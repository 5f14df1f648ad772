package compare

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/record"
)

// Options say what is compared, and where.
type Options struct {
	Root    string // the repository
	Bin     string // ready-made programs; empty: built from Root
	Out     string // directory for the records and the last fleet's logs
	Environ []string
	Network netip.Prefix // of the pods, and, its last address, of NodePorts

	Arms   []Arm
	Faults []Fault
	Seeds  []uint64
	Rate   float64 // requests per second
	Timing Timing
	Quick  bool // see Options.command
	// OneSeedForAll uses only the first seed with a fault in all replicas: which of
	// them a connection leads to makes no difference.
	OneSeedForAll bool
	Target        string // Gateway or Page
	Service       string // the one that has the fault

	// Binaries brings the mesh's binaries; it is called once, when an arm has a mesh.
	Binaries func(context.Context) (binaries.Set, error)

	Progress func(line string)

	found binaries.Set
}

// SLO is the latency above which an answer violates the objective.
const SLO = 1500 * time.Millisecond

// RecordsFile is the name of the records within Options.Out.
const RecordsFile = "records.jsonl"

// overhead is about what starting and stopping a fleet takes, without a mesh
// and with one.
func (a Arm) overhead() time.Duration {
	if a.Mesh {
		return 6 * time.Second
	}
	return 3 * time.Second
}

// Run makes every run, one after the other, and writes the records of each when
// it has ended: when ctx ends, those of the whole runs are kept.
func Run(ctx context.Context, o Options) (err error) {
	file, err := o.create()
	if err != nil {
		return err
	}
	defer func() {
		if closed := file.Close(); err == nil && closed != nil {
			err = fmt.Errorf("records: %w", closed)
		}
	}()
	if slices.ContainsFunc(o.Arms, func(a Arm) bool { return a.Mesh }) {
		if o.found, err = o.Binaries(ctx); err != nil {
			return err
		}
	}
	if err := record.WriteHeader(file, Header(ctx, o)); err != nil {
		return err
	}
	plans := o.plans()
	for i, p := range plans {
		o.Progress(fmt.Sprintf("%d of %d: %s (%v to go)", i+1, len(plans), p.name(), expected(plans[i:]).Round(time.Second)))
		if i > 0 && o.Bin == "" { // built once
			p.o.Bin = filepath.Join(o.Root, ".cache", "bin")
		}
		seen, err := onTime(o.Progress, p.name(), func() (*record.Run, error) { return p.measure(ctx) })
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted in %s: %d of %d runs are kept in %s: %w", p.name(), i, len(plans), o.Out, ctx.Err())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name(), err)
		}
		if err := record.Write(file, seen); err != nil {
			return err
		}
	}
	return nil
}

// create makes the file of the records. It never replaces one.
func (o Options) create() (*os.File, error) {
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(o.Out, RecordsFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("records: %w: --out must be a directory without records", err)
	}
	return file, nil
}

// Header is the first line of the records.
func Header(ctx context.Context, o Options) *record.Comparison {
	return &record.Comparison{
		Began: time.Now(), Command: o.command(),
		Conditions: record.Conditions{
			Seeds: o.Seeds, Rate: o.Rate, Target: o.Target, Service: o.Service, Quick: o.Quick,
			Machine: thisMachine(ctx), Versions: versions(ctx, o.Root),
			SLO: record.Offset(SLO), Healthy: record.Offset(o.Timing.Healthy), Fault: record.Offset(o.Timing.Fault), After: record.Offset(o.Timing.After),
		},
	}
}

// command is the command line that makes the same comparison: every option that
// changes what is measured is there, whatever its default.
func (o Options) command() string {
	words := []string{
		"fleetman compare",
		"--arms " + names(o.Arms, func(a Arm) string { return a.Name }),
		"--faults " + names(o.Faults, func(f Fault) string { return f.Name }),
		fmt.Sprintf("--seed %d", o.Seeds[0]),
	}
	if !o.OneSeedForAll {
		words = append(words, fmt.Sprintf("--seeds %d", len(o.Seeds)))
	}
	words = append(words, fmt.Sprintf("--rate %v", o.Rate), fmt.Sprintf("--duration %v", o.Timing.Fault))
	if o.Target != Gateway {
		words = append(words, "--target "+o.Target)
	}
	if o.Service != staff {
		words = append(words, "--service "+o.Service)
	}
	if o.Quick {
		words = append(words, "--quick")
	}
	return strings.Join(words, " ")
}

func names[T any](all []T, name func(T) string) string {
	var list []string
	for _, one := range all {
		list = append(list, name(one))
	}
	return strings.Join(list, ",")
}

// Expected is about how long a comparison takes, once its programs are there.
func Expected(o Options) time.Duration { return expected(o.plans()) }

// Runs is the number of runs.
func Runs(o Options) int { return len(o.plans()) }

func expected(plans []plan) (sum time.Duration) {
	for _, p := range plans {
		sum += p.timing.total() + p.arm.overhead()
	}
	return sum
}

// plans are all runs. The arms take turns, so that other work of the machine
// meets them alike.
func (o Options) plans() []plan {
	var plans []plan
	for _, fault := range o.Faults {
		seeds := o.Seeds
		if o.OneSeedForAll && fault.All {
			seeds = seeds[:1]
		}
		for _, seed := range seeds {
			for _, arm := range o.Arms {
				plans = append(plans, plan{o, arm, fault, seed, o.Timing.of(fault)})
			}
		}
	}
	return plans
}
