package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/console"
	"fleetman.example/lab/control"
	"fleetman.example/lab/faults"
	openloop "fleetman.example/lab/load"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/scrape"
	"fleetman.example/lab/skip"
	"fleetman.example/lab/trial"
)

// page is an open console, as a browser reads it.
type page struct {
	url, token string

	mu     sync.Mutex
	states []console.State
	seen   []time.Time // when each arrived
}

// openConsole serves the console of a fleet and opens its page.
func openConsole(t testing.TB, state string, fleet *local.Fleet, m *mesh.Mesh) *page {
	t.Helper()
	server, err := control.Serve(state, control.Fleet{Fleet: fleet, Mesh: m})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	client, err := control.NewClient(state)
	require.NoError(t, err)
	listener, err := console.Listen(netip.MustParseAddr("127.0.0.1"), 0)
	require.NoError(t, err)
	served, err := console.Serve(listener, console.NewLauncher(fleet, m, client, "", nil), nil)
	if err != nil {
		skip.Without(t, err)
	}
	t.Cleanup(served.Close)
	p := &page{url: served.URL()}
	body := send(t, http.MethodGet, p.url, "").body
	found := regexp.MustCompile(`console-token" content="([^"]+)"`).FindStringSubmatch(body)
	require.NotNil(t, found, "no token in %s", body)
	p.token = found[1]
	stream, err := http.Get(p.url + "/api/stream")
	require.NoError(t, err)
	t.Cleanup(func() { stream.Body.Close() })
	go p.read(stream.Body)
	await(t, "a state of the console", func() bool { return p.count() > 0 })
	return p
}

func (p *page) read(stream io.Reader) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 4<<20)
	name := ""
	for lines.Scan() {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = event
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var s console.State
		if !ok || name != "state" || json.Unmarshal([]byte(data), &s) != nil {
			continue
		}
		p.mu.Lock()
		p.states, p.seen = append(p.states, s), append(p.seen, time.Now())
		p.mu.Unlock()
	}
}

func (p *page) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.states)
}

// next waits until the console has read the fleet again, so that all is counted.
func (p *page) next(t testing.TB) {
	t.Helper()
	n := p.count() + 3
	await(t, "more states", func() bool { return p.count() >= n })
}

// first returns when the first state after a time arrived that a condition holds for.
func (p *page) first(after time.Time, holds func(console.State) bool) (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range p.states {
		if p.seen[i].After(after) && holds(s) {
			return p.seen[i], true
		}
	}
	return time.Time{}, false
}

// counts are what the console has counted of the driver requests.
type consoleCounts struct {
	good, degraded, failed float64
	edge                   console.Counts
}

func (p *page) counts() (c consoleCounts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.states {
		c.good, c.degraded, c.failed = c.good+s.Point.Good, c.degraded+s.Point.Degraded, c.failed+s.Point.Failed
	}
	for _, e := range p.states[len(p.states)-1].Edges {
		if e.From == "api-gateway" && e.To == "staff-service" {
			c.edge = e.Counts
		}
	}
	return c
}

func (p *page) change(t testing.TB, c console.Change) {
	t.Helper()
	body, _ := json.Marshal(c)
	r := send(t, http.MethodPost, p.url+"/api/change", string(body), "X-Console-Token", p.token)
	require.Equal(t, http.StatusOK, r.status, "%+v: %s", c, r.body)
}

// pod returns a pod of a state.
func podOf(s console.State, name string) (found console.PodView) {
	for _, n := range s.Nodes {
		for _, p := range n.Pods {
			if p.Name == name {
				found = p
			}
		}
	}
	return found
}

// TestConsoleIsTrue compares the console's numbers with those of the load, of the pods that were called, and of
// the proxies, within 2 %, while one replica of two is bad; and the time until it shows a change with 2 s.
func TestConsoleIsTrue(t *testing.T) {
	for _, arm := range []string{"library", "mesh", "both"} {
		t.Run(arm, func(t *testing.T) {
			trial.Run(t, func(t *trial.T) {
				objects := manifests(t, scenarios("resilience/"+arm))
				var fleet *local.Fleet
				var m *mesh.Mesh
				if arm == "library" {
					fleet = startObjects(t, objects)
				} else {
					m, _ = startMesh(t, objects)
					fleet = m.Fleet()
				}
				entry := nodePort(fleet.NodePorts(), "fleetman-webapp")
				await(t, "the vehicles", func() bool { return latest(t, entry) != nil })
				compareConsole(t, fleet, m, entry)
			})
		})
	}
}

func compareConsole(t testing.TB, fleet *local.Fleet, m *mesh.Mesh, entry string) {
	p := openConsole(t, t.TempDir(), fleet, m)
	before, received, proxied := p.counts(), receivedCalls(t, fleet), proxyCalls(t, m)
	const rate, duration = 40, 8 * time.Second
	sent := openloop.Run(t.Context(), openloop.Plan{Schedule: openloop.Pace(rate), Duration: duration, MaxInFlight: 1000}, func(ctx context.Context, _ int) string {
		return outcomeOf(ctx, entry+driver)
	})
	p.next(t)
	after := p.counts()
	seen := map[string]float64{}
	for _, r := range sent {
		seen[r.Outcome]++
	}
	all := float64(len(sent))
	near := func(what string, got, want, of float64) {
		t.Helper()
		t.Logf("%s: console %.0f, other count %.0f", what, got, want)
		assert.InDelta(t, want, got, 0.02*of, what)
	}
	near("good", after.good-before.good, seen["good"], all)
	near("degraded", after.degraded-before.degraded, seen["degraded"], all)
	near("failed", after.failed-before.failed, seen["failed"], all)
	now := receivedCalls(t, fleet)
	if m == nil {
		near("attempts at staff-service", after.edge.Attempts-before.edge.Attempts, now-received, now-received)
	} else {
		total := proxyCalls(t, m)
		near("attempts of the proxy", after.edge.Wire-before.edge.Wire, total[0]-proxied[0], total[0]-proxied[0])
		near("retries of the proxy", after.edge.MeshRetries-before.edge.MeshRetries, total[1]-proxied[1], total[0]-proxied[0])
		near("attempts at staff-service", after.edge.Wire-before.edge.Wire, now-received, now-received)
	}
	assert.NotZero(t, seen["good"])
	assert.GreaterOrEqual(t, now-received, all/2, "calls received")
	blocksInTime(t, fleet, m, p)
	changesInTime(t, p)
}

