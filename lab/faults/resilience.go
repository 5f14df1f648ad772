package faults

import (
	"context"
	"net/http"
	"time"

	"fleetman.example/lab/local"
	"fleetman.example/lab/scrape"
)

// Resilience is the state of a pod's resilience chains.
type Resilience struct {
	Upstreams   []Upstream   `json:"upstreams"`
	Transitions []Transition `json:"transitions"` // the last ones
}

// Upstream is the state of a resilience chain for one upstream.
type Upstream struct {
	Name      string     `json:"upstream"`
	Endpoints []Endpoint `json:"endpoints"`
	Budget    *struct {
		Saved float64 `json:"saved"`
	} `json:"retryBudget"`
	Bulkhead *struct {
		InFlight int `json:"inFlight"`
	} `json:"bulkhead"`
}

// Protected reports whether any stage of the chain is on.
func (u Upstream) Protected() bool {
	return len(u.Endpoints) > 0 || u.Budget != nil || u.Bulkhead != nil
}

// Endpoint is a breaker.
type Endpoint struct {
	Address     string    `json:"address"` // empty: of all endpoints
	State       string    `json:"state"`   // closed, open, half-open
	OpenUntil   time.Time `json:"openUntil"`
	LastFailure string    `json:"lastFailure"`
}

// Transition is a change of a breaker.
type Transition struct {
	Time     time.Time `json:"time"`
	Upstream string    `json:"upstream"`
	Endpoint string    `json:"endpoint"` // as Endpoint.Address
	From     string    `json:"from"`
	To       string    `json:"to"`
	Cause    string    `json:"cause"`
}

// BreakerName returns the name of a breaker: its upstream, and its endpoint unless it is that of all.
func BreakerName(upstream, endpoint string) string {
	if endpoint == "" {
		return upstream
	}
	return upstream + " at " + endpoint
}

// ReadResilience returns the state of a pod's resilience chains; the zero value if it has none.
func ReadResilience(ctx context.Context, client *http.Client, pod local.Pod) (r Resilience, err error) {
	_, err = scrape.JSON(ctx, client, "http://"+Admin(pod)+"/resilience", &r)
	return r, err
}
