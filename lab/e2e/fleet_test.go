// Package e2e tests the whole fleet, with the real services as processes, as a user uses it.
package e2e

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/nettest"
	"fleetman.example/lab/skip"
)

const (
	root     = "../.."
	patience = 5 * time.Minute // only what hangs takes longer, however busy the machine is
)

// start starts k8s/base at its own addresses.
func start(t testing.TB, changes ...func(*local.Options)) *local.Fleet {
	t.Helper()
	return startObjects(t, manifests(t, filepath.Join(root, "k8s", "base")), changes...)
}

// startObjects starts a fleet of other manifests.
func startObjects(t testing.TB, objects *manifest.Objects, changes ...func(*local.Options)) *local.Fleet {
	t.Helper()
	fleet, err := local.Start(t.Context(), objects, options(t, changes...))
	mustStart(t, err)
	t.Cleanup(func() {
		fleet.Stop()
		if t.Failed() {
			_ = fleet.Logs(context.Background(), "all", local.LogOptions{Prefix: true}, t.Output())
		}
	})
	return fleet
}

// options returns those of a fleet at its own addresses.
func options(t testing.TB, changes ...func(*local.Options)) local.Options {
	t.Helper()
	network := nettest.Network(t)
	o := local.Options{Root: root, State: t.TempDir(), Environ: os.Environ(), ReadyTimeout: patience, Network: network, NodeAddress: nettest.Node(network)}
	for _, change := range changes {
		change(&o)
	}
	return o
}

// mustStart ends a test whose fleet did not start.
func mustStart(t testing.TB, err error) {
	t.Helper()
	if err != nil && strings.HasSuffix(err.Error(), "run make ui") {
		skip.Without(t, err)
	}
	require.NoError(t, err)
}

// nodePort returns the URL of a Service's first node port, or "".
func nodePort(ports []local.NodePort, service string) string {
	for _, port := range ports {
		if port.Service == service {
			return "http://" + port.Address.String()
		}
	}
	return ""
}

// position is the position of the HTTP contract.
type position struct {
	Name      string   `json:"name"`
	Lat       float64  `json:"lat"`
	Lng       float64  `json:"lng"`
	Timestamp string   `json:"timestamp"`
	Speed     *float64 `json:"speed"`
}

func (p position) time(t testing.TB) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000-0700", p.Timestamp)
	require.NoError(t, err, p.Name)
	return at
}

// reply is a response.
type reply struct {
	status int
	header http.Header
	body   string
}

// fresh opens a connection for each request.
var fresh = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// try sends a request. headers has names and values.
func try(ctx context.Context, client *http.Client, method, url, body string, headers ...string) (r reply, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return r, err
	}
	for header := range slices.Chunk(headers, 2) {
		request.Header.Set(header[0], header[1])
	}
	request.Host = request.Header.Get("Host")
	response, err := client.Do(request)
	if err != nil {
		return r, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(text)}, err
}

// send sends a request, which must have a response.
func send(t testing.TB, method, url, body string, headers ...string) reply {
	t.Helper()
	r, err := try(t.Context(), fresh, method, url, body, headers...)
	require.NoError(t, err)
	return r
}

// get decodes a JSON response. It returns false when the status is not 200.
func get(t testing.TB, url string, into any) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := try(ctx, fresh, http.MethodGet, url, "")
	if err != nil || r.status != http.StatusOK {
		return false
	}
	require.NoError(t, json.Unmarshal([]byte(r.body), into), "GET %s: %s", url, r.body)
	return true
}

func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// latest returns the five vehicles, keyed by name, or nil while some are missing.
func latest(t testing.TB, page string) map[string]position {
	t.Helper()
	var list []position
	if !get(t, page+"/api/vehicles/", &list) || len(list) != 5 {
		return nil
	}
	vehicles := map[string]position{}
	for _, p := range list {
		vehicles[p.Name] = p
	}
	return vehicles
}

// meters returns the distance between two places that are near each other.
func meters(a, b position) float64 {
	const degree = 111_320 // of latitude
	return math.Hypot((a.Lat-b.Lat)*degree, (a.Lng-b.Lng)*degree*math.Cos(a.Lat*math.Pi/180))
}
