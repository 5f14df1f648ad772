//go:build !local

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/compare"
	"fleetman.example/lab/experiment"
	"fleetman.example/lab/record"
	"fleetman.example/lab/report"
	"fleetman.example/lab/usage"
)

// compareFlags are the flags of `fleetman compare`, as they are written.
type compareFlags struct {
	arm, fault, goals, replicas []string // parts of an experiment
	arms, faults                []string // of those that it has
	target, write               string
	seed                        uint64
	seeds                       int
	rate                        float64
	duration                    time.Duration

	out, again, bin, network string // where, and how much of it
	report                   reportFlags

	jobs     int // that send the load
	parallel bool
	cluster  clusterFlags

	drawn   bool   // the seed, by chance
	further string // the command line that measures the rest, in the same place
}

func compareCommand(where *places) *cobra.Command {
	f := compareFlags{report: reportFlags{environ: where.environ}}
	cmd := &cobra.Command{
		Use:   "compare EXPERIMENT",
		Short: "Run an experiment: let arms (no resilience, the library, the mesh, ...) meet the same faults",
		Long: `Run an experiment: every arm meets every fault under the same load, each run in a
fleet of its own. EXPERIMENT is a file, or the name of one of experiments/ in the
repository; the flags change it, or are one themselves (--arm and --fault).

The records are kept. The same command with --out DIR of an unfinished
comparison goes on where it stopped. fleetman report computes the same tables
from the records.

With --context, the same on a cluster: each run's fleet has a namespace of its own,
NAMESPACE-ARM, which is removed at its end; Jobs of the lab's own image send the load.
fleetman down --context removes what is left after kill -9.

The exit code is 0 when all goals are met, 1 when one is missed, 3 when one is
not decided by so few requests, 2 for a mistake in the experiment or a flag, 4 when a run
could not be measured.`,
		Example: `  fleetman compare bad-replica
  fleetman compare my/experiment.yaml --seeds 3 --out DIR
  fleetman compare my/experiment.yaml -o json --junit goals.xml >report.json
  fleetman compare comparison --arms none,library --faults all-bad --target page
  fleetman compare --arm none=k8s/base --arm mine=k8s/base,all:RESILIENCE=library \
    --fault 'bad=staff-service: status=503,rate=0.3' --replicas staff-service=2 \
    --goal 'mine, bad: good >= 99.8%' --write mine.yaml
  fleetman compare bad-replica --context kind-kind`,
		Args:              atMostOne("EXPERIMENT"),
		ValidArgsFunction: where.completeExperiments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := where.find(); err != nil {
				return err
			}
			if err := f.checkPlace(cmd, where); err != nil {
				return err
			}
			options, err := f.options(cmd, args, where)
			if err != nil {
				return usage.Error{Err: err}
			}
			if where.onCluster() && f.write == "" {
				return f.runOnCluster(cmd, where, options)
			}
			return f.run(cmd.Context(), where, options, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.add(cmd.Flags())
	f.report.addShared(cmd)
	f.cluster.add(cmd, where)
	where.addCluster(cmd)
	cmd.Flags().Lookup("namespace").Usage = "with --context: what the arms' namespaces begin with (default " + cluster.OwnNamespace + ")"
	cmd.Flags().Lookup("dry-run").Usage = "with --context: print the ClusterRole that is needed, as YAML, and run nothing"
	completeFlag(cmd, "arms", where.completeParts(func(e *experiment.Experiment) []string {
		return described(e.Arms, func(a experiment.Arm) (string, string) { return a.Name, a.Meaning })
	}))
	completeFlag(cmd, "faults", where.completeParts(func(e *experiment.Experiment) []string {
		return described(e.Faults, func(f experiment.Fault) (string, string) { return f.Name, f.Meaning })
	}))
	completeFlag(cmd, "target", fixed([]string{experiment.TargetGateway, experiment.TargetIngress, experiment.TargetPage}))
	return cmd
}

func (f *compareFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.arm, "arm", nil, "an arm: NAME=DIR[,FILE...][,SERVICE:VAR=VALUE...], SERVICE all for every one; repeatable")
	flags.StringArrayVar(&f.fault, "fault", nil, "a fault: 'NAME=SERVICE [one|all|N|POD]: RULES', or kill, stop 5s, roll; several with ' + '; repeatable")
	flags.StringArrayVar(&f.goals, "goal", nil, "a goal: 'ARM, FAULT: FIGURE [over ARM] >= BOUND [at 95%]'; repeatable")
	flags.StringSliceVar(&f.replicas, "replicas", nil, "numbers of pods, in every arm: DEPLOYMENT=N, separated by commas")
	flags.StringSliceVar(&f.arms, "arms", nil, "of the experiment's arms only these, separated by commas")
	flags.StringSliceVar(&f.faults, "faults", nil, "of the experiment's faults only these, separated by commas")
	flags.StringVar(&f.target, "target", "", "where the load goes: api-gateway, ingress, page, or, with streams in the file, another Service; these streams stay")
	flags.Uint64Var(&f.seed, "seed", 0, "the first seed: the same seed, the same choices of addresses, faults and order (default: the experiment's, or random and printed)")
	flags.IntVar(&f.seeds, "seeds", 1, "how many seeds, each one more than the last")
	flags.IntVar(&f.jobs, "load-jobs", 0, "with --context: how many Jobs send the load, each its share (default: the experiment's, or 1)")
	flags.BoolVar(&f.parallel, "parallel", false, "with --context: run all arms with one fault and one seed at once")
	flags.Float64Var(&f.rate, "rate", 0, "requests per second (default: the experiment's, or 10)")
	flags.DurationVar(&f.duration, "duration", 0, "how long a fault lasts (default: the experiment's, or 15s)")
	flags.StringVar(&f.write, "write", "", "write the experiment to a new file, and run nothing")
	flags.StringVar(&f.out, "out", "", "directory for the records (default ROOT/.cache/compare/TIME)")
	flags.StringVar(&f.again, "run", "", "measure one run again: ARM/FAULT/SEED")
	flags.StringVar(&f.network, "network", "127.0.77.0/24", "the pods' addresses, and, at .250, the NodePorts'")
	flags.StringVar(&f.bin, "bin", "", "a directory of ready-made programs (default: build them)")
}

// elsewhere are the flags that change where a comparison is made, not what.
var elsewhere = []string{"out", "run", "output", "json", "csv", "markdown", "all", "junit", "network", "bin", "write", "root", "state", "seed", "seeds", "kubeconfig", "dry-run", "yes"}

func (f *compareFlags) options(cmd *cobra.Command, args []string, where *places) (o compare.Options, err error) {
	o = compare.Options{Root: where.root, Bin: f.bin, Out: f.out, Environ: where.environ}
	if o.Out == "" {
		o.Out = filepath.Join(where.state, "..", "compare", time.Now().Format("20060102-150405"))
	}
	o.Network, err = podNetwork(f.network)
	wrong := mistakes{err, checkOutput("junit", f.report.junit), checkNew("write", f.write), checkDir("out", f.out), checkBin(f.bin)}
	if f.again != "" {
		o.Again, err = parseRun(f.again)
		wrong = append(wrong, err)
		wrong.must(f.out != "", "--out: missing: must be the directory that has the run")
	}
	err = errors.Join(wrong...)
	var unread error
	if o.Experiment, unread = f.experiment(args, where.root); unread != nil {
		return o, errors.Join(err, unread)
	}
	if err := errors.Join(err, f.change(cmd.Flags().Changed, &o)); err != nil {
		return o, err
	}
	o.Command = f.command(cmd.Flags(), args, o.Experiment)
	f.further = furtherCommand(cmd.Flags(), o)
	return o, nil
}

// podNetwork reads the network of the pods.
func podNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil || network.Bits() > 24 || !onLoopback(network) {
		return network, fmt.Errorf("--network %q: must be a network of at least 256 addresses within %v, such as 127.0.77.0/24", text, loopback)
	}
	return network, nil
}

