package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"fleetman.example/kit/apierror"
	"fleetman.example/kit/golden"
	"fleetman.example/kit/server/servertest"
)

//go:embed testdata/geodesics.txt
var geodesics string

func TestDistance(t *testing.T) {
	for line := range strings.Lines(geodesics) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var from, to fix
		var metres float64
		if _, err := fmt.Sscan(line, &from.lat, &from.lng, &to.lat, &to.lng, &metres); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		tolerance := 0.01
		if metres < 1000 {
			tolerance = 0.001
		}
		if got := distance(from, to); math.Abs(got-metres) > tolerance {
			t.Errorf("%s: got %.6f m", line, got)
		}
	}
}

// Speeds equal those of the original in speed-vectors.json. They are unknown where the original returned a random
// one (above 70 mph), or the times are in the wrong order.
func TestSpeedsOfTheOriginal(t *testing.T) {
	text := servertest.Must(os.ReadFile(golden.Shared(t, "golden", "speed-vectors.json")))
	var vectors []struct {
		Name        string
		First, Last [3]any // latitude and longitude as text, milliseconds since 1970
		Speed       string
		Metres      string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	number := func(v any) float64 { return servertest.Must(strconv.ParseFloat(v.(string), 64)) }
	compared := 0
	for _, v := range vectors {
		if number(v.Metres) > farthest {
			continue
		}
		at := func(p [3]any) fix { return fix{number(p[0]), number(p[1]), int64(p[2].(float64)) * 1e6} }
		from, to := at(v.First), at(v.Last)
		mph, known := between(from, to)
		honest := number(v.Metres) / metresPerMile / (float64(to.at-from.at) / 1e9) * secondsPerHour
		if to.at < from.at || honest > maxSpeed {
			if known && to.at != from.at {
				t.Errorf("%s: got %g mph, want unknown", v.Name, mph)
			}
			continue
		}
		want := number(v.Speed)
		if !known || !near(mph, want) {
			t.Errorf("%s: got %g (known %t), want %s", v.Name, mph, known, v.Speed)
		}
		compared++
	}
	if compared < 20 {
		t.Errorf("compared only %d of %d speeds", compared, len(vectors))
	}
}

// farthest is the largest distance for the comparison with the original, in metres: its formula does not converge
// near the opposite side of the earth. There only GeographicLib is compared.
const farthest = 10_000_000

// near reports whether a speed equals the original's, whose arithmetic differs by 1e-6, and by nanometres per
// second for a distance of 0.
func near(got, want float64) bool { return math.Abs(got-want) <= 1e-6*math.Abs(want)+1e-8 }

func TestWindow(t *testing.T) {
	second := func(n int64) fix { return fix{lat: 53 + float64(n)*0.0001, lng: -1, at: n * 1e9} } // 11.13 m/s, 24.9 mph
	for name, tc := range map[string]struct {
		fixes []fix
		mph   float64
		known bool
	}{
		"none":           {},
		"one":            {fixes: []fix{second(1)}},
		"the same twice": {fixes: []fix{second(1), second(1)}},
		"two":            {fixes: []fix{second(1), second(2)}, mph: 24.894, known: true},
		"eleven": { // the first report, far away, is no longer in the window
			fixes: []fix{{lat: 40, at: -1e9}, second(1), second(2), second(3), second(4), second(5), second(6), second(7), second(8), second(9), second(10)},
			mph:   24.894, known: true,
		},
		"too fast":       {fixes: []fix{second(1), {lat: 54, lng: -1, at: 2e9}}},
		"backwards":      {fixes: []fix{second(2), second(1)}},
		"no time passed": {fixes: []fix{second(1), {lat: 54, lng: -1, at: 1e9}}, mph: 0, known: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWindows(1)
			for _, f := range tc.fixes {
				if err := w.add("T", f); err != nil {
					t.Error(err)
				}
			}
			mph, known := w.speed("T")
			if known != tc.known || math.Abs(mph-tc.mph) > 0.001 {
				t.Errorf("got %g, %t; want %g, %t", mph, known, tc.mph, tc.known)
			}
		})
	}
}

func TestTooManyVehicles(t *testing.T) {
	w := newWindows(1)
	first := w.add("A", fix{})
	err := w.add("B", fix{})
	if first != nil || w.add("A", fix{at: 1}) != nil || err == nil || err.Error() != `name: "B": must be one of the 1 vehicles known (MAX_VEHICLES)` || apierror.Status(err) != 409 {
		t.Errorf("got %v, then %v", first, err)
	}
}
