package compare

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/record"
)

// Options say which experiment is run, and where.
type Options struct {
	Experiment *experiment.Experiment // with its seeds
	Command    string                 // the command line that makes the same comparison again

	Root    string // the repository; may be empty with Bin
	Bin     string // ready-made programs; empty: built from Root
	Out     string // directory for the records and the last fleet's logs
	Environ []string
	Network netip.Prefix // of the pods, and, its last address, of NodePorts

	// Again is a run that is measured once more: its records are replaced. Nil:
	// every run that Out does not have is measured.
	Again *record.Key

	// Binaries brings the mesh's binaries; it is called once, when an arm has a mesh.
	Binaries func(context.Context) (binaries.Set, error)

	Progress func(line string)

	// Measurements is how often a run is made until its load is on time. Defaults to 3.
	Measurements int

	// Cluster is where the fleets are. Nil: this machine.
	Cluster *Cluster

	at place
}

// plan is one arm with one fault and one seed.
type plan struct {
	o     Options
	e     *experiment.Experiment
	arm   experiment.Arm
	fault experiment.Fault
	seed  uint64
	// repeat numbers the runs with the same seed: 0, 1, ...
	repeat int
	loaded // the arm's
}

// loaded is what an arm's manifests are, with its patches.
type loaded struct {
	objects *manifest.Objects // nil if they have mistakes
	mesh    bool
	digest  string // of them, and of the arm's settings
}

func (p plan) key() record.Key {
	return record.Key{Arm: p.arm.Name, Fault: p.fault.Name, Seed: p.seed, Repeat: p.repeat}
}

// name is how the run is called in messages.
func (p plan) name() string { return p.key().Name() }

// includes reports whether the run of a key is among some.
func includes(plans []plan, key record.Key) bool {
	return slices.ContainsFunc(plans, func(p plan) bool { return p.key().Same(key) })
}

// lasts is how long a run takes.
func (p plan) lasts() time.Duration {
	return time.Duration(p.e.Phases.Healthy + p.e.Phases.Fault + p.e.Phases.After)
}

// expected is about how long some runs take with their fleets' starts and ends, once
// the programs are there.
func (o Options) expected(plans []plan) (sum time.Duration) {
	for _, together := range o.groups(plans) {
		p := together[0]
		sum += p.lasts() + o.at.overhead(p)
	}
	return sum
}

// groups returns the runs that are made at once, in their order.
func (o Options) groups(plans []plan) (groups [][]plan) {
	for i, p := range plans {
		if i > 0 && o.at.parallel() {
			if last := plans[i-1]; last.fault.Name == p.fault.Name && last.seed == p.seed && last.repeat == p.repeat {
				groups[len(groups)-1] = append(groups[len(groups)-1], p)
				continue
			}
		}
		groups = append(groups, []plan{p})
	}
	return groups
}

// plans are all runs. The order of the arms is drawn for each fault, seed and
// repeat, so that no arm always has the same neighbours, and other work of the
// machine meets all alike.
func (o Options) plans() (plans []plan) {
	arms, all := o.Experiment.Expand()
	for _, fault := range all {
		for _, seed := range o.Experiment.Seeds {
			for repeat := range max(1, o.Experiment.Repeats) {
				plans = append(plans, o.inOrder(arms, fault, seed, repeat)...)
			}
		}
	}
	return plans
}

// inOrder are the plans of all arms with one fault, in an order that the seed
// draws.
func (o Options) inOrder(arms []experiment.Arm, fault experiment.Fault, seed uint64, repeat int) (plans []plan) {
	for _, arm := range arms {
		if experiment.Meet(arm, fault) {
			plans = append(plans, plan{o: o, e: o.Experiment, arm: arm, fault: fault, seed: seed, repeat: repeat})
		}
	}
	hash := fnv.New64a()
	fmt.Fprint(hash, fault.Name, repeat)
	rand.New(rand.NewPCG(seed, hash.Sum64())).Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
	return plans
}