// parseRun reads ARM/FAULT/SEED, and /REPEAT where a seed has several runs.
func parseRun(text string) (*record.Key, error) {
	parts := append(strings.Split(text, "/"), "0")
	if len(parts) == 4 || len(parts) == 5 {
		seed, wrongSeed := strconv.ParseUint(parts[2], 10, 64)
		repeat, wrongRepeat := strconv.Atoi(parts[3])
		if wrongSeed == nil && wrongRepeat == nil {
			return &record.Key{Arm: parts[0], Fault: parts[1], Seed: seed, Repeat: repeat}, nil
		}
	}
	return nil, fmt.Errorf("--run %q: must be ARM/FAULT/SEED, or ARM/FAULT/SEED/REPEAT", text)
}

// experiment reads the file, if there is one.
func (f *compareFlags) experiment(args []string, root string) (*experiment.Experiment, error) {
	if len(args) > 0 {
		path, err := findExperiment(args[0], root)
		if err != nil {
			return nil, err
		}
		return experiment.Read(path, report.Figures())
	}
	if len(f.arm) == 0 {
		if root == "" {
			return nil, fmt.Errorf("no EXPERIMENT: must be a file, or --arm and --fault; for an experiment's name, start fleetman inside the repository or set %s", rootVariable)
		}
		return nil, errors.New("no EXPERIMENT: must be a file, --arm and --fault, or one of\n" + listed(root))
	}
	e := experiment.New()
	e.Question = "What do the arms " + strings.Join(f.arm, "; ") + " do?"
	return e, nil
}

