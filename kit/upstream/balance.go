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

// balancer sends each attempt to an endpoint. With the scope "endpoint" every address that the name
// resolves to is an endpoint with its own breaker: Envoy's outlier detection as a library. With the
// scope "upstream" there is one endpoint, and the dialer chooses the address.
type balancer struct {
	cfg    BreakerConfig
	lookup lookupFunc
	// mayRefuse reports whether the caller of r can do without an answer, so that r is refused while all
	// breakers are open. Otherwise the call is made: it may succeed (Envoy's panic mode).
	mayRefuse func(r *http.Request) bool
	changed   func(transition)      // called with mu held
	refused   func(context.Context) // called for each refusal
	next      http.RoundTripper

	mu        sync.Mutex
	turn      int         // of the round robin
	endpoints []*endpoint // in the order of lookup
	open      int         // number of endpoints with counted set
}

// lookupFunc returns host:port of each endpoint of the upstream.
type lookupFunc func(ctx context.Context) ([]string, error)

// endpoint is one address of an upstream, guarded by the mutex of its balancer.
type endpoint struct {
	addr    string // empty: the dialer chooses
	breaker *breaker
	rests   time.Time // until then, other endpoints are preferred
	short   int       // consecutive shortened attempts without an answer
	present bool      // the name still resolves to it
	counted bool      // in balancer.open
}

func newBalancer(cfg BreakerConfig, lookup lookupFunc, mayRefuse func(*http.Request) bool, changed func(transition), next http.RoundTripper) *balancer {
	b := &balancer{cfg: cfg, lookup: lookup, mayRefuse: mayRefuse, changed: changed, refused: func(context.Context) {}, next: next}
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

// picked is the endpoint picked for an attempt.
type picked struct {
	*balancer
	*endpoint
	report func(evidence error) // reports to the breaker; nil: the attempt is made although it is open
}

// direct returns r directed to the endpoint's address, with the upstream's name in the Host header.
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

// Pick picks the endpoint of the call's next attempt, by rank. It skips endpoints with an open breaker. If
// all are open, it returns errOpen where mayRefuse allows it, and otherwise the best of them. The caller
// must call Done with the outcome.
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
		b.refused(r.Context())
		return picked{}, errOpen
	}
	if !ok {
		b.mu.Lock()
		p, _ = b.pick(h, true)
		b.mu.Unlock()
	}
	return p, nil
}

// pick returns the endpoint with the lowest rank whose breaker allows an attempt, or, if anyway is true,
// the one with the lowest rank.
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

// ranks is the number of values of rank.
const ranks = 4

// rank orders the endpoints for a call: 0 not tried yet, 1 tried, 2 resting and not tried yet, 3 resting
// and tried.
func (e *endpoint) rank(h *history, now time.Time) (rank int) {
	if now.Before(e.rests) {
		rank = 2
	}
	if h.has(e.addr) {
		rank++
	}
	return rank
}

// Done reports the outcome of the attempt to the breaker. ctx is the context of the call. An endpoint that
// sends Retry-After rests for that time, at most OpenTime. After each Failures consecutive shortened attempts
// without an answer it rests for OpenTime: they are no evidence against the endpoint, but a reason to
// prefer others.
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

// resolve sets b.endpoints to those at addrs. Known addresses keep their endpoint and its breaker.
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

// mayOpen reports whether e's breaker may open by MaxOpenPercent.
func (b *balancer) mayOpen(e *endpoint) bool {
	return !e.present || (b.open+1)*100 <= b.cfg.MaxOpenPercent*len(b.endpoints)
}

// count updates b.open, the number of present endpoints that are open or half-open.
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

// Ready reports whether an endpoint's breaker is not open, or no endpoint is known yet.
func (b *balancer) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.endpoints) == 0 || slices.ContainsFunc(b.endpoints, (*endpoint).ready)
}

func (e *endpoint) ready() bool { return e.breaker.state() != gobreaker.StateOpen }

// Rest returns the time until the first endpoint stops resting. It considers the endpoints whose breaker
// is not open, or all if every breaker is open.
func (b *balancer) Rest() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	var least time.Duration
	found, noneReady := false, !slices.ContainsFunc(b.endpoints, (*endpoint).ready)
	for _, e := range b.endpoints {
		if left := max(0, time.Until(e.rests)); (noneReady || e.ready()) && (!found || left < least) {
			least, found = left, true
		}
	}
	return least
}

// Open returns the number of endpoints that are open or half-open.
func (b *balancer) Open() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(b.open)
}

// history is the context of one call. It stores the endpoints of the call's attempts. A call with one
// attempt has a nil history.
type history struct {
	context.Context
	addrs []string
	room  [4]string
}

// withHistory returns ctx with an empty history.
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
