package main

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"fleetman.example/kit/apierror"

	"fleetman.example/kit/golden"
)

type line struct{ lat1, lng1, lat2, lng2, metres float64 }

// The test data of GeographicLib's geodesic routines (test_geodesic.py, "testcases"), and shorter geodesics
// computed by its Geodesic.WGS84.Direct and Inverse, version 2.1.
var (
	published = []line{
		{35.60777, -139.44815, -11.17491, -69.95921, 8935244.56048183},
		{55.52454, 106.05087, 77.03196, 197.18234, 4105086.171392441},
		{-21.97856, 142.59065, 41.84138, 98.56635, 8394328.894657671},
		{-66.99028, 112.2363, -12.70631, 285.90344, 11150344.231208025},
		{-17.42761, 173.34268, -15.84784, 5.93557, 16076603.163118068},
		{32.84994, 48.28919, -56.28556, 202.29132, 16727068.943816446},
		{6.96833, 52.74123, -7.39675, 206.17291, 17102477.249695837},
		{-50.56724, -16.30485, -33.56571, -94.97412, 6455670.511866869},
		{-58.93002, -8.90775, -8.91104, 133.13503, 11756066.021986462},
		{-68.82867, -74.28391, -50.63005, -8.36685, 3956936.926063544},
		{-10.62672, -32.0898, 5.883, -134.31681, 11470869.386456301},
		{-21.76221, 166.90563, 48.72884, 213.97627, 9098627.398655491},
		{-19.79938, -174.47484, -11.99349, -154.35109, 2319004.860116939},
		{-11.95887, -116.94513, 4.57352, 7.16501, 13834722.580140138},
		{-87.85331, 85.66836, 66.48646, 16.09921, 17286615.314714465},
		{1.74708, 128.32011, -11.16617, 11.87109, 12942901.124134742},
		{-25.72959, -144.90758, -57.70581, -269.17879, 9413446.745245311},
		{-41.22777, 122.32875, -7.57291, 130.37946, 3812686.035106021},
		{11.01307, 138.25278, 6.62726, 247.05981, 11911190.819018409},
		{-29.47124, 95.14681, -27.46601, -69.15955, 13487015.838114548},
	}
	short = []line{
		{53.379816580563784, -1.46622528322041, 53.379804668492085, -1.4662402954542795, 1.6599999993604913},
		{53.63, -1.798, 53.63000156020708, -1.7979851138305083, 1.0000000002106015},
		{51.50951, -0.079613, 51.50956482741163, -0.07976518380638786, 12.200000001234875},
		{0, 0, 0.0, 8.983152841195214e-06, 0.9999999999999999},
		{0, 179.999999, 0.0, -179.99999201684716, 0.9999999996979726},
		{89.9999999, 0, 89.99999114542972, 169.88763640511849, 0.9999999993329975},
		{-33.9, 151.2, -33.899976412894425, 151.20002828643382, 3.7000000002491418},
		{53.2967, -1.63484, 53.296699951062095, -1.6348398742171733, 0.00999999969827128},
		{53.3798, -1.4662, 53.020143936913605, -1.9146064337709836, 49999.99999999928},
		{51.5095, -0.0796, 51.88572893195379, 0.3159091235880666, 50000.0000000008},
		{0, 0, 0.31974121311247616, 0.3176056894719831, 50000.00000000001},
		{89.8, 10, 89.75234827466981, -170.0, 50000.000000000466},
		{-45, 179.9, -44.99823947964683, -179.4658720837641, 50000.00000000081},
		{53.63, -1.798, 53.51907453266811, -1.798, 12345.677999999802},
	}
)

func TestDistance(t *testing.T) {
	for _, l := range append(published, short...) {
		tolerance := 0.01
		if l.metres < 1000 {
			tolerance = 0.001
		}
		if got := distance(fix{lat: l.lat1, lng: l.lng1}, fix{lat: l.lat2, lng: l.lng2}); math.Abs(got-l.metres) > tolerance {
			t.Errorf("%v: got %.6f m", l, got)
		}
	}
}

// Speeds equal those of the original in speed-vectors.json. They are unknown where the original returned a random
// one (above 70 mph), or the times are in the wrong order.
func TestSpeedsOfTheOriginal(t *testing.T) {
	text, err := os.ReadFile(golden.Shared(t, "golden", "speed-vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name        string
		First, Last [3]any // latitude and longitude as text, milliseconds since 1970
		Speed       string
		Metres      string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	number := func(v any) float64 {
		f, err := strconv.ParseFloat(v.(string), 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
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