// findExperiment returns the path of an experiment: a file, or the name of one in
// the repository.
func findExperiment(name, root string) (string, error) {
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.IsDir(), strings.ContainsAny(name, "/."):
		return name, nil // the reader has the error
	case root == "":
		return "", fmt.Errorf("%s: must be a file; for an experiment's name, start fleetman inside the repository or set %s", quoted(name), rootVariable)
	}
	path := filepath.Join(root, "experiments", name+".yaml")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	names, _ := shipped(root)
	return "", fmt.Errorf("%s: must be a file, or one of %s%s", quoted(name), strings.Join(names, ", "), usage.DidYouMean(usage.Suggest(name, names)))
}

// shipped are the repository's experiments, by name.
func shipped(root string) (names []string, all []*experiment.Experiment) {
	files, _ := fs.Glob(os.DirFS(root), "experiments/*.yaml") // the pattern is a good one
	for _, file := range files {
		if e, err := experiment.Read(filepath.Join(root, file), nil); err == nil {
			names, all = append(names, strings.TrimSuffix(path.Base(file), ".yaml")), append(all, e)
		}
	}
	return names, all
}

// listed is the repository's experiments with their questions.
func listed(root string) string {
	var lines strings.Builder
	columns := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	names, all := shipped(root)
	for i, name := range names {
		fmt.Fprintf(columns, "  %s\t%s\n", name, all[i].Question)
	}
	columns.Flush()
	return strings.TrimSuffix(lines.String(), "\n")
}

// change applies the flags to the experiment, and validates it again.
func (f *compareFlags) change(given func(string) bool, o *compare.Options) error {
	e := o.Experiment
	ownStreams := e.Has("load.streams")
	if given("arms") || given("faults") {
		if err := e.Select(oneAtLeast(given("arms"), f.arms), oneAtLeast(given("faults"), f.faults)); err != nil {
			return err // what is not there changes what is wrong with other flags
		}
	}
	changed := false
	var wrong []error
	for _, part := range []struct {
		flag, path string
		apply      func() error
	}{
		{"arm", "", func() error { return addEach(e, "arm", f.arm, experiment.ParseArm, &e.Arms) }},
		{"fault", "", func() error { return f.addFaults(e) }},
		{"goal", "", func() error { return addEach(e, "goal", f.goals, experiment.ParseGoal, &e.Goals) }},
		{"replicas", "", func() error { return f.setReplicas(e) }},
		{"target", "load.target", func() error { f.setTarget(e, ownStreams); return nil }},
		{"load-jobs", "load.jobs", func() error { e.Load.Jobs = f.jobs; return nil }},
		{"rate", "load.rate", func() error { e.Load.Rate, e.Load.Steps, e.Load.Ramp = f.rate, nil, nil; return nil }},
		{"duration", "phases.fault", func() error { e.Phases.Fault = experiment.Duration(f.duration); return nil }},
	} {
		if given(part.flag) {
			changed = true
			wrong = append(wrong, part.apply())
			if part.path != "" {
				e.MadeBy("--"+part.flag, part.path)
			}
		}
	}
	wrong = append(wrong, f.pickSeeds(given, o))
	if changed {
		e.Changed()
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	return e.Check(report.Figures())
}

// oneAtLeast returns the names of a flag that was given: "" if it has none, which names nothing.
func oneAtLeast(given bool, names []string) []string {
	if given && len(names) == 0 {
		return []string{""}
	}
	return names
}

// addEach parses the values of a flag and adds them, each a part of the experiment.
func addEach[T any](e *experiment.Experiment, flag string, texts []string, parse func(string) (T, error), to *[]T) error {
	var wrong []error
	for _, text := range texts {
		parsed, err := parse(text)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("--%s %w", flag, err))
			continue
		}
		e.MadeBy(fmt.Sprintf("--%s %.100q", flag, text), fmt.Sprintf("%ss[%d]", flag, len(*to)))
		*to = append(*to, parsed)
	}
	return errors.Join(wrong...)
}

