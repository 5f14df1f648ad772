package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"fleetman.example/kit/observe"
)

// breakers are the balancer and the breakers of one upstream. With scope upstream there is one,
// and the dialer chooses the address. With scope endpoint there is one for each address that the
// name resolves to, and each attempt goes to one that is not open and that this call has not
// tried yet: the like of Envoy's outlier detection in the library.
type breakers struct {
	upstream string
	cfg      BreakerConfig
	next     attempter
	lookup   lookupFunc
	changed  func(transition)
	turn     atomic.Uint32 // of the round robin

	mu        sync.Mutex
	endpoints []*endpoint // in the order of the lookup; replaced, never written to
	open      int         // endpoints that are open or half-open, and in the list
}

// lookupFunc answers host:port of each endpoint of the upstream.
type lookupFunc func(c *call) ([]string, error)

// endpoint is one address of an upstream with its breaker.
type endpoint struct {
	addr    string // empty: whatever the dialer finds
	breaker *gobreaker.CircuitBreaker[outcome]
	reopens moment // when an open one may be probed
	rests   moment // until when it has asked to be left alone, by Retry-After
	counted bool   // among breakers.open, whose lock guards it

	mu       sync.Mutex
	opened   int    // times in a row, without having closed
	lastFail string // why an attempt failed last
}

// moment is a time, or none.
type moment struct{ at atomic.Pointer[time.Time] }

func (m *moment) set(t time.Time) { m.at.Store(&t) }

// left is how long it is until the moment; 0 when it is over.
func (m *moment) left() time.Duration {
	at := m.at.Load()
	if at == nil {
		return 0
	}
	return max(0, at.Sub(clock()))
}

func newBreakers(upstream string, cfg BreakerConfig, next attempter, lookup lookupFunc, changed func(transition)) *breakers {
	b := &breakers{upstream: upstream, cfg: cfg, next: next, lookup: lookup, changed: changed}
	if cfg.Scope == scopeUpstream {
		b.endpoints = []*endpoint{b.newEndpoint("")}
	}
	return b
}

func (b *breakers) newEndpoint(addr string) *endpoint {
	e := &endpoint{addr: addr}
	e.breaker = gobreaker.NewCircuitBreaker[outcome](gobreaker.Settings{
		MaxRequests: uint32(b.cfg.Probes),
		Timeout:     b.cfg.OpenTime, // grown by endpoint.reopens
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= uint32(b.cfg.Failures) && b.mayOpen(e)
		},
		OnStateChange: func(_ string, from, to gobreaker.State) { b.onChange(e, from, to) },
		IsSuccessful:  func(err error) bool { return err == nil },
		IsExcluded:    func(err error) bool { return errors.Is(err, errSaysNothing) },
	})
	return e
}

// errSaysNothing is the outcome of a call that tells nothing about the upstream: the caller left,
// or had hardly any time, or this side refused it.
var errSaysNothing = errors.New("says nothing about the upstream")

// mayOpen counts e among the open endpoints, if one more may be open. It is called with e's
// breaker locked, and locks nothing but b.
func (b *breakers) mayOpen(e *endpoint) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.endpoints, e) {
		return true // it has left; what it does concerns no one
	}
	if (b.open+1)*100 > b.cfg.MaxOpenPercent*len(b.endpoints) {
		return false
	}
	b.open++
	e.counted = true
	return true
}

// notOpen takes e from the open endpoints. The caller holds b's lock.
func (b *breakers) notOpen(e *endpoint) {
	if e.counted {
		b.open--
		e.counted = false
	}
}

// onChange keeps the times of an endpoint's breaker, which is locked, and tells the world.
func (b *breakers) onChange(e *endpoint, from, to gobreaker.State) {
	e.mu.Lock()
	switch to {
	case gobreaker.StateOpen:
		e.opened++
		e.reopens.set(clock().Add(b.cfg.OpenTime * time.Duration(min(e.opened, b.cfg.Growth))))
	case gobreaker.StateClosed:
		e.opened = 0
		b.mu.Lock()
		b.notOpen(e)
		b.mu.Unlock()
	}
	t := transition{Time: clock(), Upstream: b.upstream, Endpoint: e.addr, From: from.String(), To: to.String(), Cause: cause(to, e.lastFail)}
	e.mu.Unlock()
	b.changed(t)
}

