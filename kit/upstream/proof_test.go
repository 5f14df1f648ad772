package upstream

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fleetman.example/kit/apierror"
)

// inTime is the limit for an answer to count as good: that of the comparison.
const inTime = time.Second

// TestLibraryIsNeverWorseThanNone sends the same calls through the same faults, from one seed, without
// resilience and with RESILIENCE=library. With the library no route of any topology may have fewer good and
// degraded answers within a second.
func TestLibraryIsNeverWorseThanNone(t *testing.T) {
	var table strings.Builder
	fmt.Fprintf(&table, "%-30s %-12s %6s %8s   served in time of each route\n", "topology", "fault", "none", "library")
	for _, topology := range topologies {
		for _, f := range namedFaults {
			for _, bad := range []string{"one", "all"} {
				bubble(t, topology.name+"/"+f.name+"/"+bad, func(t *testing.T) {
					none := trial(t, topology, f, bad == "all", false)
					library := trial(t, topology, f, bad == "all", true)
					for route := range none {
						// The endpoint of a call and the answer of a fault are random: the allowed difference is three
						// standard deviations of a share of a half.
						slack := 0.0
						if none[route] > 0 && none[route] < 1-1e-9 {
							slack = 3 * 0.5 / math.Sqrt(callsOfTrial)
						}
						if library[route] < none[route]-slack-1e-9 {
							t.Errorf("%s: %.0f %% served in time with the library, %.0f %% without", route, 100*library[route], 100*none[route])
						}
						fmt.Fprintf(&table, "%-30s %-12s %5.0f%% %7.0f%%   %s\n", topology.name, f.name+" "+bad, 100*none[route], 100*library[route], route)
					}
				})
			}
		}
	}
	t.Logf("\n%s", &table)
}

// callsOfTrial is the number of calls of each route. They are 50 ms apart: 20 s, twice the open time.
const callsOfTrial = 400

// namedFault is a behaviour of a bad endpoint.
type namedFault struct {
	name   string
	answer func(random *rand.Rand) answerer
}

var namedFaults = []namedFault{
	{"502", fixed(always(502, ""))},
	{"half 502", half(always(502, ""))},
	{"slow", fixed(late(150 * time.Millisecond))},
	{"bad variant", func(random *rand.Rand) answerer {
		wait := late(time.Duration(random.Float64() * float64(5*time.Second)))
		fails := random.IntN(2) == 0
		return func(r *http.Request, n int) (*http.Response, error) {
			resp, err := wait(r, n)
			if err == nil && fails {
				return answer(502, ""), nil
			}
			return resp, err
		}
	}},
	{"hang", fixed(hang)},
	{"reset", fixed(reset)},
	{"truncated", fixed(brokenOff)},
	{"429", fixed(always(429, "", "Retry-After", "1"))},
	{"half 429", half(always(429, ""))},
}

func fixed(a answerer) func(*rand.Rand) answerer { return func(*rand.Rand) answerer { return a } }

// half returns a fault of half of the calls.
func half(bad answerer) func(*rand.Rand) answerer {
	return func(random *rand.Rand) answerer { return []answerer{bad, ok}[random.IntN(2)] }
}

// site builds the parts of a topology: clients, their chains, and the endpoints.
type site struct {
	t       *testing.T
	library bool
	random  *rand.Rand
	mu      sync.Mutex
	fault   namedFault
	all     bool // all endpoints of staff-service are bad, not only the first
}

// client returns a chain to the endpoints at addrs, which answer with wire.
func (s *site) client(placeholder Placeholder, optional bool, wire answerer, addrs ...string) http.RoundTripper {
	mode := "off"
	if s.library {
		mode = "library"
	}
	cfg := library(s.t, "RESILIENCE", mode)
	cfg.Optional = optional
	random := rand.New(rand.NewPCG(s.random.Uint64(), 0)) // the order of calls of two clients is not reproducible
	dialed := func(r *http.Request, n int) (*http.Response, error) {
		if !s.library { // the dialer chooses, as kube-proxy does
			s.mu.Lock()
			r = r.Clone(r.Context())
			r.URL.Host = addrs[random.IntN(len(addrs))]
			s.mu.Unlock()
		}
		return wire(r, n)
	}
	return buildBench(s.t, cfg, dialed, placeholder, addrs...)
}

// staff answers as staff-service: endpoint a is bad, and so is b if all is set.
func (s *site) staff(r *http.Request, n int) (*http.Response, error) {
	if r.URL.Host != "a:80" && !s.all {
		return healthy(r, n)
	}
	s.mu.Lock() // faults use the random source when they begin
	random := rand.New(rand.NewPCG(s.random.Uint64(), 0))
	s.mu.Unlock()
	return s.fault.answer(random)(r, n)
}