// addFaults adds those of the flag, in place of the fault that an experiment
// without any has.
func (f *compareFlags) addFaults(e *experiment.Experiment) error {
	e.Faults = slices.DeleteFunc(e.Faults, func(f experiment.Fault) bool { return f.Name == experiment.Healthy && len(f.Inject) == 0 })
	return addEach(e, "fault", f.fault, experiment.ParseFault, &e.Faults)
}

// setTarget sends the load elsewhere: the experiment's own streams, or what the page asks of the target.
func (f *compareFlags) setTarget(e *experiment.Experiment, ownStreams bool) {
	e.Load.Target = f.target
	if !ownStreams {
		e.Load.Streams = nil
	}
}

func (f *compareFlags) setReplicas(e *experiment.Experiment) error {
	var wrong []error
	for _, text := range f.replicas {
		name, number, _ := strings.Cut(text, "=")
		var n experiment.Count
		if err := n.UnmarshalText([]byte(number)); err != nil || name == "" {
			wrong = append(wrong, fmt.Errorf("--replicas %q: must be DEPLOYMENT=N, N from 0 to 100, separated by commas", text))
			continue
		}
		if e.Fleet.Replicas == nil {
			e.Fleet.Replicas = map[string]experiment.Count{}
		}
		e.Fleet.Replicas[name] = n
		e.MadeBy("--replicas "+text, "fleet.replicas."+name)
	}
	return errors.Join(wrong...)
}

// pickSeeds takes those of the flags, of the experiment, of the comparison that
// goes on, or one by chance.
func (f *compareFlags) pickSeeds(given func(string) bool, o *compare.Options) error {
	e := o.Experiment
	if err := checkRange("seeds", f.seeds, 1, 100); err != nil {
		return err
	}
	switch {
	case given("seed") && (f.seed < 1 || f.seed > 1<<62-200):
		return fmt.Errorf("--seed %d: must be between 1 and %d", f.seed, uint64(1<<62-200))
	case given("seed"):
		e.Seeds = []uint64{f.seed}
	case len(e.Seeds) == 0:
		have, _, err := compare.Recorded(o.Out)
		if err != nil {
			return err
		}
		f.drawn = true
		if e.Seeds = []uint64{rand.Uint64N(1_000_000) + 1}; have != nil {
			e.Seeds = have.Seeds
			return nil
		}
	}
	if given("seed") || given("seeds") {
		first := e.Seeds[0]
		e.Seeds = nil
		for i := range f.seeds {
			e.Seeds = append(e.Seeds, first+uint64(i))
		}
	}
	return nil
}

// command is the command line that makes the same comparison again.
func (f *compareFlags) command(flags *pflag.FlagSet, args []string, e *experiment.Experiment) string {
	words := []string{"fleetman", "compare"}
	for _, arg := range args {
		words = append(words, usage.ShellWord(arg))
	}
	words = append(words, flagWords(flags, func(name string) bool { return !slices.Contains(elsewhere, name) })...)
	if flags.Changed("seed") || flags.Changed("seeds") || f.drawn {
		words = append(words, "--seed", fmt.Sprint(e.Seeds[0]), "--seeds", fmt.Sprint(len(e.Seeds)))
	}
	return strings.Join(words, " ")
}

