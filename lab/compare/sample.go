package compare

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
	"fleetman.example/lab/record"
	"fleetman.example/lab/scrape"
)

// sampleEvery is the time between two samples, and so the step of the curves.
const sampleEvery = time.Second

// lastPatience is how long the first and the last sample may take. The counts of the whole run
// need both, on a busy machine too.
const lastPatience = 15 * time.Second

// sampleFirst takes the samples before the load begins, so that no request of it is in flight when
// the counts of the whole run begin.
func (r *running) sampleFirst(ctx context.Context) []record.Sample {
	r.sample(ctx, lastPatience)
	first := r.seen.Samples
	for i := range first {
		first[i].At = 0
	}
	return first
}

// sampleUntil samples every second and at the end.
func (r *running) sampleUntil(ctx context.Context, end time.Duration) error {
	for now := time.Since(r.began); now < end; now = time.Since(r.began) {
		next := min((now/sampleEvery*sampleEvery)+sampleEvery, end)
		if err := process.Sleep(ctx, next-now); err != nil {
			return err
		}
		if r.none() {
			r.sampleUsage(ctx)
		} else {
			r.sample(ctx, sampleEvery)
		}
	}
	return ctx.Err()
}

// sampleUsage reads the system's figures only. While the cost of an arm is measured, reading every
// process's counters would delay requests (one in a hundred by 15 ms, with proxies) and use CPU that
// is not the arm's.
func (r *running) sampleUsage(ctx context.Context) {
	at := record.Offset(time.Since(r.began))
	for _, s := range r.sources() {
		if counts, err := r.fleet.usage(ctx, s.name); err == nil && len(counts) > 0 {
			r.seen.Samples = append(r.seen.Samples, record.Sample{At: at, Pod: s.name, Counts: counts, UsageOnly: true})
		}
	}
}

// source is what is sampled.
type source struct {
	name  string
	count func(context.Context) ([]record.Count, error)
}

// sources returns the pods, the proxies and the control plane.
func (r *running) sources() (all []source) {
	for _, pod := range r.fleet.Pods() {
		all = append(all, source{pod.Name, func(ctx context.Context) ([]record.Count, error) {
			return count(ctx, &r.fleet.admin().HTTP, pod)
		}})
	}
	for _, p := range r.fleet.proxies() {
		all = append(all, source{p.name + record.ProxySuffix, p.count})
	}
	if r.fleet.controlled() {
		all = append(all, source{record.ControlPlane, func(context.Context) ([]record.Count, error) { return nil, nil }})
	}
	return all
}

// sample reads the counters of all pods and proxies at once. One that does not answer within
// patience is left out: it has crashed, or the machine is busy.
func (r *running) sample(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range r.sources() {
		all.Go(func() {
			counts, err := s.count(ctx)
			if err != nil {
				return
			}
			used, err := r.fleet.usage(ctx, s.name)
			if err != nil {
				return
			}
			counts = slices.Concat([]record.Count{}, used, counts) // none: nothing has happened yet, which is known
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen.Samples = append(r.seen.Samples, record.Sample{At: record.Offset(time.Since(r.began)), Pod: s.name, Counts: counts})
		})
	}
	all.Wait()
}

// series are the metrics that are kept, with the labels that become Count.Of.
var series = map[string]struct {
	name   string
	labels []model.LabelName
}{
	"http_client_request_duration_seconds_count": {record.CountClient, []model.LabelName{"http_request_method", "server_address"}},
	"http_server_request_duration_seconds_count": {record.CountServer, []model.LabelName{"http_request_method", "http_route"}},
	"fleetman_simulator_reports_total":           {record.CountReports, []model.LabelName{"outcome"}},
}

func count(ctx context.Context, client *http.Client, pod local.Pod) ([]record.Count, error) {
	samples, err := scrape.Get(ctx, client, faults.Admin(pod), slices.Collect(maps.Keys(series))...)
	if err != nil {
		return nil, err
	}
	sums := map[record.Count]float64{}
	for _, s := range samples {
		kept := series[string(s.Metric[model.MetricNameLabel])]
		of := string(s.Metric[kept.labels[0]])
		for _, label := range kept.labels[1:] {
			of += " " + string(s.Metric[label])
		}
		sums[record.Count{Name: kept.name, Of: of}] += float64(s.Value)
	}
	return counts(sums), nil
}

// counts returns the sums by what they count, sorted by name and then by what they are of.
func counts(sums map[record.Count]float64) (all []record.Count) {
	for count, n := range sums {
		count.N = n
		all = append(all, count)
	}
	slices.SortFunc(all, func(a, b record.Count) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Of, b.Of)) })
	return all
}
