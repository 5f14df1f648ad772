package console

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/load"
	"fleetman.example/lab/loader"
	"fleetman.example/lab/scrape"
	"fleetman.example/lab/stats/quantile"
	"fleetman.example/lab/trace"
)

// Limits of the load.
const (
	maxRate     = 200 // requests per second
	maxShare    = 100
	loadTimeout = 10 * time.Second
	maxInFlight = 500 // of the requests of one second
)

// The streams of the load: what the map requests.
var streams = []experiment.Stream{
	{Name: "positions", Path: "/vehicles/"},
	{Name: "driver", Path: "/vehicles/driver/" + experiment.Vehicle},
	{Name: "history", Path: "/history/" + experiment.Vehicle},
}

func isStream(name string) bool {
	return slices.ContainsFunc(streams, func(s experiment.Stream) bool { return s.Name == name })
}

// LoadState is the load, and what became of its requests.
type LoadState struct {
	Rate float64 `json:"rate"` // requests per second; 0 is off
	// Mix has the share of each stream, relative to the others.
	Mix map[string]int `json:"mix"`
	// Target is where the requests go; Problem is why there is none.
	Target  string `json:"target,omitempty"`
	Problem string `json:"problem,omitempty"`
	// Since the console's start.
	Sent     int `json:"sent"`
	Good     int `json:"good"`
	Degraded int `json:"degraded"`
	Failed   int `json:"failed"`
	// Of the requests that ended since the last state, in seconds.
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// generator sends the console's own load.
type generator struct {
	source Source
	client http.Client
	dial   atomic.Pointer[Entry] // of the last one
	all    context.Context       // of the requests
	cut    context.CancelFunc

	mu    sync.Mutex
	state LoadState
	stop  context.CancelFunc // nil when it is off
	seen  LoadState          // at the last state
	took  []float64          // since the last state
	n     int
	names []string // vehicles
	going sync.WaitGroup
}

func newGenerator(source Source) *generator {
	g := &generator{source: source, client: http.Client{
		Timeout:       loadTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	g.client.Transport = &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true, DialContext: g.connect}
	g.all, g.cut = context.WithCancel(context.Background())
	g.state.Mix = map[string]int{"positions": 1, "driver": 8, "history": 1}
	return g
}

// entry returns the entry, to which connect connects from then on.
func (g *generator) entry(ctx context.Context) (Entry, error) {
	entry, err := g.source.Entry(ctx)
	if err == nil {
		g.dial.Store(&entry)
	}
	return entry, err
}

// connect connects to the last entry.
func (g *generator) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if entry := g.dial.Load(); entry != nil && entry.Dial != nil {
		return entry.Dial(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// set changes the load. The rate 0 ends it.
func (g *generator) set(rate float64, mix map[string]int) error {
	if !(rate >= 0 && rate <= maxRate) {
		return fmt.Errorf("rate: %g: must be between 0 and %d requests per second", rate, maxRate)
	}
	all := 0
	for _, s := range streams {
		if share := mix[s.Name]; share < 0 || share > maxShare {
			return fmt.Errorf("mix: %s: %d: must be between 0 and %d", s.Name, share, maxShare)
		}
		all += mix[s.Name]
	}
	for name := range mix {
		if !isStream(name) {
			return fmt.Errorf("mix: %.40q: must be positions, driver or history", name)
		}
	}
	if rate > 0 && all == 0 {
		return fmt.Errorf("mix: all 0: must have a stream with a share above 0")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.Rate, g.state.Mix = rate, mix
	switch {
	case rate == 0 && g.stop != nil:
		g.stop()
		g.stop = nil
	case rate > 0 && g.stop == nil:
		ctx, cancel := context.WithCancel(g.all)
		g.stop = cancel
		g.going.Go(func() { g.run(ctx) })
	}
	return nil
}

// end ends the load. Its requests in flight go on.
func (g *generator) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stop != nil {
		g.stop()
		g.stop, g.state.Rate = nil, 0
	}
}

// close ends the load and its requests, and returns when they have ended.
func (g *generator) close() {
	g.end()
	g.cut()
	g.going.Wait()
	g.client.CloseIdleConnections()
}

// run sends the requests of one second after those of another, whatever became of them.
func (g *generator) run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		g.mu.Lock()
		rate, first := g.state.Rate, g.n
		g.n += load.Count(load.Pace(max(rate, 1e-3)), time.Second)
		g.mu.Unlock()
		if rate > 0 {
			g.going.Go(func() { g.second(ctx, rate, first) })
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (g *generator) second(ctx context.Context, rate float64, first int) {
	entry, err := g.entry(ctx)
	g.mu.Lock()
	g.state.Target, g.state.Problem = entry.url(), ""
	if err != nil {
		g.state.Target, g.state.Problem = "", err.Error()
	}
	mix, known := g.state.Mix, len(g.names) > 0
	g.mu.Unlock()
	if err != nil {
		return
	}
	if !known {
		g.learn(ctx, entry.url())
	}
	sender := g.sender(entry, mix, nil)
	load.Run(ctx, load.Plan{Schedule: load.Pace(rate), Duration: time.Second, MaxInFlight: maxInFlight}, func(_ context.Context, n int) struct{} {
		// Requests that were sent before the load's end are counted, too.
		began := time.Now()
		outcome := sender.Send(g.all, first+n)
		g.count(outcome, time.Since(began))
		return struct{}{}
	})
}

// sender returns what sends the streams of a mix to an entry.
func (g *generator) sender(entry Entry, mix map[string]int, headers map[string]string) *loader.Sender {
	g.mu.Lock()
	defer g.mu.Unlock()
	plan := loader.Plan{Host: entry.Address, Names: g.names}
	if len(g.names) == 0 {
		plan.Names = []string{"City Truck"}
	}
	for _, s := range streams {
		s.Method, s.Path, s.Share, s.Headers = http.MethodGet, entry.Prefix+s.Path, mix[s.Name], headers
		plan.Streams = append(plan.Streams, s)
	}
	return loader.NewSender(&g.client, plan)
}

// learn reads the vehicles' names.
func (g *generator) learn(ctx context.Context, base string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var all []struct {
		Name string `json:"name"`
	}
	if _, err := scrape.JSON(ctx, &g.client, base+"/vehicles/", &all); err != nil {
		return // the next second may succeed
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range all {
		g.names = append(g.names, v.Name)
	}
}

// count counts the outcome of a request.
func (g *generator) count(o loader.Outcome, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.Sent++
	switch {
	case o.Failure != "":
		g.state.Failed++
	case o.Degraded != "":
		g.state.Degraded++
	default:
		g.state.Good++
	}
	g.took = append(g.took, took.Seconds())
}

// trace sends one request of a stream with a trace of its own, and returns the trace's ID when it has ended,
// however that was: the trace shows it.
func (g *generator) trace(ctx context.Context, stream string) (id string, err error) {
	if !isStream(stream) {
		return "", fmt.Errorf("stream: %.40q: must be positions, driver or history", stream)
	}
	entry, err := g.entry(ctx)
	if err != nil {
		return "", err
	}
	id = trace.NewID()
	parent := fmt.Sprintf("00-%s-%016x-01", id, 1+rand.Uint64N(math.MaxUint64)) // of a span that is not sent
	g.sender(entry, map[string]int{stream: 1}, map[string]string{"Traceparent": parent}).Send(ctx, 0)
	return id, nil
}

// take adds the load to a state: while it is on, the point has its outcomes, as its users see them.
func (g *generator) take(s *State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, last := g.state, g.seen
	if len(g.took) > 0 {
		slices.Sort(g.took)
		now.P50, now.P99 = g.took[quantile.Rank(len(g.took), 0.5)-1], g.took[quantile.Rank(len(g.took), 0.99)-1]
	}
	if now.Sent > last.Sent || now.Rate > 0 {
		s.Point.Of = "load"
		s.Point.Good, s.Point.Degraded, s.Point.Failed = float64(now.Good-last.Good), float64(now.Degraded-last.Degraded), float64(now.Failed-last.Failed)
	}
	g.seen, g.took = now, nil
	s.Load = now
}