// furtherCommand is the command line that measures the rest of a comparison in the
// same place, with all flags that were given.
func furtherCommand(flags *pflag.FlagSet, o compare.Options) string {
	place := flagWords(flags, func(name string) bool {
		return slices.Contains(elsewhere, name) && !slices.Contains([]string{"out", "seed", "seeds"}, name)
	})
	return strings.Join(slices.Concat([]string{o.Command, "--out", usage.ShellWord(o.Out)}, place), " ")
}

// flagWords are the flags that were given, and for which is holds.
func flagWords(flags *pflag.FlagSet, is func(name string) bool) (words []string) {
	flags.Visit(func(flag *pflag.Flag) {
		if !is(flag.Name) {
			return
		}
		if flag.NoOptDefVal != "" { // it needs no value
			words = append(words, strings.TrimSuffix("--"+flag.Name+"="+cmp.Or(flag.Value.String(), flag.NoOptDefVal), "="+flag.NoOptDefVal))
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
			if flag.Value.Type() == "stringSlice" {
				values = []string{strings.Join(values, ",")}
			}
		}
		for _, value := range values {
			words = append(words, "--"+flag.Name, usage.ShellWord(value))
		}
	})
	return words
}

func (f *compareFlags) run(ctx context.Context, where *places, o compare.Options, stdout, stderr io.Writer) error {
	o.Progress = func(line string) { fmt.Fprintln(stderr, line) }
	if f.write != "" {
		if _, err := o.Manifests(); err != nil {
			return usage.Error{Err: err}
		}
		if f.drawn && len(o.Experiment.Seeds) == 1 {
			o.Experiment.Seeds = nil // by chance, in the file too
		}
		return o.Experiment.Write(f.write, o.Root)
	}
	if o.Root == "" && o.Bin == "" && o.Cluster == nil {
		return noRepository(", or name a directory of programs with --bin")
	}
	o.Binaries = where.source(o.Progress).Find
	comparison, err := compare.New(o)
	if err != nil {
		return usage.Error{Err: err}
	}
	left, all, lasts := comparison.Left()
	o.Progress(fmt.Sprintf("%s\n%d of %d runs to measure, about %v; seeds %s; records in %s", o.Experiment.Question, left, all, lasts.Round(time.Second), numbers(o.Experiment.Seeds), o.Out))
	o.Progress(fmt.Sprintf("fleetman report %s --serve shows the runs as they come", usage.ShellWord(o.Out)))
	for _, line := range comparison.Defects() {
		o.Progress(line)
	}
	if err := comparison.Run(ctx); err != nil {
		if problems, ok := errors.AsType[experiment.Problems](err); ok {
			return usage.Error{Err: problems}
		}
		if left, ok := errors.AsType[compare.LeftError](err); ok {
			return finalError{left}
		}
		return interrupted(ctx, err, func() string { return f.keptRuns(o, all) })
	}
	f.report.html = filepath.Join(o.Out, htmlFile)
	return f.report.run([]string{o.Out}, nil, stdout)
}

// keptRuns describes which runs an interrupted comparison has kept, and how
// to go on.
func (f compareFlags) keptRuns(o compare.Options, all int) string {
	kept := 0
	if have, _, err := compare.Recorded(o.Out); err == nil && have != nil {
		kept = len(have.Runs)
	}
	if kept == 0 {
		return fmt.Sprintf("no run was complete; %s measures the rest", f.further)
	}
	return fmt.Sprintf("%d of %d runs are kept: fleetman report %s shows them; %s measures the rest", kept, all, usage.ShellWord(o.Out), f.further)
}

func numbers(seeds []uint64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(seeds), " ", ", "), "[]")
}

// completeExperiments completes the name of an experiment of the repository; a
// file's name is the shell's.
func (p *places) completeExperiments(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || p.find() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, all := shipped(p.root)
	for i := range names {
		names[i] = cobra.CompletionWithDesc(names[i], all[i].Question)
	}
	return names, cobra.ShellCompDirectiveDefault
}

// completeParts completes parts of the experiment that is named before.
func (p *places) completeParts(of func(*experiment.Experiment) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) != 1 || p.find() != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		path, _ := findExperiment(args[0], p.root)
		e, err := experiment.Read(path, nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // the error is for those who press enter
		}
		return completeList(of(e))(cmd, args, typed)
	}
}
