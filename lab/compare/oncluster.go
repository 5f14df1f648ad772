package compare

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/experiment"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/envoy"
)

// Cluster is a cluster as the place of a comparison's fleets. Each run has a namespace of its own, which is called
// after the client's namespace and the arm, and which is removed at the run's end.
type Cluster struct {
	client *cluster.Client
	found  cluster.Description
	root   string // the repository, for its version
	// Parallel runs all arms with one fault and one seed at once.
	Parallel bool
	// Agree is called before the first run with the objects of the arms that are in other namespaces than theirs. An
	// error ends the comparison.
	Agree func(objects []string) error
}

// NewCluster connects to a cluster.
func NewCluster(ctx context.Context, client *cluster.Client) (*Cluster, error) {
	found, err := client.Describe(ctx)
	return &Cluster{client: client, found: found}, err
}

// readyWithin bounds the start of a fleet.
const readyWithin = 3 * time.Minute

func (c *Cluster) conditions(ctx context.Context) (string, map[string]string) {
	all := versions(ctx, c.root)
	all["kubernetes"] = c.found.Kubernetes
	if c.found.Istio != "" {
		all["istio"] = c.found.Istio
	}
	return c.found.String(), all
}

func (c *Cluster) meshPrograms() []string { return []string{"istiod " + c.found.Istio} }

// overhead is about how long a fleet takes to start and to end.
func (c *Cluster) overhead(plan) time.Duration { return 35 * time.Second }

func (c *Cluster) parallel() bool { return c.Parallel }

// mistakes returns what the experiment asks for and a cluster does not have.
func (c *Cluster) mistakes(plans []plan, _ bool) (problems experiment.Problems) {
	note := func(e *experiment.Experiment, path, format string, args ...any) {
		if p := e.Problem(path, format, args...); !slices.Contains(problems, p) {
			problems = append(problems, p)
		}
	}
	for _, p := range plans {
		for j, in := range p.fault.Inject {
			path := p.o.injection(p.fault, j)
			if kind, _, err := in.Action.Parse(); err == nil && kind == experiment.Stop {
				note(p.e, path+".action", "%s: must be kill or roll with --context: the API of a cluster has no SIGSTOP", in.Action)
			}
			if _, ofConnect := faults.Split(in.Rules); ofConnect != "" {
				note(p.e, path+".rules", "%s: must be without --context: the launcher's relays make faults of connections", ofConnect)
			}
		}
		if p.objects == nil {
			continue
		}
		if needs := p.objects.NeedsMesh(); p.mesh != needs {
			note(p.e, p.o.field(p.arm)+".mesh", "%v: must be %v with --context: there the manifests decide", p.mesh, needs)
		}
		if c.Parallel && p.targetName() == experiment.TargetIngress {
			note(p.e, p.o.field(p.arm)+".target", "%s: must be without --parallel: all arms share the ingress gateway", p.targetName())
		}
	}
	return problems
}

var notInName = regexp.MustCompile(`[^a-z0-9-]+`)

// namespace returns the namespace of an arm.
func (c *Cluster) namespace(arm string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(arm), "-"), "-")
	const most = 63
	if left := most - len(c.client.Namespace()) - 1; name != arm || len(name) > left { // of two such arms each has its own
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(arm)))[:6]
		name = strings.Trim(name[:min(len(name), max(0, left-len(sum)-1))]+"-"+sum, "-")
	}
	return c.client.Namespace() + "-" + name
}

func (c *Cluster) ready(ctx context.Context, left []plan) error {
	var outside []string
	for _, p := range onePerArm(left) {
		more, err := c.readyArm(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.arm.Name, err)
		}
		for _, ref := range more {
			if !slices.Contains(outside, ref) {
				outside = append(outside, ref)
			}
		}
	}
	if _, err := c.client.Usage(ctx, c.found.Names[:min(1, len(c.found.Names))]); err != nil { // is it allowed
		return err
	}
	if len(outside) > 0 {
		return c.Agree(outside)
	}
	return nil
}

// readyArm returns the objects of an arm in namespaces that are not its own.
func (c *Cluster) readyArm(ctx context.Context, p plan) (outside []string, err error) {
	client, err := c.client.In(c.namespace(p.arm.Name))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.CheckFree(ctx); err != nil {
		return nil, err
	}
	if err := client.Supports(ctx, p.objects, c.change(p)); err != nil {
		return nil, err
	}
	outside, others, err := client.Outside(ctx, p.objects)
	if c.Parallel && err == nil && len(outside)+len(others) > 0 {
		return nil, fmt.Errorf("%s: must be without --parallel: the arms would share them", strings.Join(slices.Concat(outside, others), ", "))
	}
	return outside, err
}

// change returns how an arm's fleet differs from its manifests.
func (c *Cluster) change(p plan) cluster.Change {
	change := cluster.Change{Replicas: p.arm.Pods(), FreeNodePorts: true, Comparison: c.client.Namespace()}
	for _, s := range p.settings() {
		if s.Target != "" {
			change.Set = append(change.Set, s)
			continue
		}
		for _, d := range manifest.Of[*appsv1.Deployment](p.objects) {
			change.Set = append(change.Set, local.Setting{Target: d.Name, Name: s.Name, Value: s.Value})
		}
	}
	return change
}

func (c *Cluster) start(ctx context.Context, p plan) (fleet, error) {
	client, err := c.client.In(c.namespace(p.arm.Name))
	if err != nil {
		return nil, err
	}
	if err := client.CheckFree(ctx); err != nil {
		client.Close()
		return nil, err
	}
	f := &clusterFleet{
		client: client, at: c, p: p, since: metav1.Now(), cancel: func() {},
		places: map[string]local.Pod{}, events: local.NewEventLog(), envoys: map[string]*envoy.Client{},
	}
	if err := f.up(ctx, c.change(p)); err != nil {
		if left := f.stop(); left != nil {
			err = errors.Join(err, LeftError{left})
		}
		return nil, err
	}
	return f, nil
}

// lostError is the error of a run in which something of the cluster was away. The run is made again.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

func (c *Cluster) repeats(err error) bool {
	_, lost := errors.AsType[lostError](err)
	return lost && !cluster.Final(err) || cluster.Transient(err)
}

// byOrder compares pods by their Deployments and their ages.
func byOrder(a, b local.Pod) int {
	return cmp.Or(cmp.Compare(a.Deployment, b.Deployment), a.Started.Compare(b.Started), cmp.Compare(a.Name, b.Name))
}
