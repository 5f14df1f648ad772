package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
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
	next     http.RoundTripper
	lookup   lookupFunc
	changed  func(transition)

	mu        sync.Mutex
	endpoints []*endpoint // in the order of the lookup
	turn      int         // of the round robin
	open      int         // endpoints that are open or half-open, and in the list
}

// endpoint is one address of an upstream with its breaker.
type endpoint struct {
	addr    string // empty: whatever the dialer finds
	breaker *gobreaker.TwoStepCircuitBreaker[any]
	counted bool // among breakers.open, whose lock guards it

	mu       sync.Mutex
	opened   int       // times in a row, without having closed
	reopens  time.Time // when an open one may be probed
	lastFail string    // why an attempt failed last
}

func newBreakers(upstream string, cfg BreakerConfig, next http.RoundTripper, lookup lookupFunc, changed func(transition)) *breakers {
	b := &breakers{upstream: upstream, cfg: cfg, next: next, lookup: lookup, changed: changed}
	if cfg.Scope == scopeUpstream {
		b.endpoints = []*endpoint{b.newEndpoint("")}
	}
	return b
}

func (b *breakers) newEndpoint(addr string) *endpoint {
	e := &endpoint{addr: addr}
	e.breaker = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
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
		e.reopens = clock().Add(b.cfg.OpenTime * time.Duration(min(e.opened, b.cfg.Growth)))
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

func (b *breakers) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := b.refresh(r); err != nil {
		return nil, fmt.Errorf("look up %s: %w", r.URL.Host, err)
	}
	e, done := b.choose(callOf(r.Context()))
	if e == nil {
		return nil, errOpen
	}
	resp, err := b.next.RoundTrip(e.request(r))
	done(e.outcome(r, resp, err))
	return resp, err
}

// ready tells whether there is an endpoint that may be called.
func (b *breakers) ready() bool {
	b.mu.Lock()
	endpoints := b.endpoints
	b.mu.Unlock()
	return slices.ContainsFunc(endpoints, func(e *endpoint) bool {
		return !e.early() && e.breaker.State() != gobreaker.StateOpen
	})
}

// choose takes the next endpoint whose breaker lets a call through, one that the call has not
// tried yet if there is one.
func (b *breakers) choose(call *call) (*endpoint, func(error)) {
	b.mu.Lock()
	endpoints, turn := b.endpoints, b.turn
	b.turn++
	b.mu.Unlock()
	for _, again := range []bool{false, true} {
		for i := range endpoints {
			e := endpoints[(turn+i)%len(endpoints)]
			if slices.Contains(call.tried, e.addr) != again {
				continue
			}
			if done := e.allow(); done != nil {
				call.tried = append(call.tried, e.addr)
				return e, done
			}
		}
	}
	return nil, nil
}

// early tells whether an open endpoint's time is not over. gobreaker's own is the shortest; a
// longer one is waited for here.
func (e *endpoint) early() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.reopens.IsZero() && clock().Before(e.reopens)
}

// allow asks the breaker; nil means no.
func (e *endpoint) allow() func(error) {
	if e.early() {
		return nil
	}
	done, err := e.breaker.Allow()
	if err != nil {
		return nil
	}
	return done
}

// request is r, sent to this endpoint under the upstream's name.
func (e *endpoint) request(r *http.Request) *http.Request {
	if e.addr == "" {
		return r
	}
	both := &struct { // at once
		http.Request
		url.URL
	}{*r, *r.URL}
	if both.Request.Host == "" {
		both.Request.Host = both.URL.Host
	}
	both.URL.Host = e.addr
	both.Request.URL = &both.URL
	return &both.Request
}

// outcome is what a call tells the breaker: nil is a good answer.
func (e *endpoint) outcome(r *http.Request, resp *http.Response, err error) error {
	if err == nil && resp.StatusCode < http.StatusInternalServerError {
		return nil
	}
	if err == nil {
		e.failed("status " + resp.Status)
		return errors.New(resp.Status)
	}
	_, refused := errors.AsType[refusal](err)
	_, short := errors.AsType[hurried](err)
	if refused || short || errors.Is(r.Context().Err(), context.Canceled) {
		return errSaysNothing
	}
	e.failed(observe.Reason(err))
	return err
}

func (e *endpoint) failed(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lastFail = why
}

// refresh brings the endpoints in step with what the name resolves to. One that is still there
// keeps its breaker.
func (b *breakers) refresh(r *http.Request) error {
	if b.cfg.Scope == scopeUpstream {
		return nil
	}
	addrs, err := b.lookup(r)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.EqualFunc(b.endpoints, addrs, func(e *endpoint, addr string) bool { return e.addr == addr }) {
		return nil
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
	return nil
}