// outcomeOf sends a request; degraded is an answer by a fallback.
func outcomeOf(ctx context.Context, url string) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch r, err := try(ctx, http.DefaultClient, http.MethodGet, url, ""); {
	case err != nil || r.status != http.StatusOK:
		return "failed"
	case r.header.Get("X-Fallback") != "":
		return "degraded"
	}
	return "good"
}

// receivedCalls returns how many requests for drivers the pods of staff-service have answered.
func receivedCalls(t testing.TB, fleet *local.Fleet) (sum float64) {
	t.Helper()
	pods, err := faults.Find(fleet.Pods(), "staff-service")
	require.NoError(t, err)
	for _, pod := range pods {
		found, err := scrape.Get(t.Context(), http.DefaultClient, faults.Admin(pod), "http_server_request_duration_seconds_count")
		require.NoError(t, err)
		for _, s := range found {
			if s.Metric["http_request_method"] == "GET" && strings.HasPrefix(string(s.Metric["http_route"]), "/driver/") {
				sum += float64(s.Value)
			}
		}
	}
	return sum
}

// proxyCalls returns the attempts and retries of api-gateway's proxy to staff-service.
func proxyCalls(t testing.TB, m *mesh.Mesh) (counts [2]float64) {
	t.Helper()
	if m == nil {
		return counts
	}
	for _, p := range m.Status(t.Context()).Proxies {
		for _, u := range p.Upstreams {
			if p.Name == "api-gateway-0" && strings.Contains(u.Cluster, "staff-service") {
				counts[0] += float64(u.Tries)
				counts[1] += float64(u.Retries)
			}
		}
	}
	return counts
}

// shownWithin is the longest time until the console shows a change.
const shownWithin = 2 * time.Second

// blocksInTime checks that the first ejection, or the first open breaker, was shown in time.
func blocksInTime(t testing.TB, fleet *local.Fleet, m *mesh.Mesh, p *page) {
	t.Helper()
	kind, by := local.Breaker, "library"
	if m != nil {
		kind, by = local.Ejected, "mesh"
	}
	p.mu.Lock()
	opened := p.seen[0]
	p.mu.Unlock()
	if m == nil {
		waitFor(t, p, time.Now(), "an open breaker of the bad replica", func(s console.State) bool { return blocked(s, by) })
		return // the launcher follows no breakers in this test
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for event := range fleet.Events(ctx) {
		if event.Kind != kind || event.Time.Before(opened) || !strings.HasPrefix(event.Pod, "api-gateway") {
			continue
		}
		at, ok := p.first(event.Time, func(s console.State) bool { return blocked(s, by) })
		if !ok || at.Sub(event.Time) > shownWithin {
			t.Errorf("%v %s: shown after %v (%v)", event.Kind, event.Detail, at.Sub(event.Time), ok)
		}
		t.Logf("an ejection is shown after %v", at.Sub(event.Time))
		return
	}
	t.Error("no ejection: nothing is proved")
}

// blocked reports whether api-gateway avoids the bad replica.
func blocked(s console.State, by string) bool {
	for _, b := range podOf(s, "staff-service-bad-0").Blocks {
		if b.By == by && strings.HasPrefix(b.In, "api-gateway") {
			return true
		}
	}
	return false
}

func waitFor(t testing.TB, p *page, since time.Time, what string, holds func(console.State) bool) {
	t.Helper()
	await(t, what, func() bool { _, ok := p.first(since, holds); return ok })
	at, _ := p.first(since, holds)
	t.Logf("%s: shown after %v", what, at.Sub(since))
	assert.LessOrEqual(t, at.Sub(since), shownWithin, what)
}

// changesInTime makes changes as the page does, and waits until it shows them.
func changesInTime(t testing.TB, p *page) {
	t.Helper()
	const pod = "staff-service-0"
	began := time.Now()
	p.change(t, console.Change{Do: "fault", Pod: pod, Rules: "status=503,path=/nowhere"})
	waitFor(t, p, began, "a fault", func(s console.State) bool { return podOf(s, pod).Faults == "status=503,path=/nowhere" })
	began = time.Now()
	p.change(t, console.Change{Do: "fault", Pod: pod})
	waitFor(t, p, began, "no fault", func(s console.State) bool { return podOf(s, pod).Faults == "" })
	began = time.Now()
	p.change(t, console.Change{Do: "kill", Pod: "vehicle-telemetry-0", Signal: "KILL"})
	waitFor(t, p, began, "a restart", func(s console.State) bool { return podOf(s, "vehicle-telemetry-0").Restarts == 1 })
}
