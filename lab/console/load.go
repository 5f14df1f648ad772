package console

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fleetman.example/lab/load"
	"fleetman.example/lab/stats"
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
var streams = []struct{ name, path string }{
	{"positions", "/vehicles/"},
	{"driver", "/vehicles/driver/{vehicle}"},
	{"history", "/history/{vehicle}"},
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
	name  []string // vehicles
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

// entry returns the URL of the entry, before the gateway's paths.
func (g *generator) entry(ctx context.Context) (base string, err error) {
	entry, err := g.source.Entry(ctx)
	if err != nil {
		return "", err
	}
	g.dial.Store(&entry)
	return "http://" + entry.Address + entry.Prefix, nil
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
		if share := mix[s.name]; share < 0 || share > maxShare {
			return fmt.Errorf("mix: %s: %d: must be between 0 and %d", s.name, share, maxShare)
		}
		all += mix[s.name]
	}
	for name := range mix {
		if !slices.ContainsFunc(streams, func(s struct{ name, path string }) bool { return s.name == name }) {
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
	base, err := g.entry(ctx)
	g.mu.Lock()
	g.state.Target, g.state.Problem = base, ""
	if err != nil {
		g.state.Problem = err.Error()
	}
	mix, known := g.state.Mix, len(g.name) > 0
	g.mu.Unlock()
	if err != nil {
		return
	}
	if !known {
		g.learn(ctx, base)
	}
	cycle := turns(mix)
	load.Run(ctx, load.Plan{Schedule: load.Pace(rate), Duration: time.Second, MaxInFlight: maxInFlight}, func(_ context.Context, n int) struct{} {
		// Requests that were sent before the load's end are counted, too.
		g.send(g.all, base+g.path(cycle, first+n))
		return struct{}{}
	})
}

// turns is a cycle in which each stream has its share, as evenly as possible.
func turns(mix map[string]int) (cycle []string) {
	all := 0
	for _, s := range streams {
		all += mix[s.name]
	}
	sent := map[string]int{}
	for n := 1; n <= all; n++ {
		next := streams[0]
		for _, s := range streams {
			if mix[s.name]*n-sent[s.name]*all > mix[next.name]*n-sent[next.name]*all {
				next = s
			}
		}
		cycle = append(cycle, next.path)
		sent[next.name]++
	}
	return cycle
}

// path returns the path of request n.
func (g *generator) path(cycle []string, n int) string {
	path := cycle[n%len(cycle)]
	g.mu.Lock()
	defer g.mu.Unlock()
	vehicle := "City Truck"
	if len(g.name) > 0 {
		vehicle = g.name[n/len(cycle)%len(g.name)]
	}
	return replaceVehicle(path, vehicle)
}

func replaceVehicle(path, vehicle string) string {
	const place = "{vehicle}"
	if len(path) < len(place) || path[len(path)-len(place):] != place {
		return path
	}
	return path[:len(path)-len(place)] + url.PathEscape(vehicle)
}

// learn reads the vehicles' names.
func (g *generator) learn(ctx context.Context, base string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/vehicles/", nil)
	if err != nil {
		return
	}
	response, err := g.client.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	var all []struct {
		Name string `json:"name"`
	}
	if json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&all) != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range all {
		g.name = append(g.name, v.Name)
	}
}

// send sends one request and counts its outcome.
func (g *generator) send(ctx context.Context, address string) {
	began := time.Now()
	failed, degraded := g.ask(ctx, address)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.Sent++
	switch {
	case failed:
		g.state.Failed++
	case degraded:
		g.state.Degraded++
	default:
		g.state.Good++
	}
	g.took = append(g.took, time.Since(began).Seconds())
}

func (g *generator) ask(ctx context.Context, address string) (failed, degraded bool) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return true, false
	}
	response, err := g.client.Do(request)
	if err != nil {
		return true, false
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		return true, false
	}
	return false, response.Header.Get("X-Fallback") != ""
}

// trace sends one request of a stream with a trace of its own, and returns the trace's ID when it has ended.
func (g *generator) trace(ctx context.Context, stream string) (id string, err error) {
	i := slices.IndexFunc(streams, func(s struct{ name, path string }) bool { return s.name == stream })
	if i < 0 {
		return "", fmt.Errorf("stream: %.40q: must be positions, driver or history", stream)
	}
	base, err := g.entry(ctx)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+g.path([]string{streams[i].path}, 0), nil)
	if err != nil {
		return "", err
	}
	var caller [8]byte
	_, _ = rand.Read(caller[:]) // never fails
	id = trace.NewID()
	request.Header.Set("Traceparent", fmt.Sprintf("00-%s-%x-01", id, caller))
	response, err := g.client.Do(request)
	if err != nil {
		return id, nil // the trace shows why
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return id, response.Body.Close()
}

// take adds the load to a state: while it is on, the point has its outcomes, as its users see them.
func (g *generator) take(s *State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, last := g.state, g.seen
	if len(g.took) > 0 {
		slices.Sort(g.took)
		now.P50, now.P99 = g.took[stats.Rank(len(g.took), 0.5)-1], g.took[stats.Rank(len(g.took), 0.99)-1]
	}
	if now.Sent > last.Sent || now.Rate > 0 {
		s.Point.Of = "load"
		s.Point.Good, s.Point.Degraded, s.Point.Failed = float64(now.Good-last.Good), float64(now.Degraded-last.Degraded), float64(now.Failed-last.Failed)
	}
	g.seen, g.took = now, nil
	s.Load = now
}
