package control

import (
	"context"
	"net/http"
	"sync"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
)

// Status is the status of a running fleet.
type Status struct {
	State     string           `json:"state"`     // the state directory
	Since     time.Time        `json:"since"`     // when all pods were ready for the first time
	PID       int              `json:"pid"`       // the launcher's
	Manifests []string         `json:"manifests"` // the absolute paths of the manifests in force: those of the start, or of the last apply
	HasMesh   bool             `json:"hasMesh"`
	Pods      []local.Pod      `json:"pods"`
	NodePorts []local.NodePort `json:"nodePorts"`
	HostsFile string           `json:"hostsFile"`
	// Breakers are those that are not closed.
	Breakers []Breaker `json:"breakers,omitempty"`
}

// Breaker is a circuit breaker of a pod's program for one of its upstreams.
type Breaker struct {
	Pod         string    `json:"pod"`
	Upstream    string    `json:"upstream"`
	Endpoint    string    `json:"endpoint,omitempty"` // empty when the upstream has one breaker for all endpoints
	State       string    `json:"state"`              // open, half-open
	Until       time.Time `json:"until,omitzero"`     // when an open breaker lets a request through
	LastFailure string    `json:"lastFailure,omitempty"`
}

// lookTimeout bounds the requests to a pod's admin listener.
const lookTimeout = 300 * time.Millisecond

// Look reads the faults and breakers of all pods through their admin listeners. Those of a pod that does not
// respond in time are left out.
func (s *Status) Look(ctx context.Context, client *faults.Client, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var asking sync.WaitGroup
	breakers := make([][]Breaker, len(s.Pods))
	for i, pod := range s.Pods {
		if pod.State != "running" && pod.State != "terminating" {
			continue
		}
		asking.Go(func() { breakers[i] = readBreakers(ctx, &client.HTTP, pod) })
		if pod.Port == 0 {
			continue
		}
		asking.Go(func() {
			if state, err := client.Get(ctx, pod); err == nil {
				s.Pods[i].Faults = state.Text()
			}
		})
	}
	asking.Wait()
	for _, of := range breakers {
		s.Breakers = append(s.Breakers, of...)
	}
}

// readBreakers returns the breakers of a pod that are not closed.
func readBreakers(ctx context.Context, client *http.Client, pod local.Pod) (breakers []Breaker) {
	state, _ := faults.ReadResilience(ctx, client, pod) // empty without a response
	for _, u := range state.Upstreams {
		for _, e := range u.Endpoints {
			if e.State != "closed" {
				breakers = append(breakers, Breaker{pod.Name, u.Name, e.Address, e.State, e.OpenUntil, e.LastFailure})
			}
		}
	}
	return breakers
}
