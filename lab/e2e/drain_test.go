package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
)

// TestDrain terminates pods while reports are sent. Every report gets 200, and every accepted report is in
// exactly one history.
func TestDrain(t *testing.T) {
	t.Parallel()
	fleet := start(t, func(o *local.Options) {
		o.Replicas = map[string]int{
			"position-simulator": 0, "webapp": 0, "api-gateway": 0,
			"position-tracker": 2, "vehicle-telemetry": 2, "staff-service": 2,
		}
	})
	load := newLoad(t, fleet, 8)

	// pods that the tracker calls
	for _, name := range []string{"staff-service-0", "vehicle-telemetry-0"} {
		endAndAwait(t, fleet, name)
	}
	await(t, "1000 reports, for a load", func() bool { return load.sent.Load() >= 1000 })
	load.stop()
	kept := map[string]int{}
	for _, pod := range fleet.Pods() {
		if pod.Deployment != "position-tracker" {
			continue
		}
		for vehicle := range load.vehicles {
			var history []position
			get(t, fmt.Sprintf("http://%s:%d/history/%s", pod.Address, pod.Port, url.PathEscape(load.name(vehicle))), &history)
			for _, p := range history {
				kept[fmt.Sprintf("%s at %v", p.Name, p.Lat)]++
			}
		}
	}
	assert.EqualValues(t, load.sent.Load(), len(kept), "different reports kept")
	for report, times := range kept {
		assert.Equal(t, 1, times, "report %s", report)
	}

	// the tracker itself
	load = newLoad(t, fleet, 8)
	endAndAwait(t, fleet, "position-tracker-0")
	load.stop()
}

func endAndAwait(t testing.TB, fleet *local.Fleet, name string) {
	t.Helper()
	_, err := fleet.Kill(name, syscall.SIGTERM)
	require.NoError(t, err)
	exited := false
	awaitEvent(t, fleet, name, "the pod to come back", func(event local.Event) bool {
		if event.Kind == local.Exited {
			exited = true
			assert.Equal(t, "exit status 0", event.Detail, name)
		}
		return exited && event.Kind == local.Ready
	})
}

// awaitEvent waits for an event of a pod, or a proxy.
func awaitEvent(t testing.TB, fleet *local.Fleet, pod, what string, is func(local.Event) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for event := range fleet.Events(ctx) {
		if event.Pod == pod && is(event) {
			return
		}
	}
	t.Fatalf("%s: timed out waiting for %s", pod, what)
}

// load posts reports to the trackers, 50 a second from each vehicle, as services call each other: with names
// from the hosts file and kept-alive connections.
type load struct {
	vehicles int
	sent     atomic.Int64 // with a response of 200
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

func (l *load) name(vehicle int) string { return fmt.Sprintf("Load Truck %d", vehicle) }

func newLoad(t testing.TB, fleet *local.Fleet, vehicles int) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{vehicles: vehicles, cancel: cancel}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		MaxIdleConnsPerHost: vehicles,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			addresses, err := local.LookUp(fleet.HostsFile(), host)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(addresses[rand.IntN(len(addresses))], port))
		},
	}}
	for vehicle := range vehicles {
		l.running.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-pace.C:
				}
				if err := report(client, l.name(vehicle), n); err != nil {
					t.Error(err)
					return
				}
				l.sent.Add(1)
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) stop() {
	l.cancel()
	l.running.Wait()
}

// report posts the nth report of a vehicle: 11 m and one second after the previous one.
func report(client *http.Client, name string, n int) error {
	at := time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC).Format("2006-01-02T15:04:05.000-0700")
	body := fmt.Sprintf(`{"name":%q,"lat":%.4f,"lng":-1.5,"timestamp":%q,"speed":null}`, name, 50+float64(n)/10000, at)
	r, err := try(context.Background(), client, http.MethodPost, "http://fleetman-position-tracker:8080/vehicles/", body, "Content-Type", "application/json")
	if err == nil && r.status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", r.status, r.body)
	}
	if err != nil {
		return fmt.Errorf("report %d of %s: %w", n, name, err)
	}
	return nil
}
