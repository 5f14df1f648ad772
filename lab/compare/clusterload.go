package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/cluster"
	"fleetman.example/lab/experiment"
	"fleetman.example/lab/loader"
	"fleetman.example/lab/process"
)

// clusterLoad is a load that pods of the cluster send.
type clusterLoad struct {
	plan    loader.Plan
	loaders []cluster.Loader
}

func (l *clusterLoad) check() string { return l.plan.Check }

// prepare starts the pods that send the load. A Service is reached at its address, which kube-proxy leads to one of
// its ready pods.
func (f *clusterFleet) prepare(ctx context.Context, r *running, vehicles []string) (sending, string, error) {
	l := &clusterLoad{plan: r.load(vehicles)}
	l.plan.Check += f.client.Namespace() + "-"
	entry, err := f.target(ctx, r, &l.plan)
	if err != nil {
		return nil, "", err
	}
	if r.e.Load.From != "" {
		caller, err := r.caller()
		if err != nil {
			return nil, "", err
		}
		one, err := f.client.StartLoaderIn(ctx, f.pod(caller.Name))
		l.loaders = []cluster.Loader{one}
		return l, entry, err
	}
	limit := l.plan.Lasts + time.Duration(l.plan.Timeout) + 15*time.Minute // how long the pods may be there
	if l.loaders, err = f.client.StartLoaders(ctx, max(1, r.e.Load.Jobs), limit); err != nil {
		return nil, "", err
	}
	return l, entry, f.noteNodes(ctx, l.loaders)
}

// target finds where the load goes, and returns the Deployment that it reaches first.
func (f *clusterFleet) target(ctx context.Context, r *running, plan *loader.Plan) (entry string, err error) {
	if r.targetName() == experiment.TargetIngress {
		if !f.hasGateway() {
			return "", r.o.noIngress(r.arm)
		}
		plan.Host, plan.Address, err = f.client.ServiceOf(ctx, f.gateways[0].Namespace, gatewayName)
		return gatewayName, err
	}
	pods, err := r.targets()
	if err != nil {
		return "", err
	}
	if len(pods[0].Services) == 0 {
		return "", fmt.Errorf("load: target: %s: must be a Service", r.targetName())
	}
	plan.Host, plan.Address, err = f.client.ServiceOf(ctx, pods[0].Namespace, pods[0].Services[0])
	return pods[0].Deployment, err
}

// noteNodes prints that the load is on a node of the fleet, where the cluster has others.
func (f *clusterFleet) noteNodes(ctx context.Context, loaders []cluster.Loader) error {
	nodes, err := f.client.NodesOf(ctx)
	if err != nil || f.at.found.Nodes < 2 {
		return err
	}
	shared := sets.New[string]()
	for _, l := range loaders {
		shared.Insert(l.Node)
	}
	if shared = shared.Intersection(sets.New(nodes...)); len(shared) > 0 {
		f.p.o.Progress(fmt.Sprintf("%s: the load is on %s, with pods of the fleet: no other node has room", f.p.name(), strings.Join(sets.List(shared), ", ")))
	}
	return nil
}

// lead is the time from the order to begin until the load begins. All of its pods have the order by then, on a busy
// cluster too.
const lead = 2 * time.Second

func (l *clusterLoad) begin(ctx context.Context) (time.Time, error) {
	at := time.Now().Add(lead)
	var ordering sync.WaitGroup
	errs := make([]error, len(l.loaders))
	for i, part := range l.plan.Split(len(l.loaders)) {
		ordering.Go(func() { errs[i] = l.loaders[i].Begin(ctx, part, at) })
	}
	ordering.Wait()
	if err := errors.Join(errs...); err != nil {
		return at, lostError{err}
	}
	if late := time.Since(at); late > 0 {
		return at, lostError{fmt.Errorf("load: its pods began %v late", late.Round(time.Millisecond))}
	}
	return at, process.Sleep(ctx, time.Until(at))
}

// readWithin bounds the time from the end of the load until its requests are read. It is longer than the outage of an
// API server that is waited for.
const readWithin = 90 * time.Second

// run reads the requests of all parts. They are there whole, or the run is lost.
func (l *clusterLoad) run(ctx context.Context) ([]loader.Request, error) {
	if err := process.Sleep(ctx, l.plan.Lasts); err != nil {
		return nil, err
	}
	within := time.Duration(l.plan.Timeout) + readWithin
	read, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no requests within %v of the load's end", within))
	defer cancel()
	var reading sync.WaitGroup
	parts, errs := make([][]loader.Request, len(l.loaders)), make([]error, len(l.loaders))
	for i := range l.loaders {
		reading.Go(func() { parts[i], errs[i] = l.loaders[i].Await(read) })
	}
	reading.Wait()
	all, err := l.plan.Join(parts...)
	if err = cmp.Or(errors.Join(errs...), err); err != nil {
		return nil, lostError{err}
	}
	return all, nil
}
