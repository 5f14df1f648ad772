package upstream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// chains is the state of the chains of a service: endpoints and their breakers, retry budgets, bulkheads,
// and the last transitions of breakers. It is safe for concurrent use.
type chains struct {
	mu          sync.Mutex
	views       []*view
	transitions []transition // the last ones, oldest first
	listeners   map[chan transition]struct{}
}

// view has the stages of one upstream; a stage that is off is nil.
type view struct {
	name     string
	balancer *balancer
	budget   *budget
	bulkhead *bulkhead
}

// transition is a change of a breaker's state.
type transition struct {
	Time     time.Time `json:"time"`
	Upstream string    `json:"upstream"`
	Endpoint string    `json:"endpoint,omitempty"` // empty with the scope upstream
	From     string    `json:"from"`
	To       string    `json:"to"`
	Cause    string    `json:"cause"`
}

// keptTransitions is the number of transitions that are kept.
const keptTransitions = 100

// newChains returns an empty state.
func newChains() *chains { return &chains{listeners: make(map[chan transition]struct{})} }

// mount adds the handlers of the state and its events to an admin listener.
func (s *chains) mount(admin *http.ServeMux) {
	admin.Handle("GET /resilience", s)
	admin.HandleFunc("GET /resilience/events", s.Events)
}

// add adds an upstream. The caller sets the stages of the view before the first call.
func (s *chains) add(name string) *view {
	v := &view{name: name}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views = append(s.views, v)
	return v
}

// record adds a transition and sends it to the listeners. A listener whose buffer is full misses it.
func (s *chains) record(t transition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transitions = append(s.transitions, t)
	if excess := len(s.transitions) - keptTransitions; excess > 0 {
		s.transitions = slices.Delete(s.transitions, 0, excess)
	}
	for l := range s.listeners {
		select {
		case l <- t:
		default:
		}
	}
}

type upstreamJSON struct {
	Upstream  string         `json:"upstream"`
	Endpoints []endpointJSON `json:"endpoints,omitempty"`
	Budget    *budgetJSON    `json:"retryBudget,omitempty"`
	Bulkhead  *bulkheadJSON  `json:"bulkhead,omitempty"`
}

type endpointJSON struct {
	Address             string     `json:"address,omitempty"`
	State               string     `json:"state"`
	ConsecutiveFailures uint32     `json:"consecutiveFailures"`
	Opened              int        `json:"openedInARow"`
	OpenUntil           *time.Time `json:"openUntil,omitempty"`
	LastFailure         string     `json:"lastFailure,omitempty"`
}

type budgetJSON struct {
	Percent int64   `json:"percent"`
	Saved   float64 `json:"saved"` // in retries
}

type bulkheadJSON struct {
	InFlight int64 `json:"inFlight"`
	Limit    int64 `json:"limit"`
}

// ServeHTTP writes the state as JSON: {"upstreams":[…],"transitions":[…]}.
func (s *chains) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	views, transitions := slices.Clone(s.views), slices.Clone(s.transitions)
	s.mu.Unlock()
	answer := struct {
		Upstreams   []upstreamJSON `json:"upstreams"`
		Transitions []transition   `json:"transitions"`
	}{[]upstreamJSON{}, append([]transition{}, transitions...)}
	for _, v := range views {
		answer.Upstreams = append(answer.Upstreams, v.json())
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (v *view) json() upstreamJSON {
	j := upstreamJSON{Upstream: v.name}
	if v.balancer != nil {
		j.Endpoints = v.balancer.json()
	}
	if v.budget != nil {
		j.Budget = &budgetJSON{v.budget.percent, float64(v.budget.saved.Load()) / 100}
	}
	if v.bulkhead != nil {
		j.Bulkhead = &bulkheadJSON{v.bulkhead.inFlight.Load(), v.bulkhead.limit}
	}
	return j
}

func (b *balancer) json() []endpointJSON {
	b.mu.Lock()
	defer b.mu.Unlock()
	shown := make([]endpointJSON, 0, len(b.endpoints))
	for _, e := range b.endpoints {
		j := endpointJSON{Address: e.addr, State: e.breaker.state().String(), Opened: e.breaker.opened, LastFailure: e.breaker.failure}
		if e.breaker.isWaiting() {
			until := e.breaker.reopens
			j.OpenUntil = &until
		} else {
			j.ConsecutiveFailures = e.breaker.two.Counts().ConsecutiveFailures
		}
		shown = append(shown, j)
	}
	return shown
}

// Events streams each transition as a server-sent event, until the caller closes the connection.
func (s *chains) Events(w http.ResponseWriter, r *http.Request) {
	changes := make(chan transition, keptTransitions)
	s.mu.Lock()
	s.listeners[changes] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, changes)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	for flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case t := <-changes:
			data, _ := json.Marshal(t) // never fails: a time and strings
			fmt.Fprintf(w, "event: transition\ndata: %s\n\n", data)
		}
	}
}
