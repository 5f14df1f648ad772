package compare

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
	"fleetman.example/lab/record"
	"fleetman.example/lab/scrape"
)

// position is the part of the contract's that is read here.
type position struct {
	Name      string `json:"name"`
	Timestamp string `json:"timestamp"`
}

// vehicles are those that the load asks for: the experiment's, or those that the
// tracker knows when all have reported.
func (r *running) vehicles(ctx context.Context) ([]string, error) {
	if len(r.e.Load.Vehicles) > 0 {
		return r.e.Load.Vehicles, nil
	}
	tracker, found := r.tracker()
	if !found {
		if slices.ContainsFunc(r.e.Load.Streams, func(s experiment.Stream) bool { return strings.Contains(s.Path, experiment.Vehicle) }) {
			return nil, errors.New("load: vehicles: empty: must be given where there is no position-tracker")
		}
		return nil, nil
	}
	count := r.vehicleCount()
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("vehicles: fewer than %d: must have reported within 1m", count))
	defer cancel()
	for {
		var latest []position
		if _, err := scrape.JSON(ctx, &r.fleet.admin().HTTP, tracker+"/vehicles/", &latest); err != nil && ctx.Err() == nil {
			return nil, err
		}
		if len(latest) >= count {
			var names []string
			for _, p := range latest {
				names = append(names, p.Name)
			}
			return names, nil
		}
		if err := process.Sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// tracker is where position-tracker is; found is false in a fleet without.
func (r *running) tracker() (url string, found bool) {
	pods, err := faults.Find(r.fleet.Pods(), "position-tracker")
	if err != nil {
		return "", false
	}
	return "http://" + programAddress(pods[0]), true
}

// programAddress returns where the program of a pod listens.
func programAddress(pod local.Pod) string {
	return net.JoinHostPort(pod.Address, strconv.Itoa(pod.Port))
}

// positions reads from the tracker when it received each report.
func (r *running) positions(ctx context.Context, vehicles []string) error {
	tracker, found := r.tracker()
	if !found {
		return nil
	}
	for _, vehicle := range vehicles {
		var history []position
		if _, err := scrape.JSON(ctx, &r.fleet.admin().HTTP, tracker+"/history/"+url.PathEscape(vehicle), &history); err != nil {
			return err
		}
		for _, p := range slices.Backward(history) { // newest first
			received, err := time.Parse("2006-01-02T15:04:05.000-0700", p.Timestamp)
			if err != nil {
				return fmt.Errorf("history of %s: timestamp: %w", vehicle, err)
			}
			if at := record.Offset(received.Sub(r.began)); at >= 0 && at <= r.seen.End {
				r.seen.Positions = append(r.seen.Positions, record.Position{At: at, Vehicle: vehicle})
			}
		}
	}
	return nil
}

// breakers notes the changes of a pod's breakers. A pod with the fault may be
// away.
func (r *running) breakers(ctx context.Context, pod local.Pod) error {
	state, err := faults.ReadResilience(ctx, &r.fleet.admin().HTTP, pod)
	if err != nil && !slices.Contains(r.seen.Pods, pod.Name) {
		return err
	}
	for _, t := range state.Transitions {
		r.noteAt(t.Time, pod.Name, record.EventBreaker+t.To, faults.BreakerName(t.Upstream, t.Endpoint)+": "+t.Cause)
	}
	return nil
}
