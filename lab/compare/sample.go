package compare

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/record"
	"fleetman.example/lab/scrape"
)

// sampleEvery is the grain of the curves.
const sampleEvery = time.Second

// lastPatience is how long the sample after the load may take: the counts of the whole run hang
// on it, even on a busy machine.
const lastPatience = 15 * time.Second

// sampleFirst asks all before the load begins, so that none of it is under way when the counts of
// the whole run begin.
func (c *cell) sampleFirst(ctx context.Context) []record.Sample {
	c.sample(ctx, lastPatience)
	first := c.seen.Samples
	for i := range first {
		first[i].At = 0
	}
	return first
}

// sampleUntil samples every second and at the end.
func (c *cell) sampleUntil(ctx context.Context, end time.Duration) error {
	for now := time.Since(c.began); now < end; now = time.Since(c.began) {
		next := min((now/sampleEvery*sampleEvery)+sampleEvery, end)
		select {
		case <-time.After(next - now):
		case <-ctx.Done():
			return ctx.Err()
		}
		if c.fault.none() {
			c.sampleUsage(ctx)
		} else {
			c.sample(ctx, sampleEvery)
		}
	}
	return ctx.Err()
}

// sampleUsage leaves pods and proxies alone and reads the system's figures: where the price of an
// arm is measured, requests would wait for the answers about it (one in a hundred for 15 ms, with
// proxies), and those answers' CPU would be the arm's.
func (c *cell) sampleUsage(ctx context.Context) {
	at := record.Moment(time.Since(c.began))
	note := func(name string, pid int) {
		if counts, err := usage(ctx, pid); err == nil {
			c.seen.Samples = append(c.seen.Samples, record.Sample{At: at, Pod: name, Counts: counts, Usage: true})
		}
	}
	for _, pod := range c.fleet.Pods() {
		note(pod.Name, pod.PID)
	}
	for _, p := range c.proxies {
		note(p.name+record.ProxySuffix, p.pid)
	}
	if c.istiod != 0 {
		note(record.ControlPlane, c.istiod)
	}
}

// sample asks all pods, and their proxies, at once. One that does not answer in patience is left
// out: it has crashed, or the machine is busy.
func (c *cell) sample(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all sync.WaitGroup
	ask := func(name string, count func() ([]record.Count, error)) {
		all.Go(func() {
			if counts, err := count(); err == nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.seen.Samples = append(c.seen.Samples, record.Sample{At: record.Moment(time.Since(c.began)), Pod: name, Counts: counts})
			}
		})
	}
	for _, pod := range c.fleet.Pods() {
		ask(pod.Name, func() ([]record.Count, error) {
			counts, err := count(ctx, &c.client.HTTP, pod)
			if err != nil {
				return nil, err
			}
			used, err := usage(ctx, pod.PID)
			return append(used, counts...), err
		})
	}
	for _, p := range c.proxies {
		ask(p.name+record.ProxySuffix, func() ([]record.Count, error) { return p.count(ctx) })
	}
	if c.istiod != 0 {
		ask(record.ControlPlane, func() ([]record.Count, error) { return usage(ctx, c.istiod) })
	}
	all.Wait()
}

// usage is what a process has used: CPU seconds, resident bytes.
func usage(ctx context.Context, pid int) ([]record.Count, error) {
	used, err := envoy.Process(ctx, pid)
	if err != nil {
		return nil, err
	}
	return []record.Count{{Name: "cpu", N: used.CPU.Seconds()}, {Name: "memory", N: float64(used.RSS)}}, nil
}

// series are the metrics that are kept, each by the labels that say what it
// counts.
var series = map[string]struct {
	name   string
	labels []string
}{
	"http_client_request_duration_seconds_count": {"client", []string{"http_request_method", "server_address"}},
	"http_server_request_duration_seconds_count": {"server", []string{"http_request_method", "http_route"}},
	"fleetman_simulator_reports_total":           {"reports", []string{"outcome"}},
}

func count(ctx context.Context, client *http.Client, pod local.Pod) ([]record.Count, error) {
	samples, err := scrape.Get(ctx, client, faults.Admin(pod), func(name string) bool {
		_, kept := series[name]
		return kept
	})
	if err != nil {
		return nil, err
	}
	sums := map[record.Count]float64{}
	for _, s := range samples {
		kept := series[s.Name]
		of := s.Labels[kept.labels[0]]
		for _, label := range kept.labels[1:] {
			of += " " + s.Labels[label]
		}
		sums[record.Count{Name: kept.name, Of: of}] += s.Value
	}
	var counts []record.Count
	for _, of := range slices.SortedFunc(maps.Keys(sums), func(a, b record.Count) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Of, b.Of))
	}) {
		counts = append(counts, record.Count{Name: of.Name, Of: of.Of, N: sums[of]})
	}
	return counts, nil
}
