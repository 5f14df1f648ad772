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
)

// balancer sends each attempt to an endpoint. With scope endpoint there is one, with a breaker of its
// own, for each address that the name resolves to: Envoy's outlier detection as a library. With
// scope upstream there is one for all, and the dialer chooses the address.
type balancer struct {
	cfg    BreakerConfig
	lookup lookupFunc
	// mayRefuse reports whether a refusal serves the caller of r: something stands in for an answer.
	// Where nothing does, a call that may succeed is better than a refusal (Envoy's panic mode).
	mayRefuse func(r *http.Request) bool
	changed   func(transition) // is called with mu held
	next      http.RoundTripper

	mu        sync.Mutex
	turn      int         // of the round robin
	endpoints []*endpoint // in the order of the lookup
	open      int         // endpoints that are counted
}

// lookupFunc returns host:port of each endpoint of the upstream.
type lookupFunc func(ctx context.Context) ([]string, error)

// endpoint is one address of an upstream. The lock of its balancer guards it.
type endpoint struct {
	addr    string // empty: the dialer chooses
	breaker *breaker
	rests   time.Time // until when it is picked last
	short   int       // consecutive attempts that were shortened and had no answer
	present bool      // the name still resolves to it
	counted bool      // among the open ones
}

func newBalancer(cfg BreakerConfig, lookup lookupFunc, mayRefuse func(*http.Request) bool, changed func(transition), next http.RoundTripper) *balancer {
	b := &balancer{cfg: cfg, lookup: lookup, mayRefuse: mayRefuse, changed: changed, next: next}
	if cfg.Scope == scopeUpstream {
		b.lookup = func(context.Context) ([]string, error) { return oneEndpoint, nil }
		b.resolve(oneEndpoint)
	}
	return b
}

var oneEndpoint = []string{""}

func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	p, err := b.Pick(r)
	if err != nil {
		return nil, err
	}
	o := outcome{err: errPanic}
	defer func() { p.Done(r.Context(), o) }()
	o.resp, o.err = b.next.RoundTrip(p.direct(r))
	return o.resp, o.err
}

// errPanic is the outcome of an attempt in which a stage panicked.
var errPanic = errors.New("panic")

// picked is the endpoint of an attempt, and what takes the evidence of it.
type picked struct {
	*balancer
	*endpoint
	report func(evidence error) // nil: the attempt is made in spite of the breaker, which takes none
}

// direct returns r as it is sent to the endpoint: to its address, under the name of the upstream.
func (p picked) direct(r *http.Request) *http.Request {
	if p.addr == "" {
		return r
	}
	d := &struct {
		http.Request
		url url.URL
	}{*r, *r.URL}
	if d.Host == "" {
		d.Host = d.url.Host
	}
	d.url.Host = p.addr
	d.URL = &d.url
	return &d.Request
}

// Pick chooses the endpoint of the next attempt: one that this call has not tried before one that it
// has, those that rest last, those whose breaker is open not at all. Done takes the outcome.
func (b *balancer) Pick(r *http.Request) (picked, error) {
	addrs, err := b.lookup(r.Context())
	if err != nil {
		return picked{}, fmt.Errorf("look up %s: %w", r.URL.Host, err)
	}
	if len(addrs) == 0 {
		return picked{}, errNoEndpoint
	}
	h := historyOf(r.Context())
	b.mu.Lock()
	b.resolve(addrs)
	p, ok := b.pick(h, false)
	b.mu.Unlock()
	if !ok && b.mayRefuse(r) {
		return picked{}, errOpen
	}
	if !ok {
		b.mu.Lock()
		p, _ = b.pick(h, true)
		b.mu.Unlock()
	}
	return p, nil
}

// pick returns the best endpoint whose breaker allows an attempt, or, anyway, the best one.
func (b *balancer) pick(h *history, anyway bool) (p picked, ok bool) {
	first, now := b.turn, time.Now()
	b.turn++
	for rank := range ranks {
		for i := range b.endpoints {
			e := b.endpoints[(first+i)%len(b.endpoints)]
			if e.rank(h, now) != rank {
				continue
			}
			if report := e.breaker.allow(); report != nil || anyway {
				h.add(e.addr)
				return picked{b, e, report}, true
			}
		}
	}
	return picked{}, false
}