// healthy answers as an upstream without faults.
var healthy = late(2 * time.Millisecond)

// relay answers as a service that calls another one on each route, within the time of its caller. If that
// call fails, it answers 500 with the origin, as kit/apierror does.
func relay(routes map[string]http.RoundTripper) answerer {
	return func(r *http.Request, _ int) (*http.Response, error) {
		ctx := r.Context()
		if ms, err := strconv.Atoi(r.Header.Get(timeLeft)); err == nil {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
			defer cancel()
		}
		c := &Client{name: strings.TrimPrefix(r.URL.Path, "/") + "-service", base: *r.URL, chain: routes[r.URL.Path]}
		c.base.Path = ""
		resp, err := c.Do(ctx, r.Method, r.URL.Path, nil)
		if err != nil {
			origin := err.(*Error).Origin()
			if origin == (apierror.Origin{}) { // the caller left
				return nil, ctx.Err()
			}
			return answer(500, "", apierror.OriginHeader, origin.String()), nil
		}
		return answer(resp.Status, string(resp.Body), FallbackHeader, resp.Header.Get(FallbackHeader)), nil
	}
}

// topology builds the chain of the outermost client; its routes are called in turn.
type topology struct {
	name   string
	routes []string
	build  func(s *site) http.RoundTripper
}

var topologies = []topology{
	{"single endpoint", []string{"/driver"}, func(s *site) http.RoundTripper {
		return s.client(nil, false, s.staff, "a:80")
	}},
	{"single endpoint, fallback", []string{"/driver"}, func(s *site) http.RoundTripper {
		return s.client(somebodyElse, false, s.staff, "a:80")
	}},
	{"two endpoints", []string{"/driver"}, func(s *site) http.RoundTripper {
		return s.client(nil, false, s.staff, "a:80", "b:80")
	}},
	{"two endpoints, fallback", []string{"/driver"}, func(s *site) http.RoundTripper {
		return s.client(somebodyElse, false, s.staff, "a:80", "b:80")
	}},
	{"relay without resilience", []string{"/positions", "/driver"}, func(s *site) http.RoundTripper {
		plain := &site{t: s.t, random: rand.New(rand.NewPCG(3, 4)), fault: s.fault, all: s.all}
		return s.client(nil, false, relay(map[string]http.RoundTripper{
			"/positions": plain.client(nil, false, healthy, "t:80"),
			"/driver":    plain.client(nil, false, s.staff, "a:80", "b:80"),
		}), "g:80")
	}},
	{"relay", []string{"/positions", "/driver"}, func(s *site) http.RoundTripper {
		return s.client(nil, false, relay(map[string]http.RoundTripper{
			"/positions": s.client(somebodyElse, false, healthy, "t:80"),
			"/driver":    s.client(somebodyElse, false, s.staff, "a:80", "b:80"),
		}), "g:80")
	}},
	{"webapp, gateway, tracker, staff", []string{"/positions", "/driver"}, func(s *site) http.RoundTripper {
		tracker := relay(map[string]http.RoundTripper{"/positions": s.client(nil, true, healthy, "v:80")})
		return s.client(nil, false, relay(map[string]http.RoundTripper{
			"/positions": s.client(somebodyElse, false, tracker, "t:80"),
			"/driver":    s.client(somebodyElse, false, s.staff, "a:80", "b:80"),
		}), "g:80")
	}},
}

func somebodyElse(*http.Request) []byte { return []byte(`{"name":"somebody"}`) }

// trial returns, for each route, the share of calls with a good answer in time.
func trial(t *testing.T, tp topology, f namedFault, all, library bool) map[string]float64 {
	s := &site{t: t, library: library, random: rand.New(rand.NewPCG(1, 2)), fault: f, all: all}
	chain := tp.build(s)
	served := make(map[string]float64)
	for _, route := range tp.routes {
		served[route] = 0 // so that the table has all routes
	}
	var mu sync.Mutex
	var calls sync.WaitGroup
	for range callsOfTrial {
		for _, route := range tp.routes {
			calls.Go(func() {
				begin := time.Now()
				resp, err := chain.RoundTrip(request(t.Context(), "GET", route, ""))
				if err == nil {
					_, err = readAll(resp)
				}
				if err == nil && resp.StatusCode < 400 && time.Since(begin) <= inTime {
					mu.Lock()
					served[route] += 1.0 / callsOfTrial
					mu.Unlock()
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
	}
	calls.Wait()
	return served
}
