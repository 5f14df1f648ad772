package watch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/local"
)

type fleet struct {
	pods   []local.Pod
	events chan local.Event
}

func (f *fleet) Pods() []local.Pod  { return f.pods }
func (f *fleet) Note(e local.Event) { f.events <- e }

// podAt returns a pod whose admin listener is a handler.
func podAt(t *testing.T, name string, handler http.Handler) local.Pod {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	host, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	number, _ := strconv.Atoi(port)
	return local.Pod{Name: name, Address: host, Port: 8080, AdminPort: number}
}

func TestPods(t *testing.T) {
	var rules atomic.Value
	rules.Store(`[{"rule":"status=502,rate=0.5"},{"rule":"delay=2s"}]`)
	var streams atomic.Int32
	staff := http.NewServeMux()
	staff.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"seed":1,"rules":%s}`, rules.Load())
	})
	staff.HandleFunc("GET /resilience/events", func(w http.ResponseWriter, r *http.Request) {
		// the first stream ends, as at a restart of the process
		fmt.Fprintf(w, "event: transition\ndata: {\"time\":\"2026-01-02T03:04:05Z\",\"upstream\":\"tracker\",\"endpoint\":\"127.0.1.2:8080\",\"from\":\"closed\",\"to\":\"open\",\"cause\":\"stream %d\"}\n\n", streams.Add(1))
		_ = http.NewResponseController(w).Flush()
		if streams.Load() > 1 {
			<-r.Context().Done()
		}
	})
	f := &fleet{events: make(chan local.Event, 10), pods: []local.Pod{
		podAt(t, "staff-0", staff),
		podAt(t, "old-0", http.NotFoundHandler()), // supports no faults, has no breakers
		{Name: "simulator-0"},                     // has no port for requests
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); Pods(ctx, f) }()
	var got []string
	next := func(n int) {
		for range n {
			select {
			case e := <-f.events:
				got = append(got, fmt.Sprintf("%s %s: %s", e.Pod, e.Kind, e.Detail))
			case <-time.After(2 * time.Minute):
				t.Fatalf("no further event after %v", got)
			}
		}
	}
	next(3)
	rules.Store(`[]`)
	next(1)
	cancel()
	<-done
	assert.ElementsMatch(t, []string{
		"staff-0 fault set: status=502,rate=0.5;delay=2s", "staff-0 fault cleared: no faults",
		"staff-0 breaker: tracker at 127.0.1.2:8080: open, was closed: stream 1", "staff-0 breaker: tracker at 127.0.1.2:8080: open, was closed: stream 2",
	}, got, "events")
	assert.Empty(t, f.events, "further events")
}
