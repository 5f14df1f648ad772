package main

import (
	"math"
	"testing"
)

// metresFrom returns spots at places given in metres east and north of a spot.
func metresFrom(xy ...[2]float64) []spot {
	p := planeAt(spot{53.4, -1.5})
	s := make([]spot, len(xy))
	for i, m := range xy {
		s[i] = spot{p.at.lat + m[1]/p.mLat, p.at.lng + m[0]/p.mLng}
	}
	return s
}

func TestStride(t *testing.T) {
	for _, tc := range []struct {
		name  string
		track []spot
		want  []spot
	}{
		{"points left out, the rest dropped", metresFrom([2]float64{0, 0}, [2]float64{4, 0}, [2]float64{8, 0}, [2]float64{25, 0}), metresFrom([2]float64{0, 0}, [2]float64{10, 0}, [2]float64{20, 0})},
		{"a gap is crossed", metresFrom([2]float64{0, 0}, [2]float64{0, 35}), metresFrom([2]float64{0, 0}, [2]float64{0, 10}, [2]float64{0, 20}, [2]float64{0, 30})},
		{"repeated points", metresFrom([2]float64{0, 0}, [2]float64{0, 0}, [2]float64{6, 8}, [2]float64{6, 8}, [2]float64{15, 20}), metresFrom([2]float64{0, 0}, [2]float64{6, 8}, [2]float64{12, 16})},
		{"jitter while standing", metresFrom([2]float64{0, 0}, [2]float64{3, 3}, [2]float64{-4, 1}, [2]float64{2, -3}, [2]float64{0, 0}, [2]float64{20, 0}), metresFrom([2]float64{0, 0}, [2]float64{10, 0}, [2]float64{20, 0})},
		{"there and back", metresFrom([2]float64{0, 0}, [2]float64{14, 0}, [2]float64{-6, 0}), metresFrom([2]float64{0, 0}, [2]float64{10, 0}, [2]float64{0, 0})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := stride(tc.track, 10)
			if len(got) != len(tc.want) {
				t.Fatalf("%d points %v, want %d", len(got), got, len(tc.want))
			}
			for i := range got {
				if d := metres(got[i], tc.want[i]); d > 1e-3 {
					t.Errorf("point %d is %.4f m from where it should be", i, d)
				}
			}
		})
	}
}

func TestCloseLoop(t *testing.T) {
	square := metresFrom([2]float64{0, 0}, [2]float64{1000, 0}, [2]float64{1000, 1000}, [2]float64{0, 1000}, [2]float64{0, 5})
	tail := append(metresFrom([2]float64{-30, 0}, [2]float64{-15, 0}), square...)
	for _, tc := range []struct {
		name  string
		track []spot
		left  int
		cut   float64
	}{
		{"closed already", square, len(square), 0},
		{"a tail before the loop", tail, len(square), 30},
		{"no loop", metresFrom([2]float64{0, 0}, [2]float64{500, 0}, [2]float64{1000, 0}), 3, 0},
	} {
		got, cut := closeLoop(tc.track)
		if len(got) != tc.left || math.Abs(cut-tc.cut) > 0.01 {
			t.Errorf("%s: %d points left, %.2f m cut, want %d and %.0f", tc.name, len(got), cut, tc.left, tc.cut)
		}
	}
}

// The length of a degree is that of the tables in the definition of WGS84.
func TestMetresOfADegree(t *testing.T) {
	for _, tc := range []struct{ lat, mLat, mLng float64 }{
		{0, 110574.3, 111319.5},
		{45, 111131.8, 78846.8},
		{60, 111412.2, 55800.0},
	} {
		p := planeAt(spot{tc.lat, 0})
		if math.Abs(p.mLat-tc.mLat) > 0.1 || math.Abs(p.mLng-tc.mLng) > 0.1 {
			t.Errorf("at %g: %.1f and %.1f m a degree, want %.1f and %.1f", tc.lat, p.mLat, p.mLng, tc.mLat, tc.mLng)
		}
	}
}
