package console

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"

	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/scrape"
)

// fake is a fleet whose readings a test sets.
type fake struct {
	reads  atomic.Int64
	events atomic.Int64 // calls
	entry  string

	mu      sync.Mutex
	reading *Reading
	noted   []local.Event
	changes []Change
	lessons Lessons
}

func (f *fake) Read(context.Context) (*Reading, error) {
	f.reads.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading == nil {
		return nil, errors.New("no fleet")
	}
	copied := *f.reading
	if copied.Time.IsZero() {
		copied.Time = time.Now()
	}
	return &copied, nil
}

func (f *fake) Patience() time.Duration { return time.Second }

func (f *fake) set(r *Reading) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = r
}

func (f *fake) Events(ctx context.Context) iter.Seq[local.Event] {
	f.events.Add(1)
	return func(yield func(local.Event) bool) {
		f.mu.Lock()
		noted := f.noted
		f.mu.Unlock()
		for _, e := range noted {
			if !yield(e) {
				return
			}
		}
		<-ctx.Done()
	}
}

func (f *fake) Entry(context.Context) (Entry, error) {
	if f.entry == "" {
		return Entry{}, errors.New("no entry")
	}
	return Entry{Address: f.entry}, nil
}

func (f *fake) Change(_ context.Context, c Change) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Pod == "nobody" {
		return "", errors.New(`no pod "nobody"`)
	}
	f.changes = append(f.changes, c)
	return "done", nil
}

func (f *fake) Lessons() (Lessons, error) { return f.lessons, nil }

func (f *fake) Check(_ context.Context, promise int) (CheckResult, error) {
	if promise > 0 {
		return CheckResult{}, errors.New("promise: 1: must be less than 1")
	}
	return CheckResult{Holds: true, Findings: []Finding{{"60 requests", true, "60 responses", "60 of 60 requests"}}}, nil
}

// samples parses metrics.
func samples(text string) model.Vector {
	all, err := scrape.Parse([]byte(text), Metrics...)
	if err != nil {
		panic(err)
	}
	return all
}

// smallFleet is a fleet of three services, whose api-gateway has made n calls to staff-service.
func smallFleet(n int) *Reading {
	pod := func(name, deployment, service string, last byte, metrics string) *Pod {
		return &Pod{Pod: local.Pod{
			Name: name, Namespace: "default", Deployment: deployment, Program: deployment, Services: []string{service}, Image: "fleetman/" + deployment + ":6",
			Address: "127.0.1." + string('0'+last), Port: 8080, AdminPort: 9090, State: "running", Ready: true, PID: 1, Started: time.Unix(1, 0),
		}, Metrics: samples(metrics)}
	}
	gateway := pod("api-gateway-0", "api-gateway", "fleetman-api-gateway", 5, counts(n))
	gateway.Upstreams = []faults.Upstream{{Name: "staff-service", Endpoints: []faults.Endpoint{
		{Address: "127.0.1.4:8080", State: "open", OpenUntil: time.Unix(2000, 0), LastFailure: "status 502"}, {Address: "127.0.1.3:8080", State: "closed"},
	}}}
	bad := pod("staff-service-bad-0", "staff-service-bad", "fleetman-staff-service", 4, "")
	bad.Program, bad.Variant, bad.Faults = "staff-service", "bad", "status=502,rate=0.5"
	simulator := pod("position-simulator-0", "position-simulator", "", 1, "")
	simulator.Services, simulator.Port = nil, 0
	return &Reading{
		Manifests: []string{"/k8s/base"},
		Pods:      []*Pod{simulator, pod("staff-service-0", "staff-service", "fleetman-staff-service", 3, ""), bad, gateway},
		Proxies: []mesh.Traffic{
			{Proxy: "istio-ingressgateway", Gateway: true, Started: time.Unix(1, 0), Clusters: map[string]*envoy.ClusterStats{
				"outbound|8080||fleetman-api-gateway.default.svc.cluster.local": {
					Requests: uint64(n), Codes: map[int]uint64{200: uint64(n)}, Connections: 2, Took: []envoy.Bucket{{Le: 0.01, Count: uint64(n / 2)}, {Le: 0.03, Count: uint64(n)}, {Le: 3600, Count: uint64(n)}},
				},
			}},
			{
				Proxy: "api-gateway-0", Started: time.Unix(1, 0), Clusters: map[string]*envoy.ClusterStats{
					"outbound|8080|safe|fleetman-staff-service.default.svc.cluster.local": {Requests: uint64(2 * n), Retries: uint64(n), Connections: 3, Handshakes: 3},
					"outbound|443||monitoring.example.com":                                {Requests: uint64(n), Connections: 1},
					"inbound|8080||":                                                      {Requests: 99},
				},
				Ejections: []mesh.Ejection{{
					Cluster: "outbound|8080|safe|fleetman-staff-service.default.svc.cluster.local", Host: "127.0.1.4:8080", Cause: "consecutive_5xx", Times: 2,
					Since: time.Unix(1000, 0), Until: time.Unix(1060, 0),
				}},
			},
		},
	}
}