// Comparison is an experiment whose manifests are read, and the runs of it that
// are to be measured.
type Comparison struct {
	o       Options
	plans   []plan             // all
	left    []plan             // that are to be measured
	have    *record.Comparison // the whole runs that Out has; nil: nothing
	defects []record.Defect    // of the other runs that Out has
}

// New reads the manifests of every arm, and what Out has of the comparison. An
// error of the experiment is experiment.Problems.
func New(o Options) (*Comparison, error) {
	o.at = &machine{o: o, noted: map[string]bool{}}
	if o.Cluster != nil {
		o.at, o.Cluster.root = o.Cluster, o.Root
	}
	c := &Comparison{o: o, plans: o.plans()}
	if err := c.read(); err != nil {
		return nil, err
	}
	if err := o.prepare(c.plans); err != nil {
		return nil, err
	}
	c.left = slices.DeleteFunc(slices.Clone(c.plans), func(p plan) bool {
		if o.Again != nil {
			return !o.Again.Same(p.key())
		}
		return c.have.Find(p.key()) != nil
	})
	if o.Again != nil && len(c.left) == 0 {
		return nil, fmt.Errorf("--run %s: must be an arm, a fault and a seed of the experiment", o.Again.Name())
	}
	if err := c.checkInputs(); err != nil {
		return nil, err
	}
	return c, nil
}

// Manifests returns the objects of every arm.
func (o Options) Manifests() (all []*manifest.Objects, err error) {
	plans := o.plans()
	o.at = new(machine)
	if err := o.prepare(plans); err != nil {
		return nil, err
	}
	for _, p := range onePerArm(plans) {
		all = append(all, p.objects)
	}
	return all, nil
}

// onePerArm returns the first run of each arm.
func onePerArm(plans []plan) (first []plan) {
	for _, p := range plans {
		if !slices.ContainsFunc(first, func(other plan) bool { return other.arm.Name == p.arm.Name }) {
			first = append(first, p)
		}
	}
	return first
}

// Left returns how many runs are to be measured, of how many, and about how long
// that takes.
func (c *Comparison) Left() (left, all int, lasts time.Duration) {
	return len(c.left), len(c.plans), c.o.expected(c.left)
}

// Defects returns a line for each run that Out has and that is not whole: why, and what
// becomes of it.
func (c *Comparison) Defects() (lines []string) {
	for _, d := range c.defects {
		becomes := "removed"
		if includes(c.left, d.Key) {
			becomes = "measuring again"
		}
		lines = append(lines, d.String()+": "+becomes)
	}
	return lines
}

// Run measures every run that is left, one after the other, and writes the
// records of each when it has ended: when ctx ends, those of the whole runs are
// kept.
func (c *Comparison) Run(ctx context.Context) (err error) {
	if err := c.renew(); err != nil {
		return err
	}
	o := c.o
	var printing sync.Mutex
	o.Progress = func(line string) { // of runs that are made at once
		printing.Lock()
		defer printing.Unlock()
		c.o.Progress(line)
	}
	if len(c.left) > 0 {
		if err := o.at.ready(ctx, c.left); err != nil {
			return err
		}
	}
	out, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if closed := out.Close(); err == nil && closed != nil {
			err = fmt.Errorf("records: %w", closed)
		}
	}()
	left := c.left
	for _, together := range o.groups(c.left) {
		if err := c.measure(ctx, o, together, left, out); err != nil {
			return err
		}
		left = left[len(together):]
	}
	return nil
}

