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
	"strings"
	"testing"
	"time"

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
func start(t testing.TB, change func(*local.Options)) *local.Fleet {
	t.Helper()
	objects, err := manifest.Load(filepath.Join(root, "k8s", "base"))
	if err != nil {
		t.Fatal(err)
	}
	return startObjectsWith(t, objects, change)
}

// startObjects starts a fleet of other manifests.
func startObjects(t testing.TB, objects *manifest.Objects) *local.Fleet {
	t.Helper()
	return startObjectsWith(t, objects, func(*local.Options) {})
}

func startObjectsWith(t testing.TB, objects *manifest.Objects, change func(*local.Options)) *local.Fleet {
	t.Helper()
	network := nettest.Network(t)
	o := local.Options{Root: root, State: t.TempDir(), Environ: os.Environ(), ReadyTimeout: patience, Network: network, NodeAddress: nettest.Node(network)}
	change(&o)
	fleet, err := local.Start(t.Context(), objects, o)
	if err != nil && strings.HasSuffix(err.Error(), "run make ui") {
		skip.Without(t, err)
	}
	if err != nil {
		if late, ok := err.(*local.NotReadyError); ok {
			t.Log(strings.Join(late.Last, "\n"))
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fleet.Stop()
		if t.Failed() {
			_ = fleet.Logs(context.Background(), "all", local.LogOptions{Prefix: true}, t.Output())
		}
	})
	return fleet
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
	if err != nil {
		t.Fatalf("%s: timestamp: %v", p.Name, err)
	}
	return at
}

// get decodes a JSON response. It returns false when the status is not 200.
func get(t testing.TB, url string, into any) bool {
	t.Helper()
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return false
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("GET %s: %v: %s", url, err, body)
	}
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