func cause(to gobreaker.State, lastFail string) string {
	switch to {
	case gobreaker.StateOpen:
		return lastFail
	case gobreaker.StateHalfOpen:
		return "open time over"
	}
	return "good answer"
}

func (b *breakers) attempt(c *call) (*http.Response, error) {
	endpoints, err := b.current(c)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", c.r.URL.Host, err)
	}
	turn := b.turn.Add(1) - 1
	for choice := range choices {
		for i := range uint32(len(endpoints)) {
			e := endpoints[(turn+i)%uint32(len(endpoints))]
			if e.choice(c) != choice || e.reopens.left() > 0 {
				continue
			}
			if made, ok := e.attempt(c, b); ok {
				return made.resp, made.err
			}
		}
	}
	return nil, errOpen
}

// choices are how well an endpoint suits a call: not tried yet, tried, and the same two of those
// that ask to be left alone.
const choices = 4

func (e *endpoint) choice(c *call) (choice int) {
	if e.rests.left() > 0 {
		choice = 2
	}
	if slices.Contains(c.tried, e.addr) {
		choice++
	}
	return choice
}

// attempt makes one at this endpoint; not ok is the breaker's refusal.
func (e *endpoint) attempt(c *call, b *breakers) (made outcome, ok bool) {
	made, _ = e.breaker.Execute(func() (made outcome, _ error) {
		ok, c.addr, c.tried = true, e.addr, append(c.tried, e.addr)
		made.resp, made.err = b.next.attempt(c)
		if !good(made.resp, made.err) {
			e.rest(min(retryAfter(made.resp), b.cfg.OpenTime)) // whatever it asks for, no longer than for failures
		}
		return made, e.tells(c, made)
	})
	return made, ok
}

// rest leaves the endpoint alone for as long as it has asked; 0 is not at all.
func (e *endpoint) rest(asked time.Duration) {
	if asked > 0 {
		e.rests.set(clock().Add(asked))
	}
}

// ready tells whether there is an endpoint that may be called, or none is known yet.
func (b *breakers) ready() bool {
	endpoints := b.all()
	return len(endpoints) == 0 || slices.ContainsFunc(endpoints, (*endpoint).ready)
}

func (e *endpoint) ready() bool {
	return e.reopens.left() == 0 && e.breaker.State() != gobreaker.StateOpen
}

// leastRest is how long all ready endpoints ask to be left alone, where the one at addr asks now.
func (b *breakers) leastRest(addr string, asks time.Duration) time.Duration {
	least := asks
	for _, e := range b.all() {
		if e.addr != addr && e.ready() {
			least = min(least, e.rests.left())
		}
	}
	return least
}

func (b *breakers) all() []*endpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.endpoints
}

// notClosed is how many endpoints are open or half-open.
func (b *breakers) notClosed() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(b.open)
}

// tells is what an attempt says to the breaker: nil is a good answer.
func (e *endpoint) tells(c *call, made outcome) error {
	if made.err == nil && made.resp.StatusCode < http.StatusInternalServerError {
		return nil
	}
	if made.err == nil {
		e.failed("status " + made.resp.Status)
		return errStatus
	}
	_, short := errors.AsType[hurried](made.err)
	if short || isRefusal(made.err) || errors.Is(c.ctx.Err(), context.Canceled) {
		return errSaysNothing
	}
	e.failed(observe.Reason(made.err))
	return made.err
}

// errStatus is an answer of 500 or above.
var errStatus = errors.New("status of a failure")

func (e *endpoint) failed(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lastFail = why
}

// current answers the endpoints, in step with what the name resolves to. One that is still there
// keeps its breaker.
func (b *breakers) current(c *call) ([]*endpoint, error) {
	if b.cfg.Scope == scopeUpstream {
		return b.endpoints, nil
	}
	addrs, err := b.lookup(c)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.EqualFunc(b.endpoints, addrs, func(e *endpoint, addr string) bool { return e.addr == addr }) {
		return b.endpoints, nil
	}
	known := make(map[string]*endpoint, len(b.endpoints))
	for _, e := range b.endpoints {
		known[e.addr] = e
	}
	b.endpoints = make([]*endpoint, 0, len(addrs))
	for _, addr := range addrs {
		e := known[addr]
		if e == nil {
			e = b.newEndpoint(addr)
		}
		delete(known, addr)
		b.endpoints = append(b.endpoints, e)
	}
	for _, gone := range known {
		b.notOpen(gone)
	}
	return b.endpoints, nil
}