// measure measures some runs at once, the first of those that are left, and writes the records of each.
func (c *Comparison) measure(ctx context.Context, o Options, together, left []plan, out *output) error {
	done := len(c.plans) - len(left)
	all, rest := o.expected(c.plans), o.expected(left)
	var writing sync.Mutex
	group, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	errs := make([]error, len(together))
	for i, p := range together {
		o.Progress(fmt.Sprintf("%d of %d (%.0f %% done, %v to go): %s", done+i+1, len(c.plans), 100*(1-rest.Seconds()/all.Seconds()), rest.Round(time.Second), p.name()))
		p.o = o
		running.Go(func() {
			seen, err := o.onTime(p.name(), func() (*record.Run, error) { return p.attempt(group) })
			if err == nil {
				writing.Lock()
				defer writing.Unlock()
				errs[i] = out.add(seen)
				return
			}
			_, left := errors.AsType[LeftError](err)
			if group.Err() == nil || ctx.Err() != nil || left { // else another one has failed
				errs[i] = fmt.Errorf("%s: %w", p.name(), err)
			}
			stop()
		})
	}
	running.Wait()
	err := errors.Join(errs...)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		interrupted := fmt.Errorf("interrupted in %s: %d of %d runs are kept in %s: %w", together[0].name(), done, len(c.plans), o.Out, ctx.Err())
		if left, ok := errors.AsType[LeftError](err); ok {
			return errors.Join(interrupted, left)
		}
		return interrupted
	}
	if problem, ok := errors.AsType[experiment.Problem](err); ok {
		return experiment.Problems{problem}
	}
	return err
}

// injection is the path of a part of a fault in the experiment.
func (o Options) injection(fault experiment.Fault, number int) string {
	i := slices.IndexFunc(o.Experiment.Faults, func(f experiment.Fault) bool { return f.Name == fault.Of })
	return fmt.Sprintf("faults[%d].inject[%d]", i, number)
}

// field is the path of an arm in the experiment.
func (o Options) field(arm experiment.Arm) string {
	return fmt.Sprintf("arms[%d]", slices.IndexFunc(o.Experiment.Arms, func(a experiment.Arm) bool { return a.Name == arm.Of }))
}

// prepare reads the manifests of every arm, and returns all mistakes that they
// show in the experiment.
func (o Options) prepare(plans []plan) error {
	if len(plans) == 0 {
		return errors.New("no run: must be one arm and one fault at least, of one point of the sweep")
	}
	arms, all := o.Experiment.Expand() // in the order of the file
	problems := o.wrongRules(all)
	found := map[string]loaded{}
	manifests := reader{o, all, map[string]*manifest.Objects{}, new(experiment.Problems)}
	for _, arm := range arms {
		objects, wrong := manifests.objects(arm)
		if problems = addOnce(problems, wrong); objects != nil {
			mesh := arm.HasMesh(objects.NeedsMesh)
			found[arm.Name] = loaded{objects, mesh, armDigest(arm, objects, mesh)}
		}
	}
	for i := range plans {
		plans[i].loaded = found[plans[i].arm.Name]
	}
	problems = addOnce(problems, o.at.mistakes(plans, len(problems) > 0))
	return inOrder(problems)
}

// inOrder returns the mistakes, if there are any, in the order of their lines.
func inOrder(problems experiment.Problems) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b experiment.Problem) int { return a.Line - b.Line })
	return problems
}

// addOnce adds the mistakes of another arm. One of a field that all arms have,
// such as load.target, is there already, and so is one of an arm at another point
// of the sweep.
func addOnce(problems, more experiment.Problems) experiment.Problems {
	known := slices.Clone(problems)
	for _, p := range more {
		ofArm := strings.HasPrefix(p.Field, "arms[")
		if !slices.ContainsFunc(known, func(k experiment.Problem) bool { return k == p || !ofArm && k.Field == p.Field }) {
			problems = append(problems, p)
		}
	}
	return problems
}

// wrongRules returns the mistakes in the faults' rules, at every point of the
// sweep.
func (o Options) wrongRules(all []experiment.Fault) (problems experiment.Problems) {
	for _, fault := range all {
		for j, in := range fault.Inject {
			if in.Rules == "" {
				continue
			}
			wrong := faults.CheckRules(in.Rules)
			if err := connectTwice(fault.Inject[:j], in); err != nil {
				wrong = append(wrong, err)
			}
			for _, wrong := range wrong {
				p := o.Experiment.Problem(o.injection(fault, j)+".rules", "%v", wrong)
				if !slices.Contains(problems, p) {
					problems = append(problems, p)
				}
			}
		}
	}
	return problems
}
