package compare

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/record"
)

// victims are the pods of the service that the fault is set in.
func (r *run) victims() []local.Pod {
	found, err := faults.Find(r.fleet.Pods(), r.o.Service)
	if err != nil {
		return nil
	}
	return found
}

// timeline sets the fault and clears it, with samples all along.
func (r *run) timeline(ctx context.Context) error {
	if r.fault.none() {
		return r.sampleUntil(ctx, r.timing.total())
	}
	if err := r.sampleUntil(ctx, r.timing.Healthy); err != nil {
		return err
	}
	victims := r.victims()
	if len(victims) == 0 {
		return fmt.Errorf("service: %s: must have a pod", r.o.Service)
	}
	if !r.fault.All {
		victims = r.busiest(victims)
	}
	keeping, stop := context.WithCancel(ctx)
	defer stop()
	var kept sync.WaitGroup
	for _, pod := range victims {
		r.seen.Pods = append(r.seen.Pods, pod.Name)
		if _, err := r.client.Set(ctx, pod, r.fault.Rules); err != nil {
			return fmt.Errorf("set the fault: %w", err)
		}
		r.note(record.Launcher, record.EventFaultSet, fmt.Sprintf("%s: %s", pod.Name, r.fault.Rules))
		if r.fault.Again {
			kept.Go(func() { r.setAgain(keeping, pod) })
		}
	}
	if err := r.sampleUntil(ctx, r.timing.Healthy+r.timing.Fault); err != nil {
		return err
	}
	stop()
	kept.Wait()
	for _, pod := range victims {
		if _, err := r.client.Clear(ctx, pod); err != nil && !r.fault.Again { // one that is away has no fault when it comes back
			return fmt.Errorf("clear the fault: %w", err)
		}
		r.note(record.Launcher, record.EventFaultCleared, pod.Name)
	}
	return r.sampleUntil(ctx, r.timing.total())
}

// busiest returns the one of the pods that received most of the load so far. A
// caller that does not balance uses one connection; a fault in the other replica
// would be met by no request, and the run would say nothing about it.
func (r *run) busiest(pods []local.Pod) []local.Pod {
	received := map[string]float64{}
	for _, sample := range r.seen.Samples {
		reads := 0.0
		for _, count := range sample.Counts {
			if count.Name == record.CountServer && strings.HasPrefix(count.Of, "GET ") {
				reads += count.N
			}
		}
		received[sample.Pod] = reads // the last sample's, of a fleet that was started for this run
	}
	most := slices.MaxFunc(pods, func(a, b local.Pod) int { return cmp.Compare(received[a.Name], received[b.Name]) })
	return []local.Pod{most}
}

// setAgain sets the fault of a pod whenever it comes back without it.
func (r *run) setAgain(ctx context.Context, pod local.Pod) {
	since := time.Now()
	for event := range r.fleet.Events(ctx) {
		if event.Pod == pod.Name && event.Kind == local.Ready && event.Time.After(since) {
			if _, err := r.client.Set(ctx, pod, r.fault.Rules); err == nil {
				r.note(record.Launcher, record.EventFaultSet, fmt.Sprintf("%s again: %s", pod.Name, r.fault.Rules))
			}
		}
	}
}
