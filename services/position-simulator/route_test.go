package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"fleetman.example/kit/golden"
	"fleetman.example/kit/server/servertest"
	"fleetman.example/services/position-simulator/track"
)

func TestRouteAt(t *testing.T) {
	points := []track.Point{{Lat: "0", Lng: "0"}, {Lat: "1", Lng: "0"}, {Lat: "2", Lng: "0"}}
	timed := newRoute(track.Track{Points: points, At: []time.Duration{0, 2500 * time.Millisecond, 2500*time.Millisecond + 1}})
	untimed := newRoute(track.Track{Points: points})
	for _, tc := range []struct {
		name   string
		route  *route
		driven time.Duration
		want   string
	}{
		{"start", untimed, 0, "0"},
		{"a second less a moment", untimed, time.Second - 1, "0"},
		{"a second", untimed, time.Second, "1"},
		{"the last second", untimed, 3*time.Second - 1, "2"},
		{"starts again", untimed, 3 * time.Second, "0"},
		{"thousandth time round", untimed, 3001 * time.Second, "1"},
		{"timed, start", timed, 0, "0"},
		{"timed, not there yet", timed, 2500*time.Millisecond - 1, "0"},
		{"timed, reached", timed, 2500 * time.Millisecond, "1"},
		{"timed, the last", timed, 2500*time.Millisecond + 1, "2"},
		{"timed, stays a second at the last", timed, 3500 * time.Millisecond, "2"},
		{"timed, starts again", timed, 3500*time.Millisecond + 1, "0"},
	} {
		if got := tc.route.at(tc.driven); string(got.Lat) != tc.want {
			t.Errorf("%s: at %v point %s, want %s", tc.name, tc.driven, got.Lat, tc.want)
		}
	}
}

func TestShippedRoutes(t *testing.T) {
	routes, ignored, err := loadRoutes("")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range routes {
		names = append(names, r.Name)
		if r.period < 1500*time.Second || r.period != time.Duration(len(r.Points))*time.Second {
			t.Errorf("%s takes %v for %d points", r.Name, r.period, len(r.Points))
		}
	}
	want := []string{"City Truck", "Huddersfield Truck A", "Huddersfield Truck B", "London Riverside", "Village Truck"}
	if !slices.Equal(names, want) || len(ignored) != 0 {
		t.Errorf("routes %q and %q ignored, want %q", names, ignored, want)
	}
}

func TestLoadRoutesErrors(t *testing.T) {
	empty := t.TempDir()
	for dir, want := range map[string]string{
		empty:               "no tracks: must have files NAME.gpx",
		empty + "/nowhere":  "no such file or directory",
		"config_test.go":    "not a directory",
		"../../services/..": "no tracks",
	} {
		if _, _, err := loadRoutes(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", dir, err, want)
		}
	}
}

// At any time a vehicle is at a point of its track, with all digits, and it visits all points in order.
func TestRecordedTracksAreReplayedDigitForDigit(t *testing.T) {
	recordings := golden.Shared(t, "tracks")
	routes, _, err := loadRoutes(recordings)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range servertest.Must(newFleet(routes, len(routes), 1)) {
		text := servertest.Must(os.ReadFile(recordings + "/" + routes[i].File))
		lines := strings.Fields(string(text))
		n := len(lines) / 2
		for s := range n + 3 { // beyond the end too
			now := time.Unix(int64(s), 0)
			p := v.report(time.Duration(s)*time.Second+600*time.Millisecond, now)
			if got := `lat="` + string(p.Lat) + `"`; got != lines[2*(s%n)] {
				t.Fatalf("%s after %d s: %s, want %s", v.name, s, got, lines[2*(s%n)])
			}
			if got := `lon="` + string(p.Lng) + `"`; got != lines[2*(s%n)+1] {
				t.Fatalf("%s after %d s: %s, want %s", v.name, s, got, lines[2*(s%n)+1])
			}
			if p.Name != v.name || !p.Timestamp.Equal(now) || p.Speed != "" {
				t.Fatalf("report %+v", p)
			}
		}
	}
}