// ranks is how many values rank has.
const ranks = 4

// rank orders the endpoints for a call: not tried yet, tried, then the same two of those that rest.
func (e *endpoint) rank(h *history, now time.Time) (rank int) {
	if now.Before(e.rests) {
		rank = 2
	}
	if h.has(e.addr) {
		rank++
	}
	return rank
}

// Done takes the outcome of an attempt of a call with the context ctx. An endpoint that asks for it by
// Retry-After rests; so does one that leaves one shortened attempt after another without an answer,
// which is no evidence against it but a reason to prefer the others. Neither rests longer than a
// breaker is open the first time.
func (p picked) Done(ctx context.Context, o outcome) {
	evidence := o.evidence(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := time.Duration(0)
	if _, short := errors.AsType[shortened](o.err); short {
		if p.short++; p.short%p.cfg.Failures == 0 {
			rest = p.cfg.OpenTime
		}
	} else if o.err == nil {
		p.short = 0
		if !o.succeeded() {
			rest = min(retryAfter(o.resp), p.cfg.OpenTime)
		}
	}
	if rest > 0 {
		p.rests = time.Now().Add(rest)
	}
	if p.report != nil {
		p.breaker.take(p.report, evidence)
	}
}

// resolve makes b.endpoints those at addrs. One that is still there keeps its breaker.
func (b *balancer) resolve(addrs []string) {
	if slices.EqualFunc(b.endpoints, addrs, func(e *endpoint, addr string) bool { return e.addr == addr }) {
		return
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
		gone.present = false
		b.count(gone, false)
	}
}

func (b *balancer) newEndpoint(addr string) *endpoint {
	e := &endpoint{addr: addr, present: true}
	e.breaker = newBreaker(b.cfg, func() bool { return b.mayOpen(e) }, func(from, to gobreaker.State, cause string) {
		b.count(e, to != gobreaker.StateClosed)
		b.changed(transition{Time: time.Now(), Endpoint: addr, From: from.String(), To: to.String(), Cause: cause})
	})
	return e
}

// mayOpen reports whether e's breaker may open without too large a share of the endpoints being open.
func (b *balancer) mayOpen(e *endpoint) bool {
	return !e.present || (b.open+1)*100 <= b.cfg.MaxOpenPercent*len(b.endpoints)
}

// count keeps b.open the number of present endpoints that are open or half-open.
func (b *balancer) count(e *endpoint, open bool) {
	open = open && e.present
	switch {
	case open && !e.counted:
		b.open++
	case !open && e.counted:
		b.open--
	}
	e.counted = open
}

// Ready reports whether there is an endpoint that may be called, or none is known yet.
func (b *balancer) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.endpoints) == 0 || slices.ContainsFunc(b.endpoints, (*endpoint).ready)
}

func (e *endpoint) ready() bool { return e.breaker.state() != gobreaker.StateOpen }

// Rest returns how long it is until the first endpoint that may be called, of all where none may, does
// not rest any more.
func (b *balancer) Rest() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	var least time.Duration
	found, none := false, !slices.ContainsFunc(b.endpoints, (*endpoint).ready)
	for _, e := range b.endpoints {
		if left := max(0, time.Until(e.rests)); (none || e.ready()) && (!found || left < least) {
			least, found = left, true
		}
	}
	return least
}

// Open returns how many endpoints are open or half-open.
func (b *balancer) Open() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(b.open)
}

// history is the context of one call that may make several attempts, and the endpoints that they were
// sent to. A nil history is of a call that makes one attempt only.
type history struct {
	context.Context
	addrs []string
	room  [4]string
}

// withHistory returns ctx as that of one call whose attempts go to different endpoints.
func withHistory(ctx context.Context) context.Context {
	h := &history{Context: ctx}
	h.addrs = h.room[:0]
	return h
}

type historyKey struct{}

func (h *history) Value(key any) any {
	if key == (historyKey{}) {
		return h
	}
	return h.Context.Value(key)
}

func historyOf(ctx context.Context) *history {
	h, _ := ctx.Value(historyKey{}).(*history)
	return h
}

func (h *history) add(addr string) {
	if h != nil {
		h.addrs = append(h.addrs, addr)
	}
}

func (h *history) has(addr string) bool { return h != nil && slices.Contains(h.addrs, addr) }
