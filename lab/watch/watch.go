// Package watch adds events to a fleet from its pods' admin listeners: faults that are set and cleared,
// breakers that open and close.
package watch

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
)

// every is how often a pod's faults are polled, and the delay before an event stream that ended, such as
// at a restart of the pod, is opened again.
const every = time.Second

// Fleet is the part of local.Fleet that Pods uses.
type Fleet interface {
	Pods() []local.Pod
	Note(local.Event)
}

// Pods watches every pod that has a port for requests, those that are started later included, until the
// context ends.
func Pods(ctx context.Context, fleet Fleet) {
	var watching sync.WaitGroup
	watched := map[string]context.CancelFunc{} // by the pod's name and address
	for more := true; more; more = process.Sleep(ctx, every) == nil {
		now := map[string]bool{}
		for _, pod := range fleet.Pods() {
			key := pod.Name + " " + pod.Address
			now[key] = true
			if pod.Port == 0 || watched[key] != nil {
				continue
			}
			ctx, cancel := context.WithCancel(ctx)
			watched[key] = cancel
			watching.Go(func() { watchFaults(ctx, fleet, pod) })
			watching.Go(func() { watchBreakers(ctx, fleet, pod) })
		}
		for key, stop := range watched {
			if !now[key] {
				stop()
				delete(watched, key)
			}
		}
	}
	watching.Wait()
}

// watchFaults makes an event of every change of a pod's rules.
func watchFaults(ctx context.Context, fleet Fleet, pod local.Pod) {
	client := faults.Client{HTTP: http.Client{Timeout: every}}
	for known := ""; ; {
		if state, err := client.Get(ctx, pod); err == nil && state.Text() != known {
			known = state.Text()
			event := local.Event{Time: time.Now(), Pod: pod.Name, Kind: local.FaultSet, Detail: known}
			if known == "" {
				event.Kind, event.Detail = local.FaultCleared, "no faults"
			}
			fleet.Note(event)
		}
		if process.Sleep(ctx, every) != nil {
			return
		}
	}
}

// watchBreakers makes an event of every change of a breaker in a pod.
func watchBreakers(ctx context.Context, fleet Fleet, pod local.Pod) {
	for {
		if found := readBreakers(ctx, fleet, pod); !found || process.Sleep(ctx, every) != nil {
			return
		}
	}
}

// readBreakers reads a pod's stream of transitions until it ends. found is false when the program has no
// such stream.
func readBreakers(ctx context.Context, fleet Fleet, pod local.Pod) (found bool) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+faults.Admin(pod)+"/resilience/events", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return true // the pod restarts
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.StatusCode != http.StatusNotFound
	}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var t faults.Transition
		if !ok || json.Unmarshal([]byte(data), &t) != nil {
			continue
		}
		fleet.Note(local.Event{
			Time: t.Time, Pod: pod.Name, Kind: local.Breaker, Detail: fmt.Sprintf("%s: %s, was %s: %s", faults.BreakerName(t.Upstream, t.Endpoint), t.To, t.From, t.Cause),
		})
	}
	return true
}
